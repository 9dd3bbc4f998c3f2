"""Where everything of the time line stands: a row for everything that was worked on, a bar for every step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from configs.words import MONOSPACE, duration, fitted
from flows.run.record import Outcome, StepOfRun
from flows.run.summary import StepKind, step_kinds

WIDTH = 1080.0
LABELS = 176.0
"""Room for the names of the rows."""
HEAD = 26.0
MARK = 13.0


@dataclass(frozen=True, slots=True)
class Row:
    """A row with its name, cut to the room there is."""

    name: str
    label: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A step. ``label`` is what fits into it, ``words`` everything about it."""

    x: float
    y: float
    width: float
    height: float
    colour: int
    label: str
    words: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of the time scale."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The whole drawing."""

    width: float
    height: float
    text: float
    rows: tuple[Row, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    kinds: tuple[StepKind, ...]


def draw(steps: Sequence[StepOfRun], nodes: Sequence[str], seconds: float) -> Timeline:
    """Lay out the steps of a run.

    Args:
        steps: The steps.
        nodes: Names of the cluster's nodes in their order; what else was worked on goes above them.
        seconds: How long the run took.
    """
    ordered = sorted(steps, key=lambda step: step.start)
    of_kind = step_kinds(ordered)
    of_title = {kind.title: kind for kind in of_kind}
    subjects = _subjects(ordered, nodes)
    total = max([seconds, *(step.start + step.seconds for step in steps), 0.001])
    lane, gap, text = (15.0, 3.0, 10.0) if len(subjects) > 16 else (21.0, 7.0, 11.5)
    scale = (WIDTH - LABELS - 14) / total

    rows: list[Row] = []
    bars: list[Bar] = []
    y = HEAD
    for subject in subjects:
        mine = [step for step in ordered if step.subject == subject]
        lanes = _lanes(mine)
        height = lane * (max(lanes) + 1)
        rows.append(Row(subject, fitted(subject, LABELS - 12, text), y, height))
        for step, number in zip(mine, lanes, strict=True):
            kind = of_title[step.title]
            # However short, what failed has room for its mark.
            width = max(MARK if step.outcome == "failed" else 1.5, step.seconds * scale)
            bars.append(
                Bar(
                    x=round(LABELS + step.start * scale, 2),
                    y=y + number * lane + 1,
                    width=round(width, 2),
                    height=lane - 2,
                    colour=kind.colour,
                    label=_label(step, kind, width, text),
                    words=_words(step),
                    outcome=step.outcome,
                )
            )
        y += height + gap
    ticks = tuple(Tick(round(LABELS + at * scale, 2), _clock(at)) for at in _marks(total))
    return Timeline(WIDTH, y + 4, text, tuple(rows), tuple(bars), ticks, of_kind)


def _subjects(steps: Iterable[StepOfRun], nodes: Sequence[str]) -> list[str]:
    """What was worked on: first what concerns the whole run, by its beginning, then the nodes in their order."""
    found = dict.fromkeys(step.subject for step in steps)
    return [name for name in found if name not in nodes] + [name for name in nodes if name in found]


def _lanes(steps: Sequence[StepOfRun]) -> list[int]:
    """For each step of one row, in the order of their beginnings, the first lane that is free by then."""
    free: list[float] = []
    chosen = []
    for step in steps:
        # Times are rounded to the millisecond, so the next step may seem to begin before the last has ended.
        number = next((lane for lane, until in enumerate(free) if until <= step.start + 0.002), len(free))
        if number == len(free):
            free.append(0.0)
        free[number] = step.start + step.seconds
        chosen.append(number)
    return chosen


def _label(step: StepOfRun, kind: StepKind, width: float, size: float) -> str:
    """The longest that fits: what is done, the kind's letter, nothing. A failure is always marked."""
    mark = {"ended": "", "failed": "✗ ", "not ended": "… "}[step.outcome]
    for words in (f"{mark}{kind.letter} {kind.title}", f"{mark}{kind.letter}", mark.strip()):
        if len(words) * MONOSPACE * size + 5 <= width:
            return words
    return ""


def _words(step: StepOfRun) -> str:
    came_to = {"ended": "", "failed": "FAILED", "not ended": "not ended"}[step.outcome]
    first_line = step.text.strip().partition("\n")[0]
    after = ", ".join(part for part in (came_to, first_line) if part)
    return f"{step.subject}: {step.title}, {duration(step.seconds)}" + (f": {after}" if after else "")


def _marks(total: float) -> list[float]:
    """Round times, five to ten of them over the whole run."""
    for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400):
        if total / step <= 9:
            break
    else:
        step = 3600 * max(1, round(total / 3600 / 8))
    return [number * step for number in range(int(total / step) + 1)]


def _clock(seconds: float) -> str:
    """``0.5 s``, ``20 s``, ``1:30``, ``2:05:00``: minutes from the first whole one on."""
    if seconds < 60:
        return f"{seconds:g} s"
    whole = int(seconds)
    hours = f"{whole // 3600}:" if whole >= 3600 else ""
    return f"{hours}{whole % 3600 // 60:{'02d' if hours else 'd'}}:{whole % 60:02d}"
