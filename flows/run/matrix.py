"""Who reaches whom: the proof as tables of cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from configs.words import answer_time, milliseconds
from flows.run.record import CheckOfRun, Topology
from tasks.kubernetes import pod_pairs

POD = "pod on "
WARMTH = (0.005, 0.02, 0.1, 0.5)
"""Where one shade of the heat map ends and the next begins, in seconds."""
NOT_TRIED = "\N{EN DASH}"
MANY = 12
"""More sources than this get small cells."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One answer, or several to the same question, of which the worst counts.

    Attributes:
        state: What came of it; ``none`` where nothing was asked.
        text: For the cell.
        words: Everything about it.
        shade: Number of its shade, from quick to slow.
    """

    state: Literal["ok", "failed", "none"]
    text: str
    words: str
    shade: int = 0


@dataclass(frozen=True, slots=True)
class Column:
    """One column; ``words`` says more than its head has room for."""

    head: str
    words: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """A table of cells.

    Attributes:
        title: What it shows.
        groups: Heads above the columns' own, with how many columns each stands over; none when all is one group.
        columns: Its columns.
        rows: The source of each row and its cells.
        small: Whether cells and heads are to be small.
        note: What is to be known of it in a sentence, if anything.
    """

    title: str
    groups: tuple[tuple[str, int], ...]
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    small: bool
    note: str = ""


def pod_to_pod(topology: Topology, checks: Sequence[CheckOfRun]) -> Matrix | None:
    """Every pod to the pods of the nodes that it asked; None when no such thing was asked."""
    answers = {(check.source, check.target): check for check in checks if is_pod_to_pod(check)}
    if not answers:
        return None
    if note := pod_pairs.note(answers):
        return _some_pairs(answers, note)
    known = [f"{POD}{name}" for name in _names(topology)]
    pods = list(dict.fromkeys([*known, *(end for pair in answers for end in pair)]))
    names = [pod.removeprefix(POD) for pod in pods]
    rows = tuple(
        (
            source.removeprefix(POD),
            tuple(
                _itself(source)
                if source == target
                else _cell((source, target), [answers[source, target]] if (source, target) in answers else [])
                for target in pods
            ),
        )
        for source in pods
    )
    small = len(pods) > MANY
    columns = tuple(Column(str(number) if small else name, name) for number, name in enumerate(names, 1))
    return Matrix("From the pod on … to the pod on …", (), columns, rows, small)


def _some_pairs(answers: Mapping[tuple[str, str], CheckOfRun], note: str) -> Matrix:
    """Each pod with those that it asked, side by side: a square would be empty nearly everywhere, and grow with it."""
    cells: defaultdict[str, list[Cell]] = defaultdict(list)
    for pair, check in answers.items():
        cell = _cell(pair, [check])
        cells[pair[0].removeprefix(POD)].append(replace(cell, text=f"{pair[1].removeprefix(POD)}: {cell.text}"))
    columns = tuple(Column(head, head) for head in map("pod {}".format, range(1, max(map(len, cells.values())) + 1)))
    rows = tuple((name, tuple(found)) for name, found in cells.items())
    return Matrix("From the pod on … to the pods on …", (), columns, rows, small=False, note=note)


def services_and_outside(topology: Topology, checks: Sequence[CheckOfRun]) -> Matrix | None:
    """What every node and its pod reach besides other pods; None when nothing was asked."""
    asked = [check for check in checks if check.source not in ("API", "files") and not is_pod_to_pod(check)]
    if not asked:
        return None
    from_pods = list(dict.fromkeys(check.name for check in asked if check.source.startswith(POD)))
    from_nodes = list(dict.fromkeys(check.name for check in asked if not check.source.startswith(POD)))
    names = list(dict.fromkeys([*_names(topology), *(check.source.removeprefix(POD) for check in asked)]))
    answers: defaultdict[tuple[str, str], list[CheckOfRun]] = defaultdict(list)
    for check in asked:
        answers[check.source, check.name].append(check)
    rows = []
    for name in names:
        cells = []
        for prefix, questions in ((POD, from_pods), ("", from_nodes)):
            source = f"{prefix}{name}"
            cells += [_cell((source, question), answers[source, question]) for question in questions]
        rows.append((name, tuple(cells)))
    groups = tuple(
        (title, len(questions))
        for title, questions in (("from its pod", from_pods), ("from the node itself", from_nodes))
        if questions
    )
    columns = tuple(Column(question, question) for question in (*from_pods, *from_nodes))
    return Matrix("Services, names and the IPv4 Internet", groups, columns, tuple(rows), len(rows) > MANY)


def is_pod_to_pod(check: CheckOfRun) -> bool:
    """Whether a check belongs into the square of pods."""
    return check.source.startswith(POD) and check.target.startswith(POD)


def shades() -> tuple[str, ...]:
    """What each shade means, in words."""
    edges = [f"{edge * 1000:g}" for edge in WARMTH]
    between = [f"{low} to {high} ms" for low, high in pairwise(edges)]
    return (f"under {edges[0]} ms", *between, f"{edges[-1]} ms and more")


def _names(topology: Topology) -> Iterable[str]:
    """Names of the nodes of Kubernetes."""
    return [node.name for node in topology.nodes if set(node.roles) - {"support"}]


def _itself(source: str) -> Cell:
    return Cell("none", "·", f"{source}: itself")


def _cell(of: tuple[str, str], answers: Sequence[CheckOfRun]) -> Cell:
    between = " to ".join(of)
    if not answers:
        return Cell("none", NOT_TRIED, f"{between}: not tried")
    worst = max(answers, key=lambda check: (not check.ok, check.seconds))
    time = milliseconds(worst.seconds)
    if not worst.ok:
        return Cell("failed", time, f"{between}: FAILED after {answer_time(worst.seconds)}: {worst.seen}")
    shade = sum(worst.seconds >= edge for edge in WARMTH)
    return Cell("ok", time, f"{between}: ok, {answer_time(worst.seconds)}", shade)
