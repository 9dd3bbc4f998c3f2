"""The working directory of a series, from which it is compiled."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import git

from configs.errors import KubeV6Error
from tasks.paths import cache_dir
from tasks.series.repository import first_words, listed, missing_object, stderr_of
from tasks.series.series import Picked
from tasks.series.source import Source

_GENERATED = re.compile(r"(^|/)(zz_generated\.[^/]*|bindata)\.go$")
"""Files of the tree that Kubernetes' own makefile makes anew when what they come from is newer."""


def check_out(picked: Picked, source: Source) -> Path:
    """Put the result of a series into its own working directory and return that.

    Only files whose content differs are written, and generated files stay as the last compilation left them unless
    the series changes them: what was generated and compiled there before stays good.

    Raises:
        KubeV6Error: The source lacks a file of the tree.
    """
    place = cache_dir() / "worktree" / picked.series
    place.mkdir(parents=True, exist_ok=True)
    index = place.with_name(f".{picked.series}.index")
    # What was checked out last counts until all of this is done, so that a run that dies is simply done again.
    fresh = index.with_suffix(".unfinished")
    fresh.with_name(f"{fresh.name}.lock").unlink(missing_ok=True)
    repo = source.open(work_tree=place, index=fresh)
    try:
        if index.exists():
            shutil.copyfile(index, fresh)
        else:
            repo.git.read_tree("--empty")
        changed = set(listed(repo.git.diff_index("--cached", "--name-only", "-z", picked.commit)))
        for name in listed(repo.git.diff_index("--cached", "--name-only", "-z", "--diff-filter=A", picked.commit)):
            (place / name).unlink(missing_ok=True)
        repo.git.read_tree("--reset", picked.commit)
        # Files that were only touched, as code generators do, are told from changed ones before anything is written.
        repo.git.update_index("-q", "--refresh")
        different = listed(repo.git.diff_files("--name-only", "-z"))
        outdated = [name for name in different if name in changed or not _GENERATED.search(name)]
        with tempfile.TemporaryFile() as names:
            names.write("\0".join(outdated).encode())
            names.seek(0)
            repo.git.checkout_index("--force", "--index", "-z", "--stdin", istream=names)
    except git.GitCommandError as error:
        seen = missing_object(stderr_of(error))
        what = f"object {seen} is missing or damaged" if seen else first_words(error)
        raise KubeV6Error(
            f"series {picked.series}: its tree cannot be checked out from {source.name} {source.version}: {what}",
            todo="the whole tree is needed for building: name a whole repository in the series file",
            detail=stderr_of(error),
        ) from None
    repo.git.clean("-ffd", "--quiet")
    fresh.replace(index)
    return place
