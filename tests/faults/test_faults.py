"""Whatever goes wrong, one line says what it was, and a deploy after it brings a proved cluster and leaves nothing.

All of it by ``make faults``, which also writes what came of each into ``docs/faults.json``; a few scenarios every time.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generator.faults import FACTS, Fact
from tasks.lab import lab
from tasks.paths import data_dir
from tests.faults.bench import Bench, Ran
from tests.faults.faults import Killed
from tests.faults.scenarios import SEED, Scenario, every

NAME = "kubev6-faults-test"
ALL = bool(os.environ.get("KUBEV6_TEST_FAULTS"))
SCENARIOS = [each for each in every(SEED) if ALL or each.quick]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The lab that all scenarios have, one after the other."""
    own = tmp_path_factory.mktemp("faults")
    for shared in ("blobs", "releases"):
        (own / shared).symlink_to((data_dir() / shared).resolve())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEV6_DATA", str(own))
        lab.down(NAME)
        yield Bench(NAME, own)
        lab.down(NAME)


def write_down(name: str, fact: Fact) -> None:
    """What came of a scenario, beside what is known of the others, when all are asked for."""
    if not ALL:
        return
    known: dict[str, Fact] = json.loads(FACTS.read_text()) if FACTS.exists() else {}
    known[name] = fact
    names = (each.name for each in every(SEED))
    FACTS.write_text(json.dumps({name: known[name] for name in names if name in known}, indent=1) + "\n")


def said(scenario: Scenario, ran: Ran, directory: Path) -> str:
    """What a person reads of it, in one line."""
    if isinstance(scenario.fault, Killed):
        return ""
    return (ran.errors[-1] if ran.errors else ran.proof).replace(str(directory), "~")


def assert_told(scenario: Scenario, ran: Ran) -> None:
    """The run ended as it has to, and said so to a person."""
    assert ran.struck == bool(scenario.at), f"the moment did not come: {ran.told[-5:]}"
    told = "\n".join((*ran.errors, ran.printed))
    assert "Traceback" not in told
    if isinstance(scenario.fault, Killed):
        assert ran.status == -9
        return
    assert (ran.status != 0) == scenario.fails, told
    missing = [word for word in scenario.says if not re.search(word, told)]
    assert not missing, told


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_one_line_says_what_was_wrong_and_a_deploy_brings_a_proved_cluster_again(
    scenario: Scenario, bench: Bench
) -> None:
    bench.prepare(scenario.before)
    bench.proved = False
    fact: Fact = {"said": "", "seconds": None, "ok": False}
    try:
        judge(scenario, bench, fact)
    except Exception:
        write_down(scenario.name, fact)
        raise
    write_down(scenario.name, fact)


def judge(scenario: Scenario, bench: Bench, fact: Fact) -> None:
    """Whether a scenario comes out as it has to, with what is seen noted as soon as it is."""
    ran = met(scenario, bench)
    fact["said"] = said(scenario, ran, bench.directory)
    fact["seconds"] = round(bench.prove(), 1)
    bench.assert_no_leak()
    assert_told(scenario, ran)
    fact["ok"] = True


def met(scenario: Scenario, bench: Bench) -> Ran:
    """A run that meets a fault, which is put right after it."""
    try:
        if not scenario.at:
            scenario.fault.strike(NAME, None)
        words = ["reset", "--yes"] if scenario.command == "reset" else ["deploy", "--prebuilt"]
        return bench.run(*words, at=scenario.at, strike=lambda run: scenario.fault.strike(NAME, run))
    finally:
        scenario.fault.mend(NAME)
