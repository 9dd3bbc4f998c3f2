"""A record as one HTML page."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from flows.report import matrix, timeline, topology
from flows.report.topology import Mark
from flows.report.verdict import culprits, is_about, verdict
from flows.report.words import answer_time, counted, duration
from flows.runs.run_record import ChangeOfRun, CheckOfRun, NodeOfRun, RunRecord

HERE = Path(__file__).resolve().parent
SHOWN_AT_ONCE = 12
"""Failed checks that are shown without unfolding."""


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
class Kind:
    """All checks of one name: how many, how many hold, and the slowest of those that do."""

    name: str
    of: int
    ok: int
    slowest: float


def page(record: RunRecord) -> str:
    """The report of a run.

    Args:
        record: The run.

    Returns:
        A page that loads nothing from anywhere.
    """
    style = (HERE / "report.css").read_text(encoding="utf-8").strip()
    marks = node_marks(record)
    drawn = record.topology
    failed = [check for check in record.checks if not check.ok]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            record=record,
            verdict=verdict(record),
            culprits=culprits(record),
            style=Markup(style),  # ours, and the only thing that is not escaped
            style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            drawings=[
                ("wide", topology.draw(drawn, marks, topology.WIDE)),
                ("narrow", topology.draw(drawn, marks, topology.NARROW)),
            ]
            if drawn
            else [],
            nodes=node_rows(record, marks),
            matrices=[
                each
                for each in (
                    matrix.pod_to_pod(drawn, record.checks),
                    matrix.services_and_outside(drawn, record.checks),
                )
                if each
            ]
            if drawn
            else [],
            shades=matrix.shades(),
            timeline=timeline.draw(record.steps, [node.name for node in drawn.nodes] if drawn else [], record.seconds)
            if record.steps
            else None,
            changes=changes_by_node(record),
            kinds=check_kinds(record.checks),
            failed=failed,
            shown_at_once=SHOWN_AT_ONCE,
            listed=[check for check in record.checks if not matrix.is_pod_to_pod(check)],
        )
    )


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
            roles=", ".join(topology.ROLE_WORDS.get(role, role) for role in node.roles),
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
                StageChanges(stage, tuple(change.text for change in changes if change.stage == stage))
                for stage in dict.fromkeys(change.stage for change in changes)
            ),
        )
        for name, changes in by_name.items()
        if changes
    )


def check_kinds(checks: Sequence[CheckOfRun]) -> tuple[Kind, ...]:
    """The proof in short."""
    found = []
    for name in dict.fromkeys(check.name for check in checks):
        same = [check for check in checks if check.name == name]
        good = [check for check in same if check.ok]
        found.append(Kind(name, len(same), len(good), max((check.seconds for check in good), default=0.0)))
    return tuple(found)


def author_name(author: str) -> str:
    """``Name`` of ``Name <address>``: an address is nobody's business in a page that is passed on."""
    return author.partition(" <")[0]


def with_commands(text: str) -> Markup:
    """A text in which what stands between backticks is set as something to type."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=duration,
        answer_time=answer_time,
        counted=counted,
        author_name=author_name,
        with_commands=with_commands,
    )
    return environment
