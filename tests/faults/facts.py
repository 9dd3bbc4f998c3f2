"""What came of each scenario, written down as soon as it is known."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from docs.generator.faults import FACTS, NOT_YET, Fact
from tasks.replace import write_whole
from tests.faults.scenarios import SEED, names

ALL = bool(os.environ.get("KUBEV6_TEST_FAULTS"))
"""Whether all scenarios are asked for, whose results are written down; else there are some of them."""


def write_down(new: Mapping[str, Fact]) -> None:
    """What came of scenarios, beside what is known of the others, and which of these nobody has tried yet.

    Args:
        new: By the scenario's name.
    """
    directory = os.open(FACTS.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)  # another run of the tests may have half of the scenarios
        known: dict[str, Fact] = json.loads(FACTS.read_text()) | new
        write_whole(FACTS, json.dumps({each: known.get(each, NOT_YET) for each in names(SEED)}, indent=1) + "\n")
    finally:
        os.close(directory)


@contextmanager
def written_down(name: str) -> Iterator[Fact]:
    """What comes of a scenario, also when that is that it fails."""
    fact: Fact = {"said": "", "seconds": None, "ok": False}
    try:
        yield fact
        fact["ok"] = True
    finally:
        if ALL:
            write_down({name: fact})
