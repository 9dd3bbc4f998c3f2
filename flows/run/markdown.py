"""A record as pages of Markdown, for those who show it beside other things: tables alone, without drawings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from configs.words import answer_time, counted, duration, visible
from flows.run import matrix
from flows.run.matrix import Cell, Matrix
from flows.run.record import ImageOfRun, RunRecord
from flows.run.run_outcome import run_outcome
from flows.run.summary import (
    TONE_SYMBOLS,
    Mark,
    StepKind,
    author_name,
    changes_by_node,
    check_kinds,
    node_marks,
    node_rows,
    step_kinds,
)

SHOWN = 50
"""Of what may be many: how many errors or failed checks are written out."""
SIGNS = re.compile(r"[\\*\[\]<>~&#|@]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""What Markdown obeys. An underscore inside a word is none, and looks better as it is where Markdown is not drawn."""
NOTHING = "\N{EN DASH}"
TITLES = {
    "run": "Run and time per step",
    "nodes": "Nodes",
    "connectivity": "Connectivity",
    "tests": "Upstream's tests",
    "patches": "Series of patches",
    "images": "Images",
}


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        key: What it shows, and of what: the same for every run on one cluster.
        title: In words.
        text: Markdown.
    """

    key: str
    title: str
    text: str


def pages(path: Path, record: RunRecord) -> tuple[Page, ...]:
    """All pages of a run for which it has anything to show.

    Args:
        path: The record's file.
        record: The run.
    """
    bodies = {
        "run": _run(path, record),
        "nodes": _nodes(record),
        "connectivity": _connectivity(record),
        "tests": _tests(record),
        "patches": _patches(record),
        "images": _images(record.images),
    }
    told = run_outcome(record)
    subject = record.topology.name if record.topology else record.subject
    first = f"{TONE_SYMBOLS[told.tone]} **{told.word}** · {record.command} {plain(subject)} · {_started(record)}"
    return tuple(
        Page(key(name, subject), f"{TITLES[name]} of {subject}", f"# {TITLES[name]}\n\n{first}\n\n{body}\n")
        for name, body in bodies.items()
        if body
    )


def key(name: str, subject: str) -> str:
    """A key of lower-case letters, digits and dashes.

    Args:
        name: What is shown.
        subject: Of which cluster, release or series.
    """
    return re.sub("[^a-z0-9]+", "-", f"{name}-{subject}".lower()).strip("-")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table. Heads that begin with ``>`` stand over numbers; cells are Markdown already."""
    rules = ["--:" if head.startswith(">") else "---" for head in heads]
    lines = [[head.removeprefix(">") for head in heads], rules, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """A text in which nothing is Markdown but what stands between backticks, and that is one line.

    No address in it becomes a link, which would be one of ours to who reads the page (GitHub Flavored Markdown
    Specification, 6.9).
    """
    line = visible(" ".join(text.split()))
    parts = line.split("`")
    if len(parts) % 2 == 0 or "``" in line:  # one that has no partner, or several that are one sign
        parts = [line.replace("`", "'")]
    shown = [SIGNS.sub(r"\\\g<0>", part) for part in parts]
    shown[1::2] = [part.replace("|", r"\|") for part in parts[1::2]]
    return "`".join(shown)


def code(text: str) -> str:
    """A text as it is, in fixed-width type, also in a table."""
    cell = visible(text).replace("`", "'").replace("|", r"\|")
    return f"`{cell}`" if cell else ""


def _link(text: str, address: str) -> str:
    """A link to an address whose parts others have named."""
    return f"[{plain(text)}](<{quote(address, safe='/:[]')}>)"


def _started(record: RunRecord) -> str:
    return f"{record.started:%Y-%m-%d %H:%M:%S} UTC, {duration(record.seconds)}"


def _run(path: Path, record: RunRecord) -> str:
    told = run_outcome(record)
    parts = [plain(told.sentence)]
    if record.errors:
        parts.append("\n".join(f"- {_error(error.message, error.todo)}" for error in record.errors[:SHOWN]))
    if told.todo:
        parts.append(f"To do: {plain(told.todo)}.")
    facts = {
        "Release": f"{code(record.release.version)}, {plain(record.release.why)}" if record.release else "",
        "Log": code(record.log),
        "Report": f"{code(str(path.with_suffix('.html')))}, once {code(f'kubev6 report {path.stem}')} has drawn it",
    }
    parts.append("\n".join(f"- {name}: {value}" for name, value in facts.items() if value))
    if record.steps:
        parts.append(
            table(
                ("step", "on", "outcome", ">from", ">took"),
                (
                    (
                        plain(kind.title),
                        plain(kind.on),
                        _came_to(kind),
                        duration(kind.start),
                        duration(kind.seconds),
                    )
                    for kind in step_kinds(record.steps)
                ),
            )
        )
    return "\n\n".join(parts)


def _came_to(kind: StepKind) -> str:
    told = [f"✗ {kind.failed} failed"] * bool(kind.failed) + [f"… {kind.not_ended} not ended"] * bool(kind.not_ended)
    return ", ".join(told) or "ok"


def _error(message: str, todo: str) -> str:
    return f"✗ {plain(message)}" + (f". To do: {plain(todo)}" if todo else "")


def _nodes(record: RunRecord) -> str:
    marks = node_marks(record)
    changes = {each.name: each for each in changes_by_node(record)}
    rows = []
    for row in node_rows(record, marks):
        made = changes.get(row.node.name)
        stages = [f"{stage.stage} {len(stage.lines)}" for stage in made.stages if stage.stage] if made else []
        changed = counted(made.count, "change") if made else "nothing" if row.mark else NOTHING
        rows.append(
            (
                plain(row.node.name),
                plain(row.roles),
                code(row.node.address),
                _outcome(row.mark),
                f"{changed}: {plain(', '.join(stages))}" if stages else changed,
                duration(row.seconds) if row.seconds else NOTHING,
            )
        )
    return table(("node", "role", "address", "outcome", "what changed", ">time"), rows) if rows else ""


def _outcome(mark: Mark | None) -> str:
    if mark is None:
        return NOTHING
    return "ok" if mark.tone == "good" else f"{mark.symbol} {plain(mark.text)}"


def _connectivity(record: RunRecord) -> str:
    if record.topology is None or not record.checks:
        return ""
    failed = [check for check in record.checks if not check.ok]
    held = len(record.checks) - len(failed)
    parts = [f"{held} of {counted(len(record.checks), 'check')} hold. A number is the time of an answer, in ms."]
    if failed:
        lines = [
            f"- ✗ {plain(f'{check.name} from {check.source} to {check.target}: {check.seen}')}"
            for check in failed[:SHOWN]
        ]
        more = [f"- and {len(failed) - SHOWN} more"] * (len(failed) > SHOWN)
        parts.append("\n".join([*lines, *more]))
    if warned := [check for check in record.checks if check.warns]:
        parts.append("\n".join(f"- ! {plain(f'{check.target}: {check.name}: {check.seen}')}" for check in warned))
    for each in (
        matrix.pod_to_pod(record.topology, record.checks),
        matrix.services_and_outside(record.topology, record.checks),
    ):
        if each is not None:
            parts.append(f"## {each.title}")
            parts += [f"{each.note}."] * bool(each.note)
            parts.append(_matrix(each))
    kinds = (
        (plain(kind.name), str(kind.ok), str(kind.of), answer_time(kind.slowest) if kind.slowest else NOTHING)
        for kind in check_kinds(record.checks)
    )
    parts.append(f"## All checks\n\n{table(('check', '>ok', '>of', '>slowest'), kinds)}")
    return "\n\n".join(parts)


def _matrix(shown: Matrix) -> str:
    """A matrix, one table for each of its groups of columns: together they are wider than a page."""
    if not shown.groups:
        return _columns(shown, 0, len(shown.columns))
    parts, first = [], 0
    for title, count in shown.groups:
        parts.append(f"{title[0].upper()}{title[1:]}:\n\n{_columns(shown, first, first + count)}")
        first += count
    return "\n\n".join(parts)


def _columns(shown: Matrix, first: int, end: int) -> str:
    heads = [f">{plain(column.head)}" for column in shown.columns[first:end]]
    numbered = all(column.head == str(number) for number, column in enumerate(shown.columns, 1))
    rows = (
        (f"{number} {plain(name)}" if numbered else plain(name), *map(_cell, cells[first:end]))
        for number, (name, cells) in enumerate(shown.rows, 1)
    )
    return table(("", *heads), rows)


def _cell(cell: Cell) -> str:
    return {"ok": f"✓ {cell.text}", "failed": "**✗ FAILED**", "none": cell.text}[cell.state]


def _tests(record: RunRecord) -> str:
    if not record.tests:
        return ""
    bad = [test for test in record.tests if test.unexpected]
    others = [test for test in record.tests if not test.unexpected and test.outcome != "passed"]
    passed = len(record.tests) - len(bad) - len(others)
    parts = [f"{passed} of {counted(len(record.tests), 'test')} passed as expected."]
    for title, tests in (("Not as expected", bad), ("Known to fail, and those that skipped themselves", others)):
        if tests:
            rows = (
                (plain(test.name), plain(test.words), plain(test.known or test.message.strip().partition("\n")[0]))
                for test in tests[:SHOWN]
            )
            parts.append(f"## {title}\n\n{table(('test', 'came to', 'why'), rows)}")
            parts += [f"And {len(tests) - SHOWN} more."] * (len(tests) > SHOWN)
    return "\n\n".join(parts)


def _patches(record: RunRecord) -> str:
    series = record.series
    if series is None:
        return ""
    ids = {"base": series.base, "commit": series.commit, "tree": series.tree}
    told = ", ".join(f"{name} {code(value[:12])}" for name, value in ids.items() if value)
    rows = (
        (
            str(number),
            f"{'✓' if patch.fate == 'applied' else '✗' if patch.fate == 'conflict' else '○'} {plain(patch.fate)}",
            f"\\#{patch.pull_request}" if patch.pull_request else NOTHING,
            plain(patch.title),
            plain(author_name(patch.author)),
            code(patch.commit[:12]) or NOTHING,
        )
        for number, patch in enumerate(series.patches, 1)
    )
    shown = table((">#", "fate", "pull request", "patch", "author", "became"), rows)
    return f"Series {plain(series.name)}{f': {told}' if told else ''}\n\n{shown}"


def _images(images: Sequence[ImageOfRun]) -> str:
    parts = []
    for registry in dict.fromkeys(image.registry for image in images):
        rows = (
            (
                plain(image.name),
                _link(image.tag, f"{registry}/v2/{image.name}/manifests/{image.tag}"),
                _link("all", f"{registry}/v2/{image.name}/tags/list"),
                code(image.digest[:19]),
            )
            for image in images
            if image.registry == registry
        )
        parts.append(f"In the registry {code(registry)}:\n\n{table(('image', 'tag', 'tags', 'digest'), rows)}")
    return "\n\n".join(parts)
