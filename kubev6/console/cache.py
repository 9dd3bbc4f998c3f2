"""What is kept on this machine: as a table, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import Console

from kubev6.console.tables import new_table
from tasks.cache.plan import Fate, amount, size
from tasks.in_use import users


def show(console: Console, fates: Sequence[Fate]) -> None:
    """A table of everything."""
    table = new_table("what", "which", "size", "files", "used last", "prune", "because")
    for column in (2, 3):
        table.columns[column].justify = "right"
    for fate in fates:
        kept = fate.kept
        used = f"{datetime.fromtimestamp(kept.used):%Y-%m-%d %H:%M}" if kept.used else ""
        words = ("removes" if fate.goes else "", fate.why)
        table.add_row(kept.kind, kept.name, size(kept.size), str(kept.count), used, *words)
    console.print(table)
    whole = size(sum(fate.kept.size for fate in fates))
    print(f"{whole} in all; `kubev6 cache prune` would free {amount(fates)}.")
    if any(fate.kept.images for fate in fates):
        print("What images have in common is counted in each of them.")
    if who := users():
        print(f"In use by {who}; prune would wait.")


def as_json(fates: Iterable[Fate]) -> str:
    """The same, for machines."""
    told = [
        {
            "kind": fate.kept.kind,
            "name": fate.kept.name,
            "bytes": fate.kept.size,
            "files": fate.kept.count,
            "used": datetime.fromtimestamp(fate.kept.used, UTC).isoformat("T", "seconds") if fate.kept.used else None,
            "prune": fate.goes,
            "because": fate.why,
            "paths": [str(path) for path in fate.kept.paths],
        }
        for fate in fates
    ]
    return json.dumps(told, indent=1)
