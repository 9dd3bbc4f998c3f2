"""Two runs side by side: as tables, and as JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from rich.console import Console, RenderableType
from rich.text import Text

from configs.words import counted, duration
from kubev6.console.tables import new_table
from kubev6.report.comparison.checks import Checks
from kubev6.report.comparison.compare import Comparison, RunInShort
from kubev6.report.comparison.patches import PatchPair
from kubev6.report.comparison.times import Time

ROWS = 20
"""How many of the checks, patches, images, machines or errors that differ are shown; JSON has all."""
ID = 10
"""As much of an id as tells it from others."""
NONE = "\N{EN DASH}"
Row = tuple[RenderableType, ...]


def show(console: Console, found: Comparison) -> None:
    """The two runs, a table of each part that differs, what is the same, and whether anything got worse.

    Args:
        console: Where to.
        found: The two runs.
    """
    _show_runs(console, found)
    _show_checks(console, found.checks, in_both="checks" not in found.only_in)
    _show_times(console, found)
    patches = [(each.title, *_places(each), ", ".join(each.what)) for each in found.patches]
    _show_rows(console, ("patch", "first", "second", "what"), patches)
    images = [(each.name, _references(each.first), _references(each.second)) for each in found.images]
    _show_rows(console, ("image", "first", "second"), images)
    nodes = [(each.name, each.first or NONE, each.second or NONE) for each in found.nodes]
    _show_rows(console, ("machine", "first", "second"), nodes)
    sides = (("first only", found.errors.first), ("second only", found.errors.second), ("both", found.errors.both))
    _show_rows(console, ("run", "error"), [(side, error) for side, errors in sides for error in errors])
    for line in _last_lines(found):
        console.print(line, soft_wrap=True)


def as_json(found: Comparison) -> str:
    """The same for machines, with nothing left out."""
    return json.dumps(asdict(found), indent=2)


def _show_runs(console: Console, found: Comparison) -> None:
    """The two in short, with what differs of what there is one of in each."""
    first, second = _in_short(found.first), _in_short(found.second)
    rows = [(name, first[name], second[name]) for name in first]
    differences = (*found.release, *found.series, *found.topology)
    rows += [(each.name, _value(each.first), _value(each.second)) for each in differences]
    _show_table(console, ("", "first", "second"), rows)


def _in_short(run: RunInShort) -> dict[str, str]:
    return {
        "run": run.name,
        "command": f"{run.command} {run.subject}",
        "began": f"{run.began[:19].replace('T', ' ')} UTC",
        "took": duration(run.seconds),
        "ended": run.ended,
        "changes": str(run.changes),
        "proof": f"{run.hold} of {counted(run.checks, 'check')} hold" if run.checks else NONE,
    }


def _show_checks(console: Console, checks: Checks, *, in_both: bool) -> None:
    """Each check that failed in a run. Of the others that only one run asked how many, where both asked any."""
    pairs = (*checks.fail_now, *checks.appeared, *checks.fail_still, *checks.hold_again, *checks.gone)
    failed = [pair for pair in pairs if pair.failed_ever]
    rows = [(pair.words, _verdict(pair.first), _verdict(pair.second), pair.seen) for pair in failed]
    _show_rows(console, ("check", "first", "second", "seen"), rows)
    for side, only in (("second", checks.appeared), ("first", checks.gone)):
        names = Counter(pair.name for pair in only if not pair.failed_ever)
        if in_both and names:
            told = ", ".join(f"{name} {count}" for name, count in names.items())
            line = f"Asked in the {side} run only, and ok: {counted(names.total(), 'check')} ({told})."
            console.print(line, soft_wrap=True)


def _show_times(console: Console, found: Comparison) -> None:
    """What took longer or shorter beyond noise, and the whole."""
    if shown := [time for time in found.times if time.beyond_noise]:
        rows = [
            (
                time.title,
                _seconds(time.first, time.first_outcome),
                _seconds(time.second, time.second_outcome),
                _signed(time.by),
                _on(time),
            )
            for time in shown
        ]
        whole = (duration(found.first.seconds), duration(found.second.seconds), _signed(found.slower_by))
        _show_table(console, ("step", "first", "second", "change", "on"), [*rows, ("all", *whole, "")])


def _show_rows(console: Console, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """A table of as many rows as are read, unless there is none."""
    if rows:
        _show_table(console, columns, rows[:ROWS])
    if len(rows) > ROWS:
        console.print(f"And {counted(len(rows) - ROWS, 'more row')}; `--json` has all.")


def _show_table(console: Console, columns: Sequence[str], rows: Iterable[Row]) -> None:
    table = new_table(*columns)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _last_lines(found: Comparison) -> list[str]:
    """What is the same, what cannot be compared, what else is to be known, and what got worse."""
    lines = [f"The same in both: {', '.join(found.same)}."] if found.same else []
    for side in ("first", "second"):
        if only := [part for part, has in found.only_in.items() if has == side]:
            lines.append(f"Only the {side} run has: {', '.join(only)}.")
    lines += [f"Note: {note}." for note in found.notes]
    if found.worse:
        return [*lines, *(f"Worse: {each}." for each in found.worse)]
    again = len(found.checks.hold_again)
    better = f" {counted(again, 'check holds', 'checks hold')} again." if again else ""
    return [*lines, f"No check got worse, nor how the run ended.{better}"]


def _verdict(verdict: str) -> RenderableType:
    if verdict == "not asked":
        return NONE
    return Text("ok", style="green") if verdict == "ok" else Text("FAILED", style="red")


def _value(text: str) -> str:
    """A value as a cell shows it: of an id of git's its beginning."""
    return text[:ID] if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", text) else text or NONE


def _places(pair: PatchPair) -> list[str]:
    """Number and fate of a patch in both series, and where it was picked from, if that differs."""
    told = []
    for place in (pair.first, pair.second):
        source = f", {_value(place.source)}" if place and "other source" in pair.what else ""
        told.append(f"{place.number}, {place.fate}{source}" if place else NONE)
    return told


def _references(references: Iterable[str]) -> str:
    """Tags with the beginnings of their digests."""
    cut = (reference.partition("@sha256:") for reference in references)
    return ", ".join(f"{tag} {digest[:ID]}" for tag, _, digest in cut) or NONE


def _seconds(seconds: float | None, outcome: str | None) -> str:
    if seconds is None:
        return NONE
    return duration(seconds) if outcome == "ended" else f"{duration(seconds)}, {outcome}"


def _on(time: Time) -> str:
    """What a step was done on; of several the one where its time differs most."""
    most = f"most on {time.most_on} {_signed(time.most_by)}"
    return time.most_on if time.subjects == 1 else f"{time.subjects} in all, {most}"


def _signed(seconds: float) -> str:
    return f"{'-' if seconds < 0 else '+'}{duration(abs(seconds))}"
