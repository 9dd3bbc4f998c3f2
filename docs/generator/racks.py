"""The page about networking tools on machines, from what was seen: ``make test-racks`` writes the facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

from docs.generator import text

FACTS = Path(__file__).resolve().parents[1] / "racks.json"
PAGE = FACTS.with_suffix(".md")


class Fact(TypedDict):
    """What came of one machine.

    Attributes:
        seconds: How long all of it took.
        ok: Whether all was as it has to be.
    """

    seconds: float
    ok: bool


def page() -> str:
    """The page."""
    facts: dict[str, dict[str, Fact]] = json.loads(FACTS.read_text())
    good, number = sum(fact["ok"] for kind in facts.values() for fact in kind.values()), sum(map(len, facts.values()))
    came_to = f"{good} of {number} were as they have to be." if number else "None has been run to its end yet."
    return text.page(
        "<!-- Made from docs/racks.json by `make docs`; not edited by hand. `make test-racks` writes that. -->",
        "# Networking tools",
        text.paragraph(
            "Each tool that Debian has, on virtual machines with a kernel and cards of their own, in a rack of bridges"
            " with a router that advertises itself and answers DHCP. On each machine the site has configured the card"
            " by which SSH comes, and what the fabric's interface is made of; kubev6 does what a deploy does to its"
            " network."
        ),
        text.paragraph(
            f"{came_to} `make test-racks` does all of it again"
            " and writes these tables; what `tests/racks/sites.py` has besides has not been tried to its end yet."
            " Seconds are of machines without hardware virtualization, on two processors that others used besides."
        ),
        "## Deployed, started again, reset, started again",
        text.paragraph(
            "After the deploy and after the start: reached by SSH; nothing left to change; the fabric answers; packets"
            " are forwarded; default routes that routers advertise are there and that of IPv4 is not; no resolver but"
            " the cluster's. After the reset: every file as before; after the start: also addresses, routes, settings"
            " of the kernel and units."
        ),
        _table(
            ("tool", "fabric", "address of SSH by", "site's file claims by", "uplink", "seconds", "ok"),
            facts["cases"],
        ),
        *(_breaks(facts["breaks"]) if facts["breaks"] else ()),
    )


def _breaks(facts: dict[str, Fact]) -> tuple[str, ...]:
    """What was done to machines besides."""
    return (
        "## Cut off, and without power",
        text.paragraph(
            "A file of the tool's takes the way of SSH away: the machine puts it back by itself, also when its agent is"
            " killed in between, and when it is switched off and on again meanwhile. The power fails when the record is"
            " written, when files are, when the fabric has its address, and in the middle of each reset after that: the"
            " machine is reached, its record can be read, the next run goes on, and a reset makes everything what it"
            " was."
        ),
        _table(
            ("tool", "fabric", "address of SSH by", "site's file claims by", "uplink", "what", "seconds", "ok"),
            facts,
        ),
    )


def _table(head: tuple[str, ...], facts: dict[str, Fact]) -> str:
    rows = (
        (*name.split(", "), f"{fact['seconds']:.0f}", "yes" if fact["ok"] else "no") for name, fact in facts.items()
    )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))
