"""What a record says of a run in short: of each node, of each kind of step, of each kind of check. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from configs.words import counted
from flows.run.record import ChangeOfRun, CheckOfRun, NodeOfRun, RunRecord, StepOfRun
from flows.run.run_outcome import culprits, is_about

ROLE_WORDS = {"support": "support", "control-plane": "control plane", "worker": "worker"}
Tone = Literal["good", "bad", "open"]
TONE_SYMBOLS = {"good": "✓", "bad": "✗", "open": "…"}
COLOURS = 10
"""Kinds of steps take turns with this many colours; their letters tell them apart for good."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a run did to a node, in words, and whether that is good; ``open`` is neither."""

    text: str
    tone: Tone = "good"

    @property
    def symbol(self) -> str:
        """The tone without colour."""
        return TONE_SYMBOLS[self.tone]


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node in the table of nodes: what it is, what was done to it and how long that took."""

    node: NodeOfRun
    roles: str
    mark: Mark | None
    seconds: float


@dataclass(frozen=True, slots=True)
class StageChanges:
    """What was changed in one stage of a node; ``stage`` is empty for what is part of none."""

    stage: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodeChanges:
    """What was changed on one node, or on what is none, such as the registry."""

    name: str
    count: int
    stages: tuple[StageChanges, ...]


@dataclass(frozen=True, slots=True)
class CheckKind:
    """All checks of one name: how many, how many hold, and the slowest of those that do."""

    name: str
    of: int
    ok: int
    slowest: float


@dataclass(frozen=True, slots=True)
class StepKind:
    """All steps of one title.

    Attributes:
        letter: Stands for it in bars that have no room for words.
        title: What is done.
        colour: Number of its colour.
        on: What it was done on: the subject's name, or how many.
        start: Seconds from the beginning of the run to the first of its steps.
        seconds: From there to the end of its last one.
        work: Sum of the seconds of all.
        longest: Subject of the longest one.
        failed: How many failed.
        not_ended: How many had not ended when the run did.
    """

    letter: str
    title: str
    colour: int
    on: str
    start: float
    seconds: float
    work: float
    longest: str
    failed: int
    not_ended: int


def node_marks(record: RunRecord) -> dict[str, Mark]:
    """What came of each node that the run came to: a proof that it fails, a step that failed, or what changed.

    Of a step that was tried again the last time counts.
    """
    marks = {}
    failed_checks = [check for check in record.checks if not check.ok]
    at_fault = culprits(record)
    for node in record.topology.nodes if record.topology else ():
        last = {step.title: step.outcome for step in record.steps if step.subject == node.name}
        failed = [title for title, outcome in last.items() if outcome == "failed"]
        failed += [error.step for error in record.errors if error.node == node.name and error.step not in failed]
        unfinished = [title for title, outcome in last.items() if outcome == "not ended"]
        changed = sum(change.node == node.name for change in record.changes)
        if node.name in at_fault:
            about = sum(is_about(check, node.name) for check in failed_checks)
            marks[node.name] = Mark(f"{counted(about, 'check')} failed", "bad")
        elif failed:
            marks[node.name] = Mark(f"{', '.join(failed)} failed", "bad")
        elif unfinished:
            marks[node.name] = Mark(f"{', '.join(unfinished)} not ended", "open")
        elif last:
            marks[node.name] = Mark(counted(changed, "change") if changed else "no change")
    return marks


def node_rows(record: RunRecord, marks: dict[str, Mark]) -> tuple[NodeRow, ...]:
    """The table of nodes."""
    return tuple(
        NodeRow(
            node=node,
            roles=", ".join(ROLE_WORDS.get(role, role) for role in node.roles),
            mark=marks.get(node.name),
            seconds=sum(step.seconds for step in record.steps if step.subject == node.name),
        )
        for node in (record.topology.nodes if record.topology else ())
    )


def changes_by_node(record: RunRecord) -> tuple[NodeChanges, ...]:
    """What was changed where: the cluster's nodes in their order, then what else was changed."""
    nodes = [node.name for node in record.topology.nodes] if record.topology else []
    by_name: dict[str, list[ChangeOfRun]] = {name: [] for name in nodes}
    for change in record.changes:
        by_name.setdefault(change.node, []).append(change)
    return tuple(
        NodeChanges(
            name=name,
            count=len(changes),
            stages=tuple(
                StageChanges(stage, tuple(change.words for change in changes if change.stage == stage))
                for stage in dict.fromkeys(change.stage for change in changes)
            ),
        )
        for name, changes in by_name.items()
        if changes
    )


def check_kinds(checks: Sequence[CheckOfRun]) -> tuple[CheckKind, ...]:
    """The proof in short."""
    found = []
    for name in dict.fromkeys(check.name for check in checks):
        same = [check for check in checks if check.name == name]
        good = [check for check in same if check.ok]
        found.append(CheckKind(name, len(same), len(good), max((check.seconds for check in good), default=0.0)))
    return tuple(found)


def author_name(author: str) -> str:
    """``Name`` of ``Name <address>``: an address is nobody's business in a page that is passed on."""
    return author.partition(" <")[0]


def step_kinds(steps: Sequence[StepOfRun]) -> tuple[StepKind, ...]:
    """The steps by their titles, in the order of the first beginnings."""
    found = []
    for number, title in enumerate(dict.fromkeys(step.title for step in steps)):
        same = [step for step in steps if step.title == title]
        subjects = list(dict.fromkeys(step.subject for step in same))
        start = min(step.start for step in same)
        found.append(
            StepKind(
                letter=_letter(number),
                title=title,
                colour=number % COLOURS,
                on=subjects[0] if len(subjects) == 1 else f"{len(subjects)} in all",
                start=start,
                seconds=max(step.start + step.seconds for step in same) - start,
                work=sum(step.seconds for step in same),
                longest=max(same, key=lambda step: step.seconds).subject,
                failed=sum(step.outcome == "failed" for step in same),
                not_ended=sum(step.outcome == "not ended" for step in same),
            )
        )
    return tuple(found)


def under_way(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds in which anything was under way; those in which several things were count once.

    Args:
        spans: When each began and ended, in seconds.
    """
    total, until = 0.0, float("-inf")
    for began, ended in sorted(spans):
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total


def _letter(number: int) -> str:
    """A to Z, then AA and so on."""
    return ("" if number < 26 else _letter(number // 26 - 1)) + chr(ord("A") + number % 26)
