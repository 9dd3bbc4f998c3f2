"""The source of a series, of whichever kind it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import git

from configs.errors import ConfigError
from tasks.release.series import debian_source, git_source, working_tree
from tasks.release.series.series_file import DebianSeries, Series, WorkingTree
from tasks.release.series.source import Source


def obtain(
    series: Series, *, sources: Mapping[str, str] | None = None, onto: str | None = None, force: bool = False
) -> Source:
    """Have everything that a series needs at hand.

    Args:
        series: The series.
        sources: Other places for its remotes, by name: a URL, a repository's directory or a bundle.
        onto: Take this as the base instead of the series' own: for a series of commits a commit id or a ref of the
            base's remote, else anything that git can resolve in the source package's repository.
        force: Get it although it is here.

    Raises:
        ConfigError: ``sources`` names a remote that the series does not have.
        KubeV6Error: The source cannot be had, or lacks a commit.
    """
    if isinstance(series, WorkingTree):
        if sources or onto:
            raise ConfigError(
                f"{series.path} is a working tree, which is taken as it stands, and no series of patches",
                todo="name a series, whose patches have a base and remotes",
            )
        return working_tree.obtain(series)
    if not isinstance(series, DebianSeries):
        return git_source.obtain(series, sources=sources, onto=onto, force=force)
    if sources:
        raise ConfigError(
            f"--source {next(iter(sources))}=...: series {series.name} has no remotes",
            todo=f"it is picked onto the source package {series.base}, which the Debian archive has",
        )
    found = debian_source.obtain(series.base, force=force)
    if onto is None:
        return found
    try:
        base = str(found.open().git.rev_parse("--verify", "--quiet", f"{onto}^{{commit}}"))
    except git.GitCommandError:
        raise ConfigError(f"--onto {onto}: there is no such commit in {found.repository}") from None
    return replace(found, base=base, version=base[:10])
