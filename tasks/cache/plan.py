"""What of the things that are kept is to go, and why the others stay. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DAY = 24 * 3600

Rule = Literal["yours", "unneeded", "old", "all"]
"""When a thing may go: never; when nothing needs it; when nothing has used it for some time either; when all goes."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing that is kept.

    Attributes:
        kind: What it is, for example ``"work tree"``.
        name: Which one; with the kind it is one of a kind.
        rule: When it may go.
        size: What it takes of the disk, in bytes.
        count: Of how many files it consists.
        used: When it was used last, seconds since 1970.
        paths: Where it is.
        images: Ids of images that the Docker engine holds, which have no path.
        needed: What needs it now; empty when nothing does.
        unneeded: Why nothing does, or what it is that stays all the same.
        of: Names of the builds that refer to it. It goes with the last of them.
    """

    kind: str
    name: str
    rule: Rule
    size: int
    count: int
    used: float
    paths: tuple[Path, ...] = ()
    images: tuple[str, ...] = ()
    needed: str = ""
    unneeded: str = ""
    of: tuple[str, ...] = ()

    def is_same(self, other: Kept) -> bool:
        """Whether both are the same thing, seen at different times."""
        return (self.kind, self.name) == (other.kind, other.name)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a thing.

    Attributes:
        kept: The thing.
        goes: Whether it is to go.
        why: Why, or why not.
    """

    kept: Kept
    goes: bool
    why: str


def plan(kept: Sequence[Kept], *, now: float, older_than: float, everything: bool = False) -> tuple[Fate, ...]:
    """What becomes of each thing.

    Args:
        kept: The things.
        now: The time, seconds since 1970.
        older_than: After how many days without use a thing goes that would only be made again when it is needed.
        everything: Whether all goes that can be made again.
    """
    fates: list[Fate] = []
    for each in kept:
        if not each.of:
            fates.append(Fate(each, *_alone(each, now, older_than, everything)))
    gone = {fate.kept.name for fate in fates if fate.goes}
    for each in kept:
        if each.of:
            staying = [build for build in each.of if build not in gone]
            fates.append(Fate(each, not staying, f"of {staying[0]}" if staying else f"of no build but {each.of[0]}"))
    order = {id(each): position for position, each in enumerate(kept)}
    return tuple(sorted(fates, key=lambda fate: order[id(fate.kept)]))


def surplus(kept: Sequence[Kept], release: str, newest: int) -> tuple[Fate, ...]:
    """Builds of a release that are too many, and what only they refer to.

    Args:
        kept: The builds of all releases, and the blobs.
        release: The name of the release.
        newest: So many of its builds stay, and all that something needs.
    """
    builds = [each for each in kept if not each.of and each.kind == "release" and each.name.split()[0] == release]
    builds.sort(key=lambda build: build.used, reverse=True)
    gone = {build.name: build for build in builds[newest:] if not build.needed}
    why = f"older than the newest {newest}"
    blobs = (each for each in kept if each.of and gone.keys() >= set(each.of))
    return tuple(Fate(each, True, why) for each in (*gone.values(), *blobs))


def _alone(each: Kept, now: float, older_than: float, everything: bool) -> tuple[bool, str]:
    """What becomes of a thing that does not hang on others: whether it goes, and why."""
    if each.rule == "yours":
        return False, each.unneeded
    if everything and each.rule in ("old", "all"):
        return True, "can be made again"
    if each.needed:
        return False, each.needed
    if each.rule == "unneeded":
        return True, each.unneeded
    days = max(now - each.used, 0) / DAY
    if each.rule == "old" and days > older_than:
        return True, f"not used for {days:.0f} days"
    return False, each.unneeded or f"used {_ago(days)}"


def _ago(days: float) -> str:
    return "today" if days < 1 else "yesterday" if days < 2 else f"{days:.0f} days ago"


def freed(fates: Iterable[Fate]) -> int:
    """How many bytes of disk go."""
    return sum(fate.kept.size for fate in fates if fate.goes)


def line(fate: Fate) -> str:
    """A thing that goes, in one line."""
    return f"{fate.kept.kind} {fate.kept.name}: {fate.why}, {size(fate.kept.size)}"


def amount(fates: Iterable[Fate]) -> str:
    """How much goes."""
    return size(freed(fates))


def size(count: int) -> str:
    """A number of bytes, for people."""
    return (
        f"{count / 1e9:.1f} GB"
        if count >= 1e9
        else f"{count / 1e6:.1f} MB"
        if count >= 1e5
        else f"{count / 1e3:.0f} kB"
    )
