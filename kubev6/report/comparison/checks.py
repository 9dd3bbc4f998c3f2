"""Which checks hold no longer, hold again, came or went. Pure.

The proof is one list of checks. Another list, whatever judged it, is compared by the same function.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from configs.words import counted
from flows.run.record import CheckOfRun
from tasks.kubernetes.checks import NO_OTHER_NODE

NAMED = 3
"""Of the checks that one line is about: how many it names."""

Verdict = Literal["ok", "failed", "not asked"]


@dataclass(frozen=True, slots=True)
class CheckPair:
    """A check in both runs.

    Attributes:
        name: What was checked.
        source: Where from; empty for what has none.
        target: Where to.
        first: What came of it in the first run.
        second: What came of it in the second run.
        seen: What was seen where it failed, in the second run rather than in the first; else where it was asked last.
    """

    name: str
    source: str
    target: str
    first: Verdict
    second: Verdict
    seen: str

    @property
    def words(self) -> str:
        """The check in one line."""
        return f"{self.name} from {self.source} to {self.target}" if self.source else self.name

    @property
    def failed_ever(self) -> bool:
        """Whether it failed in either run."""
        return "failed" in (self.first, self.second)


@dataclass(frozen=True, slots=True)
class Checks:
    """A list of checks in both runs, by what became of each; those that hold in both are left out.

    Attributes:
        fail_now: Held in the first run.
        hold_again: Failed in the first run.
        fail_still: Failed in both.
        appeared: Were not asked in the first run; those that fail come first.
        gone: Are not asked in the second run; those that failed come first.
    """

    fail_now: tuple[CheckPair, ...] = ()
    hold_again: tuple[CheckPair, ...] = ()
    fail_still: tuple[CheckPair, ...] = ()
    appeared: tuple[CheckPair, ...] = ()
    gone: tuple[CheckPair, ...] = ()


def compare_checks(first: Iterable[CheckOfRun], second: Iterable[CheckOfRun]) -> Checks:
    """Sort the checks of two runs by what became of each.

    Args:
        first: Those of the first run.
        second: Those of the second run.
    """
    before, after = _answers(first), _answers(second)
    found: dict[tuple[Verdict, Verdict], list[CheckPair]] = defaultdict(list)
    for question, last in {**before, **after}.items():
        was, now = (_verdict(answers.get(question)) for answers in (before, after))
        seen = before[question].seen if (was, now) == ("failed", "ok") else last.seen
        found[was, now].append(CheckPair(last.name, last.source, last.target, was, now, seen))
    return Checks(
        fail_now=tuple(found["ok", "failed"]),
        hold_again=tuple(found["failed", "ok"]),
        fail_still=tuple(found["failed", "failed"]),
        appeared=(*found["not asked", "failed"], *found["not asked", "ok"]),
        gone=(*found["failed", "not asked"], *found["ok", "not asked"]),
    )


def worse(checks: Checks, *, asked_before: bool) -> Iterator[str]:
    """What of it is worse than before, in words.

    Args:
        checks: The checks of both runs.
        asked_before: Whether the first run asked any. When it did not, what fails now may have failed then.
    """
    if checks.fail_now:
        yield _failing(checks.fail_now, "that held", "now")
    new = [pair for pair in checks.appeared if pair.second == "failed"]
    if new and asked_before:
        yield _failing(new, "that the first run did not ask")


def _failing(pairs: Sequence[CheckPair], which: str, when: str = "") -> str:
    """How many checks fail, and which, as far as one line goes."""
    named = [pair.words for pair in pairs[:NAMED]]
    if more := len(pairs) - len(named):
        named.append(f"and {more} more")
    words = (counted(len(pairs), "check"), which, "fails" if len(pairs) == 1 else "fail", when)
    return f"{' '.join(filter(None, words))}: {'; '.join(named)}"


def _answers(checks: Iterable[CheckOfRun]) -> dict[tuple[str, str, str], CheckOfRun]:
    """Each question with its answer; of several answers to one question the worst."""
    found: dict[tuple[str, str, str], CheckOfRun] = {}
    for check in checks:
        question = check.name, check.source, _lasting_target(check)
        if question not in found or not check.ok:
            found[question] = check
    return found


def _lasting_target(check: CheckOfRun) -> str:
    """A check's target without what another run has otherwise by chance: the port of a NodePort, the cluster's name."""
    if check.name == NO_OTHER_NODE:
        return ""
    return re.sub(r":\d+$", "", check.target) if check.name == "NodePort" else check.target


def _verdict(check: CheckOfRun | None) -> Verdict:
    if check is None:
        return "not asked"
    return "ok" if check.ok else "failed"
