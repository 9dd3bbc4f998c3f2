"""What is kept on this machine, for a person to look at, and removing what nothing needs."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

from rich.console import Console

from flows.deployed import deployed_on
from flows.summary import new_table
from tasks.cache import prune as task
from tasks.cache.look import look
from tasks.cache.plan import Fate, freed, plan
from tasks.cache.prune import Pruned
from tasks.in_use import unused, users
from tasks.steps import step

log = logging.getLogger("kubev6.cache")


def fates(older_than: int, *, everything: bool = False) -> tuple[Fate, ...]:
    """Everything that is kept, and what a prune would do with it.

    Args:
        older_than: After how many days without use a thing goes that would only be made again when it is needed.
        everything: Whether all goes that can be made again.

    Raises:
        KubeV6Error: It cannot be known what clusters need.
    """
    return plan(look(deployed_on()), now=time.time(), older_than=older_than, everything=everything)


def prune(going: Sequence[Fate], older_than: int, *, everything: bool) -> Pruned:
    """Remove what is to go, as soon as no run uses any of it.

    Args:
        going: What a person has agreed to. What turns out to be needed meanwhile stays.
        older_than: As for :func:`fates`.
        everything: As for :func:`fates`.
    """
    with step("cache", "prune") as shown:
        with unused("kubev6 cache prune", on_wait=partial(log.warning, "in use by %s; waiting for it to end")):
            shown.progress("looking")
            now = [fate for fate in fates(older_than, everything=everything) if fate.goes]
            chosen = [fate for fate in now if any(fate.kept.is_same(each.kept) for each in going)]
            pruned = task.prune(chosen, lambda fate: shown.progress(line(fate)))
        shown.ended_as(f"{len(pruned.gone)} removed, {amount(pruned.gone)}")
    return pruned


def show(console: Console, fates: Sequence[Fate]) -> None:
    """A table of everything."""
    table = new_table("what", "which", "size", "files", "used last", "prune", "because")
    for column in (2, 3):
        table.columns[column].justify = "right"
    for fate in fates:
        kept = fate.kept
        used = f"{datetime.fromtimestamp(kept.used):%Y-%m-%d %H:%M}" if kept.used else ""
        words = ("removes" if fate.goes else "", fate.why)
        table.add_row(kept.kind, kept.name, _size(kept.size), str(kept.count), used, *words)
    console.print(table)
    whole = _size(sum(fate.kept.size for fate in fates))
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


def line(fate: Fate) -> str:
    """A thing that goes, in one line."""
    return f"{fate.kept.kind} {fate.kept.name}: {fate.why}, {_size(fate.kept.size)}"


def amount(fates: Iterable[Fate]) -> str:
    """How much goes."""
    return _size(freed(fates))


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} kB"
