"""The page about speed, from what was measured: ``make bench`` writes the facts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import TypedDict
from xml.sax.saxutils import escape

from docs.generator import text

FACTS = Path(__file__).resolve().parents[1] / "bench.json"
PAGE, PLOT = FACTS.with_name("benchmarks.md"), FACTS.with_name("benchmarks.svg")
OURS = "kubev6"
BAR, GAP, LABELS, WIDTH = 16, 10, 300, 900
"""Of the plot, in pixels."""


class Fact(TypedDict):
    """One figure.

    Attributes:
        work: What was done.
        turns: How often each way did it.
        seconds: Of each turn, by the way.
        goals: How many times as long as ours another way takes, at least.
        at_most: Seconds that ours may take; None where there is no such goal.
    """

    work: str
    turns: int
    seconds: dict[str, list[float]]
    goals: dict[str, float]
    at_most: float | None


def facts() -> dict[str, Fact]:
    """All figures by their names."""
    found: dict[str, Fact] = json.loads(FACTS.read_text())
    return found


def page() -> str:
    """The page."""
    lines = [row for name, fact in facts().items() for row in rows(name, fact)]
    return text.page(
        "<!-- Made from docs/bench.json by `make docs`; not edited by hand. `make bench` writes that. -->",
        "# Benchmarks",
        text.paragraph(
            "The same work done in several ways, in turn, on one machine with two processors; the less else it does"
            " meanwhile, the closer the turns of one way lie together. Seconds are medians, with the fastest and the"
            " slowest turn; what another way takes beside ours is"
            " what says something on other machines too. `make bench` measures all of it again and writes this table."
            " Other tools are installed from PyPI into an environment of their own, and get the same desired state,"
            " written as somebody would who knows them (`tests/bench/peers/`)."
        ),
        "![medians, on a logarithmic scale](benchmarks.svg)",
        "\n".join(("| work | by | seconds | beside ours | goal | |", "|---|---|---|---|---|---|", *lines)),
    )


def rows(name: str, fact: Fact) -> Iterator[str]:
    """The lines of the table about a figure, one for each way."""
    ours = median(fact["seconds"][OURS])
    for way, seconds in fact["seconds"].items():
        middle, ratio = median(seconds), median(seconds) / ours
        goal, met = _goal(way, fact), _is_met(way, fact, middle, ratio)
        what = f"{name}: {fact['work']}" if way == OURS else ""
        beside = "" if way == OURS else f"{ratio:.2f}"
        spread = f"{middle:.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
        yield f"| {what} | {way} | {spread} | {beside} | {goal} | {met} |"


def _goal(way: str, fact: Fact) -> str:
    if way == OURS:
        return "" if fact["at_most"] is None else f"at most {fact['at_most']:g} s"
    return f"at least {fact['goals'][way]:g}" if way in fact["goals"] else ""


def _is_met(way: str, fact: Fact, middle: float, ratio: float) -> str:
    if not _goal(way, fact):
        return ""
    good = middle <= (fact["at_most"] or 0) if way == OURS else ratio >= fact["goals"][way]
    return "met" if good else "missed"


def plot() -> str:
    """The medians as bars, each way of a figure below the one before, as an SVG image."""
    bars = [
        (name if way == OURS else "", way, median(seconds))
        for name, fact in facts().items()
        for way, seconds in fact["seconds"].items()
    ]
    return _drawn(bars, *_range(value for _, _, value in bars))


def _range(values: Iterator[float]) -> tuple[float, float]:
    """The powers of ten around them."""
    logs = [math.log10(value) for value in values]
    return math.floor(min(logs)), math.ceil(max(logs))


def _drawn(bars: list[tuple[str, str, float]], low: float, high: float) -> str:
    lines, y = [], GAP
    for name, way, value in bars:
        if name:
            y += GAP
        long = (math.log10(value) - low) / ((high - low) or 1) * (WIDTH - LABELS - 80)
        colour: Mapping[bool, str] = {True: "#326ce5", False: "#9aa5b1"}
        lines += [
            f'<text x="0" y="{y + 12}" font-weight="bold">{escape(name)}</text>' if name else "",
            f'<text x="{LABELS - 8}" y="{y + 12}" text-anchor="end">{escape(way)}</text>',
            f'<rect x="{LABELS}" y="{y}" width="{max(long, 1):.0f}" height="{BAR}" fill="{colour[way == OURS]}"/>',
            f'<text x="{LABELS + max(long, 1) + 6:.0f}" y="{y + 12}">{value:.2f} s</text>',
        ]
        y += BAR + 4
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + GAP}" font-family="sans-serif" '
        'font-size="13"><rect width="100%" height="100%" fill="white"/>'
    )
    return "\n".join((head, *filter(None, lines), "</svg>")) + "\n"
