"""How a bisection is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.release.series.bisection import Judged
from tasks.release.series.repository import Commit

SHORT = 12
"""So many characters of a commit's id are shown."""


def named(commit: Commit) -> str:
    """A commit by its id and title. Pure."""
    return f'{commit.id[:SHORT]} "{commit.title}"'


def step(commit: Commit, verdict: str, seconds: float, left: str) -> str:
    """One line for a commit that was tried. Pure.

    Args:
        commit: The commit.
        verdict: What was said of it.
        seconds: How long that took.
        left: How many were left when it was chosen, in words.
    """
    return f"{verdict:<7} {commit.id[:SHORT]} {commit.title} ({seconds:.0f} s; {left})"


def found(first: Commit, judge: str, judged: Mapping[str, Judged]) -> str:
    """The end, in one line: the commit, what is wrong with it, and where that is to be seen. Pure.

    Args:
        first: The first bad commit.
        judge: What has judged it.
        judged: What was said of each commit that was tried, by its id.
    """
    said = judged[first.id]
    parent = next((each for each in first.parents if each in judged), "")
    reports = f"`kubev6 report {said.run}`"
    reports += f", and of its parent `kubev6 report {judged[parent].run}`" if parent else "; its parent was not tried"
    return (
        f"{named(first)} by {first.author_name} is the first bad commit by {judge}: {said.seen}; "
        f"the report is drawn by {reports}"
    )


def one_of(commits: Sequence[Commit], judged: Mapping[str, Judged]) -> str:
    """The end when commits that could not be judged are in the way. Pure.

    Args:
        commits: Of which one is the first bad one.
        judged: What was said of each commit that was tried, by its id.
    """
    lines = [f"The first bad commit is one of {len(commits)}, of which git can tell no more:"]
    return "\n".join(
        [*lines, *(f"  {named(each)}: {judged[each.id].verdict}, {judged[each.id].seen}" for each in commits)]
    )
