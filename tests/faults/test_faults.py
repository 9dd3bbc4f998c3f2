"""Whatever goes wrong, one line says what it was, and a deploy after it brings a proved cluster and leaves nothing.

All of it by ``make faults``, which also writes what came of each into ``docs/faults.json``; a few scenarios every time.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from docs.generator.faults import FACTS, Fact
from kubev6.server.environment import prepare
from kubev6.server.temporary_server import TemporaryServer
from tasks.lab import lab
from tasks.paths import data_dir
from tests.checkout import REPO
from tests.faults.bench import Bench, Ran, grown
from tests.faults.faults import Killed
from tests.faults.scenarios import (
    DEPLOYS_IN_A_ROW,
    PROOFS,
    PROOFS_IN_A_ROW,
    ROUNDS,
    SEED,
    Scenario,
    every,
    names,
)

NAME = "kubev6-faults-test"
ALL = bool(os.environ.get("KUBEV6_TEST_FAULTS"))
SCENARIOS = [each for each in every(SEED) if ALL or each.quick]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Prefect's server, which most runs share."""
    before = dict(os.environ)
    try:
        os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
        prepare()
        shared = TemporaryServer()
    finally:
        os.environ.clear()
        os.environ.update(before)
    shared.wait()
    yield shared.environment
    shared.stop()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, server: Mapping[str, str]) -> Iterator[Bench]:
    """The lab that all scenarios have, one after the other."""
    own = tmp_path_factory.mktemp("faults")
    (own / "releases").symlink_to((data_dir() / "releases").resolve())
    (own / "blobs" / "sha256").mkdir(parents=True)
    for blob in (data_dir() / "blobs" / "sha256").resolve().iterdir():
        (own / "blobs" / "sha256" / blob.name).symlink_to(blob)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEV6_DATA", str(own))
        lab.down(NAME)
        yield Bench(NAME, own, server)
        lab.down(NAME)


def write_down(name: str, fact: Fact) -> None:
    """What came of a scenario, beside what is known of the others, when all are asked for."""
    if not ALL:
        return
    known: dict[str, Fact] = json.loads(FACTS.read_text()) if FACTS.exists() else {}
    known[name] = fact
    FACTS.write_text(json.dumps({name: known[name] for name in names(SEED) if name in known}, indent=1) + "\n")


@contextmanager
def written_down(name: str) -> Iterator[Fact]:
    """What comes of a scenario, also when that is that it fails."""
    fact: Fact = {"said": "", "seconds": None, "ok": False}
    try:
        yield fact
        fact["ok"] = True
    finally:
        write_down(name, fact)


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
    assert re.search(scenario.shows, ran.progress), ran.progress


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_one_line_says_what_was_wrong_and_a_deploy_brings_a_proved_cluster_again(
    scenario: Scenario, bench: Bench
) -> None:
    bench.prepare(scenario.before)
    bench.proved = False
    with written_down(scenario.name) as fact:
        ran = met(scenario, bench)
        fact["said"] = said(scenario, ran, bench.directory)
        if ran.proved and not scenario.lasts:
            bench.proved = True
            fact["seconds"] = round(ran.seconds, 1)
        else:
            fact["seconds"] = round(bench.prove(), 1)
        bench.assert_no_leak()
        assert_told(scenario, ran)


def met(scenario: Scenario, bench: Bench) -> Ran:
    """A run that meets a fault, which is put right after it."""
    try:
        if not scenario.at:
            scenario.fault.strike(NAME, None)
        words = ["reset", "--yes"] if scenario.command == "reset" else ["deploy", "--prebuilt"]
        own_server = isinstance(scenario.fault, Killed)
        return bench.run(
            *words, at=scenario.at, strike=lambda run: scenario.fault.strike(NAME, run), own_server=own_server
        )
    finally:
        scenario.fault.mend(NAME)


@pytest.mark.skipif(not ALL, reason="takes some minutes: `make faults` has it")
def test_many_proofs_in_a_row_leave_nothing_behind(bench: Bench) -> None:
    bench.prepare("cluster")
    with written_down(PROOFS_IN_A_ROW) as fact:
        before = bench.counts()
        words = [sys.executable, "-m", "tests.faults.proofs", str(bench.file), str(PROOFS)]
        began = time.monotonic()
        done = subprocess.run(words, cwd=REPO, env=bench.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        fact["seconds"] = round(time.monotonic() - began, 1)
        first, last = json.loads(done.stdout)
        fact["said"] = f"first and last: {first}, {last}"
        assert last["failed"] == 0
        assert last["handles"] <= first["handles"]
        assert last["threads"] <= first["threads"]
        assert last["MB"] <= first["MB"] + 20
        bench.assert_no_leak()
        assert grown(before, bench.counts()) == []


@pytest.mark.skipif(not ALL, reason="takes some minutes: `make faults` has it")
def test_resets_and_deploys_in_a_row_leave_nothing_behind(bench: Bench) -> None:
    bench.prepare("cluster")
    with written_down(DEPLOYS_IN_A_ROW) as fact:
        before, took = bench.counts(), []
        for _ in range(ROUNDS):
            bench.prepare("machines")
            took.append(bench.prove())
        bench.assert_no_leak()
        after = bench.counts()
        fact["seconds"] = round(max(took), 1)
        changed = [f"{what} {before[what]} and {number}" for what, number in after.items() if number != before[what]]
        fact["said"] = f"before and after, of {len(after)} counts: {', '.join(changed)}"
        assert grown(before, after) == []
