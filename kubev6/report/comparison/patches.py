"""Which patches of a series came, went, or stand otherwise. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from flows.run.record import PatchOfRun, SeriesOfRun

What = Literal["added", "removed", "other fate", "other source", "moved"]


@dataclass(frozen=True, slots=True)
class PatchPlace:
    """A patch in one of the series.

    Attributes:
        number: Which one it is, from 1.
        fate: What became of it.
        source: The commit or file that it was picked from.
    """

    number: int
    fate: str
    source: str


@dataclass(frozen=True, slots=True)
class PatchPair:
    """A patch that differs.

    Attributes:
        title: First line of its commit message.
        what: In what it differs.
        first: How it stands in the first run's series; None where it does not.
        second: How it stands in the second run's.
    """

    title: str
    what: tuple[What, ...]
    first: PatchPlace | None
    second: PatchPlace | None


def compare_patches(first: SeriesOfRun, second: SeriesOfRun) -> tuple[PatchPair, ...]:
    """The patches that differ: in the order of the second series, then those that only the first one has.

    A patch is the same one when it was picked from the same commit or file, or else when it has the same title.

    Args:
        first: The first series.
        second: The second one.
    """
    partners = _partners(first.patches, second.patches)
    moved = _moved(partners)
    found = []
    for number, patch in enumerate(second.patches):
        before = first.patches[partners[number]] if number in partners else None
        what = _what(before, patch, moved=number in moved)
        place = _place(partners[number], before) if before else None
        if what:
            found.append(PatchPair(patch.title, what, place, _place(number, patch)))
    kept = set(partners.values())
    removed = (each for each in enumerate(first.patches) if each[0] not in kept)
    return (*found, *(PatchPair(patch.title, ("removed",), _place(number, patch), None) for number, patch in removed))


def _place(index: int, patch: PatchOfRun) -> PatchPlace:
    return PatchPlace(index + 1, patch.fate, patch.source)


def _what(before: PatchOfRun | None, after: PatchOfRun, *, moved: bool) -> tuple[What, ...]:
    if before is None:
        return ("added",)
    what: list[What] = []
    if before.fate != after.fate:
        what.append("other fate")
    if before.source != after.source:
        what.append("other source")
    if moved:
        what.append("moved")
    return tuple(what)


def _partners(first: Sequence[PatchOfRun], second: Sequence[PatchOfRun]) -> dict[int, int]:
    """For each patch of the second series, by its index, the index of the same one in the first."""
    found = _same([patch.source for patch in first], [patch.source for patch in second], {})
    return _same([patch.title for patch in first], [patch.title for patch in second], found)


def _same(first: Sequence[str], second: Sequence[str], known: Mapping[int, int]) -> dict[int, int]:
    """Partners by one sign of recognition, besides those that are known already."""
    free: dict[str, list[int]] = defaultdict(list)
    taken = set(known.values())
    for index in reversed(range(len(first))):
        if index not in taken:
            free[first[index]].append(index)
    found = dict(known)
    for index, sign in enumerate(second):
        if index not in known and sign and free[sign]:
            found[index] = free[sign].pop()
    return found


def _moved(partners: Mapping[int, int]) -> Collection[int]:
    """Those patches of the second series without which the others have the order that they have in the first.

    As few as possible: the others are a longest increasing subsequence, each link of it found by bisection.
    """
    tails: list[int] = []
    reached = {}
    for index in sorted(partners):
        reached[index] = bisect_left(tails, partners[index])
        tails[reached[index] : reached[index] + 1] = [partners[index]]
    wanted, below = len(tails) - 1, len(partners) and max(partners.values()) + 1
    moved = set()
    for index in sorted(partners, reverse=True):
        if reached[index] == wanted and partners[index] < below:
            wanted, below = wanted - 1, partners[index]
        else:
            moved.add(index)
    return moved
