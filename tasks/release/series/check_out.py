"""The working directory of a series, from which it is compiled."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import tempfile
from pathlib import Path

import git

from configs.errors import KubeV6Error
from tasks import bounded
from tasks.exclusive import exclusive
from tasks.paths import cache_dir
from tasks.release.series.repository import first_words, listed, missing_object, stderr_of
from tasks.release.series.series import Picked
from tasks.release.series.source import Source
from tasks.replace import remove, replace_directory, write_whole

log = logging.getLogger("kubev6.series")
_GENERATED = re.compile(r"(^|/)(zz_generated\.[^/]*|bindata)\.go$")
"""Files of the tree that Kubernetes' own makefile makes again when what they come from is newer."""


def check_out(picked: Picked, source: Source) -> Path:
    """Put the result of a series into its own working directory and return that.

    Only files whose content differs are written, and generated files stay as the last compilation left them unless
    the series changes them: what was generated and compiled there before stays good.

    Raises:
        KubeV6Error: The source lacks a file of the tree.
    """
    place = _place(picked)
    if not _whole(place):
        log.warning("series %s: the index of its working directory is damaged; it is checked out again", picked.series)
        # What is in there is not known. What was generated of it would not come out as from a new one, nor be compiled
        # to the same bytes.
        remove(place)
        _generated(place).unlink(missing_ok=True)
        _index(place).unlink()
    _check_out(picked, source, place)
    return place


def check_out_beside(picked: Picked, source: Source) -> Path:
    """The same into an empty directory beside it, which :func:`take_over` puts in its place.

    Raises:
        KubeV6Error: The source lacks a file of the tree.
    """
    place = _beside(picked)
    remove(place)
    _index(place).unlink(missing_ok=True)
    _check_out(picked, source, place)
    return place


def take_over(picked: Picked) -> None:
    """Make what was checked out beside it the working directory of a series."""
    place, fresh = _place(picked), _beside(picked)
    _index(place).unlink(missing_ok=True)
    replace_directory(fresh, place)
    _index(fresh).replace(_index(place))


def keep_generated(picked: Picked, source: Source) -> None:
    """Write down how a compilation that went well has left the generated files of the working directory."""
    place = _place(picked)
    repo = source.open(work_tree=place, index=_index(place))
    names = [name for name in listed(repo.git.diff_files("--name-only", "-z")) if _GENERATED.search(name)]
    write_whole(_generated(place), json.dumps({name: _digest(place / name) for name in names}))


def _check_out(picked: Picked, source: Source, place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    index = _index(place)
    # What was checked out last counts until all of this is done, so that a run that dies is simply done again.
    fresh = index.with_suffix(".unfinished")
    fresh.with_name(f"{fresh.name}.lock").unlink(missing_ok=True)
    repo = source.open(work_tree=place, index=fresh)
    # The repository may be replaced by one that was made again.
    with exclusive(source.repository.with_name(f".{source.repository.name}.lock"), what="check out"):
        try:
            if index.exists():
                shutil.copyfile(index, fresh)
            else:
                repo.git.read_tree("--empty")
            changed = set(listed(repo.git.diff_index("--cached", "--name-only", "-z", picked.commit)))
            for name in listed(repo.git.diff_index("--cached", "--name-only", "-z", "--diff-filter=A", picked.commit)):
                (place / name).unlink(missing_ok=True)
            repo.git.read_tree("--reset", picked.commit)
            # Files that were only touched, as code generators do, are told from changed ones before anything is
            # written.
            repo.git.update_index("-q", "--refresh")
            different = listed(repo.git.diff_files("--name-only", "-z"))
            generated = _as_compiled(place)
            outdated = [name for name in different if name in changed or not _is_generated(place, name, generated)]
            with tempfile.TemporaryFile() as names:
                names.write("\0".join(outdated).encode())
                names.seek(0)
                repo.git.checkout_index("--force", "--index", "-z", "--stdin", istream=names)
        except git.GitCommandError as error:
            raise _cannot(picked, source, error) from None
    repo.git.clean("-ffd", "--quiet")
    fresh.replace(index)


def _cannot(picked: Picked, source: Source, error: git.GitCommandError) -> KubeV6Error:
    seen = missing_object(stderr_of(error))
    what = f"object {seen} is missing or damaged" if seen else first_words(error)
    again = "--refresh source gets the source again"
    return KubeV6Error(
        f"series {picked.series}: its tree cannot be checked out from {source.name} {source.version}: {what}",
        todo=f"the whole tree is needed for building: name a whole repository in the series file; or {again}"
        if source.borrowed
        else again,
        detail=stderr_of(error),
    )


def _whole(place: Path) -> bool:
    """Whether the index of a working directory is as it was written, or not there yet.

    It ends in the SHA-1 of all that comes before (gitformat-index(5)), which git itself looks at only in fsck.
    """
    try:
        content = _index(place).read_bytes()
    except FileNotFoundError:
        return True
    return hashlib.sha1(content[:-20], usedforsecurity=False).digest() == content[-20:]


def _is_generated(place: Path, name: str, as_compiled: dict[str, str] | None) -> bool:
    """Whether a file is as the last compilation has generated it."""
    if not _GENERATED.search(name) or not (place / name).exists():
        return False
    return as_compiled is None or as_compiled.get(name) == _digest(place / name)


def _as_compiled(place: Path) -> dict[str, str] | None:
    """The sha256 of each file that the last compilation has generated; None when that was not written down."""
    return bounded.kept(_generated(place), dict[str, str], "what is named like a generated file counts as one")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _place(picked: Picked) -> Path:
    return cache_dir() / "worktree" / picked.series


def _beside(picked: Picked) -> Path:
    return _place(picked).with_name(f".{picked.series}.anew")


def _index(place: Path) -> Path:
    return place.with_name(f".{place.name}.index")


def _generated(place: Path) -> Path:
    return place.with_name(f".{place.name}.generated.json")
