"""Following the branches and tags that a series names: the same series, pinned to where they are now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import yaml

from configs.errors import KubeV6Error
from configs.schema.release import Release
from tasks.paths import cache_dir
from tasks.release.series.git_remote import head, locate
from tasks.release.series.series_file import GitSeries, PinnedCommit, Remote
from tasks.replace import write_whole
from tasks.steps import step

P = TypeVar("P", bound=PinnedCommit)


def follow(series: GitSeries, sources: Mapping[str, str]) -> GitSeries:
    """Pin every commit that names a ref to what that ref is at now.

    Args:
        series: The series.
        sources: Other places for its remotes, by name: a URL, a repository's directory or a bundle.

    Returns:
        The series, whose commits stand alone; they may still be looked for in the history of those refs.

    Raises:
        KubeV6Error: A remote cannot be read, or has no such ref.
    """
    moved: list[str] = []
    refs: dict[str, list[str]] = {name: list(remote.refs) for name, remote in series.remotes.items()}

    def pinned(each: P) -> P:
        if each.ref is None:
            return each
        address = sources.get(each.remote, series.remotes[each.remote].url)
        base = Path.cwd() if each.remote in sources else series.path.parent
        place = locate(each.remote, address, base=base)
        now = head(place, each.ref)
        if now is None:
            raise KubeV6Error(f"{place} has no ref {each.ref}", todo="mend ref: in the series file")
        if not now.startswith(each.commit):
            moved.append(f"{each.ref} of {each.remote}: {each.commit[:10]} to {now[:10]}")
        refs[each.remote].append(each.ref)
        return each.model_copy(update={"commit": now, "ref": None})

    with step(series.name, "look for news") as shown:
        base, patches = pinned(series.base), tuple(pinned(patch) for patch in series.patches)
        shown.ended_as("; ".join(moved) or "nothing has moved")
    remotes = {
        name: Remote(url=_whole(name, remote.url, series), refs=tuple(dict.fromkeys(refs[name])))
        for name, remote in series.remotes.items()
    }
    return series.model_copy(update={"base": base, "patches": patches, "remotes": remotes})


def write(series: GitSeries) -> Path:
    """Write a series down as a file of the same name in the cache, and return that."""
    content = series.model_dump(mode="json", exclude={"name", "path"}, exclude_defaults=True)
    path = cache_dir() / "followed" / f"{series.name}.yaml"
    write_whole(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return path


def write_release(release: Release) -> Path:
    """Write down a release whose series was pinned, so that what was deployed of it can be told from what comes later.

    Args:
        release: The release.

    Returns:
        A file of its name in the cache.
    """
    path = cache_dir() / "followed" / f"{release.name}.release.yaml"
    content = release.model_dump(mode="json", exclude_defaults=True)
    write_whole(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return path


def _whole(name: str, url: str, series: GitSeries) -> str:
    """An address that is good from every directory."""
    return locate(name, url, base=series.path.parent).address
