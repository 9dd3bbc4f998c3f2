"""The page about faults, from what was seen: ``make faults`` writes the facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

from docs.generator import text

FACTS = Path(__file__).resolve().parents[1] / "faults.json"
PAGE = FACTS.with_suffix(".md")


class Fact(TypedDict):
    """What came of one scenario.

    Attributes:
        said: What the run said that met it; empty of one that was killed.
        seconds: How long it took to a proved cluster, that run or the deploy after it; None when it came to none.
        ok: Whether all was as it has to be; None of one that has not been tried yet.
    """

    said: str
    seconds: float | None
    ok: bool | None


NOT_YET: Fact = {"said": "", "seconds": None, "ok": None}


def page() -> str:
    """The page."""
    facts: dict[str, Fact] = json.loads(FACTS.read_text())
    rows = [row(name, fact) for name, fact in facts.items()]
    tried = [fact["ok"] for fact in facts.values() if fact["ok"] is not None]
    waiting = len(facts) - len(tried)
    return text.page(
        "<!-- Made from docs/faults.json by `make docs`; not edited by hand. `make faults` writes that. -->",
        "# Faults",
        text.paragraph(
            "What was made to go wrong on a lab with one worker; what the run that met it said; how long it took to a"
            " proved cluster, that run itself if it came through, and else the next plain `kubev6 deploy` (or `certs"
            " renew` or `rollback`, run again); and whether all was well: the run ended as it has to and said what was"
            " wrong, every check of the proof was ok, and nothing was left behind: no container, network, volume,"
            " process or temporary file, here or on the machines. Where something is done many times in a row,"
            " containers, networks, volumes, processes, open handles, interfaces, mounts and disk are counted before"
            " and after. A worker whose power is cut has its files on an ext4 file system, which loses what it has not"
            " written by then. What a reset leaves is told of every file, unit, setting, route and package, but for"
            " [what is said to stay](own-machines.md)."
        ),
        text.paragraph(
            f"{sum(tried)} of {len(tried)} were"
            + (f", and {waiting} have not been run yet" if waiting else "")
            + ". `make faults` does all of it again, on two labs at the same time, and writes down what came of each as"
            " soon as it is known. A killed run says nothing. Seconds are of a machine with two processors."
        ),
        "\n".join(("| what goes wrong | what was said | seconds | ok |", "|---|---|---|---|", *rows)),
    )


def row(name: str, fact: Fact) -> str:
    """A line of the table."""
    verdict = {True: "yes", False: "no", None: "not run yet"}[fact["ok"]]
    return f"| {name} | {_cell(fact['said'])} | {fact['seconds'] or '-'} | {verdict} |"


def _cell(words: str) -> str:
    """Words of a run in a cell of a table."""
    return f"`{words.replace('`', chr(39)).replace('|', '/')}`" if words else "-"
