"""What upstream's tests came to, on one screen. Pure but for the console."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from configs.manifest import ImageEntry
from configs.words import counted, duration
from flows.run.record import RunRecord, TestOfRun
from kubev6.console.tables import new_table
from tasks.kubernetes.e2e_results import TestResult

SLOWEST = 5
LINES = 12
"""Of what a test says why it failed."""


def show(console: Console, tests: Sequence[TestResult], before: RunRecord | None) -> None:
    """What somebody has to look at, what was known, what skipped itself, the slowest, and what has changed.

    Args:
        console: Where to.
        tests: What each came to.
        before: The run before this one of the same cluster; None where there is none.
    """
    for test in tests:
        if test.unexpected:
            console.print(Text(f"{test.name}: {test.words}", style="red"))
            for line in _why(test):
                console.print(f"    {line}")
    if others := [test for test in tests if not test.unexpected and test.outcome != "passed"]:
        table = new_table("test", "came to", "why")
        for test in others:
            table.add_row(test.name, test.words, test.known or test.message.partition("\n")[0])
        console.print(table)
    slowest = sorted((test for test in tests if test.seconds), key=lambda test: -test.seconds)[:SLOWEST]
    if len(tests) > SLOWEST:
        table = new_table("slowest", "seconds")
        table.columns[-1].justify = "right"
        for test in slowest:
            table.add_row(test.name, f"{test.seconds:.1f}")
        console.print(table)
    if before:
        for line in since(before.tests, tests):
            console.print(line)


def summary(tests: Sequence[TestResult], seconds: float) -> str:
    """How many came to what, in a line.

    Args:
        tests: What each came to.
        seconds: How long all of it took.
    """
    words = [test.words if not test.passes * test.failures else "failed now and then" for test in tests]
    told = [f"{words.count(each)} {each}" for each in sorted(set(words), key=lambda each: (each != "passed", each))]
    return f"{counted(len(tests), 'test')}: {'; '.join(told)}. {duration(seconds)} in all."


def since(before: Iterable[TestOfRun], now: Iterable[TestResult]) -> list[str]:
    """What is otherwise than in a run before, a line each.

    Args:
        before: The tests of that.
        now: Those of this one.
    """
    known = {test.name: test.words for test in before}
    return [
        f"Since the last run: {test.name}: {known[test.name]} then, {test.words} now"
        for test in now
        if test.name in known and known[test.name] != test.words
    ]


def as_json(tests: Iterable[TestResult], lacking: Iterable[str], stand_ins: Iterable[ImageEntry], record: str) -> str:
    """The same for machines.

    Args:
        tests: What each came to.
        lacking: Images that could not be had.
        stand_ins: Images that stand in for others.
        record: The name of the run.
    """
    told = [{**asdict(test), "words": test.words, "unexpected": test.unexpected} for test in tests]
    images = {image.name: image.stand_in_for for image in stand_ins}
    return json.dumps({"run": record, "lacking": [*lacking], "stand_ins": images, "tests": told}, indent=2)


def _why(test: TestResult) -> list[str]:
    """The beginning of what it says, which says what was wanted and what was seen."""
    lines = [line.rstrip() for line in (test.known, *test.message.splitlines()) if line.strip()]
    return [*lines[:LINES], *(["..."] if len(lines) > LINES else [])]
