"""What got slower or faster. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flows.run.record import Outcome, StepOfRun
from flows.run.summary import under_way

NOISE_SECONDS, NOISE_SHARE = 1.0, 0.25
"""Times that differ by less than a second, or by less than this part of the longer one, may be those of the same work
done twice: so much the steps of one lab differed from one deploy, or one build, to the next."""
_BADNESS: tuple[Outcome, ...] = ("ended", "not ended", "failed")


@dataclass(frozen=True, slots=True)
class Time:
    """How long one kind of step was under way in each run.

    Attributes:
        title: What is done.
        first: Seconds in the first run; None where there was no such step.
        second: Seconds in the second run.
        by: By how many seconds the second run was slower; negative where it was faster.
        beyond_noise: Whether that is more than what the same work done twice differs by.
        first_outcome: How it ended in the first run: ``ended`` only if it did everywhere.
        second_outcome: The same of the second run.
        subjects: On how many it was done.
        most_on: The one of them where it differs most.
        most_by: By how many seconds it differs there.
    """

    title: str
    first: float | None
    second: float | None
    by: float
    beyond_noise: bool
    first_outcome: Outcome | None
    second_outcome: Outcome | None
    subjects: int
    most_on: str
    most_by: float


def compare_times(first: Sequence[StepOfRun], second: Sequence[StepOfRun]) -> tuple[Time, ...]:
    """How long each kind of step was under way in two runs, the largest difference first.

    Args:
        first: The steps of the first run.
        second: Those of the second run.
    """
    before, after = _by_title(first), _by_title(second)
    found = (_time(title, before.get(title, ()), after.get(title, ())) for title in {**before, **after})
    return tuple(sorted(found, key=lambda time: -abs(time.by)))


def _time(title: str, first: Sequence[StepOfRun], second: Sequence[StepOfRun]) -> Time:
    was, now = _seconds(first), _seconds(second)
    by = (now or 0.0) - (was or 0.0)  # what was not done took no time
    on: dict[str, float] = defaultdict(float)
    for sign, steps in ((-1, first), (1, second)):
        for step in steps:
            on[step.subject] += sign * step.seconds
    most_on = (max if by >= 0 else min)(on, key=lambda subject: on[subject])
    return Time(
        title=title,
        first=was,
        second=now,
        by=round(by, 3),
        beyond_noise=abs(by) >= max(NOISE_SECONDS, NOISE_SHARE * max(was or 0.0, now or 0.0)),
        first_outcome=_outcome(first),
        second_outcome=_outcome(second),
        subjects=len(on),
        most_on=most_on,
        most_by=round(on[most_on], 3),
    )


def _by_title(steps: Iterable[StepOfRun]) -> dict[str, list[StepOfRun]]:
    found: dict[str, list[StepOfRun]] = defaultdict(list)
    for step in sorted(steps, key=lambda step: step.start):
        found[step.title].append(step)
    return found


def _seconds(steps: Sequence[StepOfRun]) -> float | None:
    if not steps:
        return None
    return round(under_way((step.start, step.start + step.seconds) for step in steps), 3)


def _outcome(steps: Iterable[StepOfRun]) -> Outcome | None:
    """The worst of all subjects; of a step that was tried again the last time counts."""
    last = {step.subject: step.outcome for step in steps}
    return max(last.values(), key=_BADNESS.index, default=None)
