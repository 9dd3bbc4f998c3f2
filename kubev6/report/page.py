"""A record as one HTML page."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from configs.words import answer_time, counted, duration, visible_lines
from flows.run import matrix
from flows.run.record import RunRecord
from flows.run.run_outcome import culprits, run_outcome
from flows.run.summary import author_name, changes_by_node, check_kinds, node_marks, node_rows
from kubev6.report import timeline, topology

HERE = Path(__file__).resolve().parent
SHOWN_AT_ONCE = 12
"""Failed checks that are shown without unfolding."""


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
            run_outcome=run_outcome(record),
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


def with_commands(text: str) -> Markup:
    """A text in which what stands between backticks is set as something to type."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def fit(value: object) -> object:
    """What is written into the page: texts of others change nothing of how it is shown (Unicode's UAX 9)."""
    if isinstance(value, Markup):
        return Markup(visible_lines(value))
    return visible_lines(value) if isinstance(value, str) else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=fit,
    )
    environment.filters.update(
        duration=duration,
        answer_time=answer_time,
        counted=counted,
        author_name=author_name,
        with_commands=with_commands,
    )
    return environment
