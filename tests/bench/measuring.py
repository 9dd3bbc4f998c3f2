"""Figures: the same work done in several ways, in turn, on the same machine, and what it took beside our own way.

Seconds of one machine say little on another one; that one way takes a third of what another takes does. So the ways
take turns (A B A B ...), the first turn of each is not counted, and what is kept are medians and their ratios, in
``docs/bench.json``, of which `make docs` makes a page.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.checkout import REPO

RESULTS = REPO / "docs" / "bench.json"
OURS = "kubev6"


@dataclass(frozen=True, slots=True)
class Figure:
    """What is measured.

    Attributes:
        name: In a few words.
        work: What is done, in a sentence.
        goals: How many times as long another way may be expected to take as ours, at least; below 1 it may be faster.
        at_most: Seconds that our own way may take; None where only the others matter.
    """

    name: str
    work: str
    goals: Mapping[str, float]
    at_most: float | None = None


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """A way of which everything counts."""

    def way() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return way


def measure(figure: Figure, ways: Mapping[str, Callable[[], float]], turns: int) -> None:
    """Let the ways take turns, print what they took, and keep it.

    Args:
        figure: What is measured.
        ways: What does the work once and returns the seconds of it, by a name; :data:`OURS` is one of them.
        turns: How many turns count.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            seconds = way()
            if turn:
                taken[name].append(seconds)
    medians = {name: median(each) for name, each in taken.items()}
    print(f"{figure.name}: {figure.work}")
    for name, each in taken.items():
        spread = f"{min(each):.2f} to {max(each):.2f}"
        print(f"  {name:<14}{medians[name]:8.2f} s  {spread:<16}{medians[name] / medians[OURS]:6.2f}x", flush=True)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known[figure.name] = {
        "work": figure.work,
        "turns": turns,
        "seconds": {name: [round(second, 3) for second in each] for name, each in taken.items()},
        "goals": dict(figure.goals),
        "at_most": figure.at_most,
    }
    RESULTS.write_text(json.dumps(known, indent=1) + "\n")


def succeeds(words: list[str], directory: Path = REPO, **environment: str) -> Callable[[], str]:
    """Work that is a command; one that fails is no measurement.

    Args:
        words: The command.
        directory: Where it runs.
        environment: What is otherwise in its environment.

    Returns:
        What runs it and returns its standard output.
    """

    def run() -> str:
        done = subprocess.run(
            ["env", *(f"{name}={value}" for name, value in environment.items()), *words],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(
                f"{' '.join(words)} failed, so this is no measurement:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            )
        return done.stdout

    return run
