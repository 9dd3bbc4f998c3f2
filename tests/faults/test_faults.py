"""Whatever goes wrong, one line says what it was, and a deploy after it brings a proved cluster and leaves nothing.

All of it by ``make faults``, which writes what came of each into ``docs/faults.json``. What takes long comes first.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.docker import container_engine
from tasks.lab.record import LAB_LABEL
from tests.checkout import REPO
from tests.faults.bench import Bench, grown
from tests.faults.facts import ALL, written_down
from tests.faults.faults import on
from tests.faults.going_wrong import goes_wrong
from tests.faults.scenario import CONTROL_PLANE, WORKER, Scenario
from tests.faults.scenarios import DEPLOYS_IN_A_ROW, PROOFS, PROOFS_IN_A_ROW, ROUNDS, SEED, TWO_LABS, every

pytestmark = pytest.mark.skipif(not ALL, reason="takes some minutes: `make faults` has it")
CLUSTER = 'python3 -c \'import json; print(json.load(open("/var/lib/kubev6/record.json"))["cluster"]["name"])\''
"""Asks a machine which cluster it belongs to."""
DOWN = ("lab", "down")


def test_two_labs_side_by_side_do_not_meet(bench: Bench) -> None:
    """Of one user, with one data directory, one server of Prefect's, and the addresses of one cluster file."""
    bench.prepare("machines")
    beside = bench.beside(f"{bench.name}-beside")
    try:
        with written_down(TWO_LABS) as fact, ThreadPoolExecutor() as pool:
            both = (bench, beside)
            fact["seconds"] = round(max(pool.map(lambda each: each.prove(), both)), 1)
            proofs = list(pool.map(lambda each: each.run("verify"), both))
            assert all(each.proved for each in proofs), [each.errors for each in proofs]
            assert len({on(each.name, CONTROL_PLANE, "cat /etc/kubernetes/pki/ca.crt") for each in both}) == 2
            for each in both:
                assert {on(each.name, machine, CLUSTER).strip() for machine in (CONTROL_PLANE, WORKER)} == {each.name}
                each.assert_no_leak()
            gone, proof = pool.map(
                lambda each: each[0].run(*each[1]), ((beside, beside.words("reset")), (bench, ("verify",)))
            )
            assert gone.status == 0, gone.errors
            assert proof.proved, proof.errors
            down, gone = pool.map(lambda each: each[0].run(*each[1]), ((beside, DOWN), (bench, bench.words("reset"))))
            assert (down.status, gone.status) == (0, 0), (down.errors, gone.errors)
            client = container_engine.client()
            mine: dict[str, str | list[str] | bool] = {"label": f"{LAB_LABEL}={beside.name}"}
            left = (client.containers.list(all=True, filters=mine), client.networks.list(filters=mine))
            assert left == ([], [])
            bench.is_at = "machines"
    finally:
        beside.run(*DOWN)


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
        bench.is_at = "cluster"


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


@pytest.mark.parametrize("scenario", every(SEED), ids=lambda each: each.name)
def test_one_line_says_what_was_wrong_and_a_deploy_brings_a_proved_cluster_again(
    scenario: Scenario, bench: Bench
) -> None:
    goes_wrong(scenario, bench)
