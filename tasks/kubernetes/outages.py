"""What became of each check while a cluster was watched. Pure: :mod:`~tasks.kubernetes.watch` looks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tasks.kubernetes.checks import Check

Key = tuple[str, str, str]
"""Name, source and target of a check."""


def key_of(check: Check) -> Key:
    """What a check is known by from one look to the next."""
    return check.name, check.source, check.target


@dataclass(frozen=True, slots=True)
class Outage:
    """A time over which a check failed each time that it was looked at.

    Attributes:
        check: As it failed first.
        began: When that was, in seconds since the watch began.
        seconds: From then to the first look at which it held again, or to the end of the watch.
        over: Whether it held again.
    """

    check: Check
    began: float
    seconds: float = 0.0
    over: bool = False


@dataclass(slots=True)
class History:
    """What was seen so far.

    Attributes:
        rounds: How often was looked.
        outages: Those that are over, in the order of their ends.
        open: Those that are not, by their checks.
        known: Every check that was looked at.
    """

    rounds: int = 0
    outages: list[Outage] = field(default_factory=list)
    open: dict[Key, Outage] = field(default_factory=dict)
    known: set[Key] = field(default_factory=set)

    def add(self, at: float, checks: Iterable[Check]) -> tuple[Outage, ...]:
        """Take what a look has shown, and give what is new: an outage that began, or one that is over.

        A check that is not asked for any more, as of a pod that is gone, ends no outage.

        Args:
            at: When, in seconds since the watch began.
            checks: What was seen.
        """
        new: list[Outage] = []
        self.rounds += 1
        for check in checks:
            key = key_of(check)
            self.known.add(key)
            if not check.ok and key not in self.open:
                new.append(Outage(check, at))
                self.open[key] = new[-1]
            elif check.ok and (begun := self.open.pop(key, None)):
                new.append(replace(begun, seconds=at - begun.began, over=True))
                self.outages.append(new[-1])
        return tuple(new)

    def all(self, at: float) -> tuple[Outage, ...]:
        """Every outage, those that are not over up to now, in the order of their beginnings.

        Args:
            at: When, in seconds since the watch began.
        """
        lasting = (replace(each, seconds=at - each.began) for each in self.open.values())
        return tuple(sorted((*self.outages, *lasting), key=lambda each: each.began))
