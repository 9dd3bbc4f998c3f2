"""Where a series is picked onto: a tree in one of our repositories, whatever it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import git

from tasks.release.series.repository import open_repository


@dataclass(frozen=True, slots=True)
class Source:
    """One version of a source.

    Attributes:
        name: What it is, for example ``kubernetes``.
        version: Which one: a Debian version, or the short id of the base.
        origin: Where it came from, for a release's manifest.
        repository: Our repository that holds it.
        base: Commit id of the tree that a series is picked onto.
        timestamp: Seconds since 1970: when Debian released that version, or when the base was committed.
        borrowed: Object directories of other people's repositories that are read where they are.
    """

    name: str
    version: str
    origin: str
    repository: Path
    base: str
    timestamp: int
    borrowed: tuple[Path, ...] = ()

    def open(self, *, work_tree: Path | None = None, index: Path | None = None) -> git.Repo:
        """Its repository, where a new commit gets this source's time.

        Args:
            work_tree: A directory to check out into; the repository's own when None.
            index: The index file that goes with it.
        """
        return open_repository(
            self.repository, work_tree=work_tree, index=index, committed=self.timestamp, borrowed=self.borrowed
        )
