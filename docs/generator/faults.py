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
        ok: Whether all was as it has to be.
    """

    said: str
    seconds: float | None
    ok: bool


def page() -> str:
    """The page."""
    facts: dict[str, Fact] = json.loads(FACTS.read_text())
    rows = [
        f"| {name} | {_cell(fact['said'])} | {fact['seconds'] or '-'} | {_verdict(fact)} |"
        for name, fact in facts.items()
    ]
    good = sum(fact["ok"] for fact in facts.values())
    return text.page(
        "<!-- Made from docs/faults.json by `make docs`; not edited by hand. `make faults` writes that. -->",
        "# Faults",
        text.paragraph(
            "What was made to go wrong on a lab with one worker, one thing after the other; what the run that met it"
            " said; how long it took to a proved cluster, that run itself if it came through, and else the next plain"
            " `kubev6 deploy`; and whether all was well: the run ended as it has to and said what was wrong, every"
            " check of the proof was ok, and nothing was left behind: no container, network, volume, process or"
            " temporary file, here or on the machines. Where something is done many times in a row, containers,"
            " networks, volumes, processes, open handles, interfaces, mounts and disk are counted before and after."
        ),
        text.paragraph(
            f"{good} of {len(facts)} were. `make faults` does all of it again and writes this table; what"
            " `tests/faults/scenarios.py` has besides has not been tried yet. A killed run says"
            " nothing. Seconds are of a machine with two processors that others used besides."
        ),
        "\n".join(("| what goes wrong | what was said | seconds | ok |", "|---|---|---|---|", *rows)),
    )


def _cell(words: str) -> str:
    """Words of a run in a cell of a table."""
    return f"`{words.replace('`', chr(39)).replace('|', '/')}`" if words else "-"


def _verdict(fact: Fact) -> str:
    return "yes" if fact["ok"] else "no"
