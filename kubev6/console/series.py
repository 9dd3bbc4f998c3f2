"""A series picked, or compared with another base: as tables, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from kubev6.console.tables import new_table
from tasks.release.series import series as task
from tasks.release.series.series import ConflictError, Patch, Picked, Standing
from tasks.release.series.series_file import Series
from tasks.release.series.source import Source

COLOURS = {"applied": "green", "applies": "green", "already upstream": "yellow", "conflict": "red"}
COLUMNS = ("#", "fate", "title", "author", "pull request", "upstream", "commit")


def show_picked(console: Console, series: Series, picked: Picked) -> None:
    """What became of every patch, then the ids of the result."""
    shown = new_table(*COLUMNS)
    for number, (entry, upstream) in enumerate(zip(picked.patches, _upstream(series, picked), strict=True), start=1):
        pull = str(entry.pull_request or "")
        shown.add_row(str(number), _coloured(entry.fate), entry.title, entry.author, pull, upstream, entry.commit[:10])
    console.print(shown)
    for name in ("base", "commit", "tree"):
        console.print(f"{name:<8}{getattr(picked, name)}")


def show_standing(console: Console, source: Source, standings: Sequence[Standing]) -> None:
    """How every patch stands to a base, then both sides of each conflict."""
    shown = new_table(*COLUMNS)
    for number, standing in enumerate(standings, start=1):
        patch, commit = standing.patch, standing.patch.commit
        pull = str(patch.pull_request or "")
        fate = _coloured(standing.outcome)
        shown.add_row(str(number), fate, commit.title, commit.author_name, pull, patch.upstream, commit.id[:10])
    console.print(shown)
    for number, standing in enumerate(standings, start=1):
        if standing.conflicts:
            both = task.both_sides(standing.conflicts)
            console.print(f"Patch {number}, {standing.patch}, conflicts:\n{both}", soft_wrap=True)
    count = {outcome: sum(each.outcome == outcome for each in standings) for outcome in COLOURS}
    console.print(
        f"On {source.name} {source.base}: {count['applies']} of {len(standings)} apply, "
        f"{count['already upstream']} already upstream, {count['conflict']} conflict."
    )


def picked_as_json(series: Series, picked: Picked) -> str:
    """The result of a series, for machines."""
    patches = [
        {"number": number, **entry.model_dump(), "upstream": upstream}
        for number, (entry, upstream) in enumerate(zip(picked.patches, _upstream(series, picked), strict=True), start=1)
    ]
    return json.dumps(
        {
            "series": picked.series,
            "base": picked.base,
            "commit": picked.commit,
            "tree": picked.tree,
            "patches": patches,
        },
        indent=2,
    )


def conflict_as_json(series: Series, error: ConflictError) -> str:
    """A series that could not be picked, for machines."""
    entry = _described(error.position, error.patch, "conflict")
    return json.dumps(
        {"series": series.name, "conflict": {**entry, "files": [asdict(f) for f in error.conflicts]}}, indent=2
    )


def standing_as_json(series: Series, source: Source, standings: Sequence[Standing]) -> str:
    """How a series stands to a base, for machines."""
    patches = [
        {**_described(number, each.patch, each.outcome), "files": [asdict(file) for file in each.conflicts]}
        for number, each in enumerate(standings, start=1)
    ]
    return json.dumps({"series": series.name, "base": source.base, "patches": patches}, indent=2)


def _upstream(series: Series, picked: Picked) -> list[str]:
    """What the series says became of each patch in the base's project; nothing of our own rewrites."""
    said = [getattr(patch, "fate", "") for patch in series.patches]
    return said + [""] * (len(picked.patches) - len(said))


def _coloured(fate: str) -> Text:
    return Text(fate, style=COLOURS[fate])


def _described(number: int, patch: Patch, outcome: str) -> dict[str, Any]:
    return {
        "number": number,
        "fate": outcome,
        "title": patch.commit.title,
        "author": patch.commit.author_name,
        "source": patch.name,
        "commit": patch.commit.id,
        "pull_request": patch.pull_request,
        "upstream": patch.upstream,
    }
