"""A worker that loses its power at any moment ends in a proved cluster, and a reset puts back what was there before."""

from __future__ import annotations

import pytest

from tasks.lab import lab
from tasks.release.store import Store
from tests.another_build import SHIPPED
from tests.faults.bench import Bench
from tests.faults.disk import put_on_disk
from tests.faults.facts import ALL, written_down
from tests.faults.faults import on
from tests.faults.going_wrong import goes_wrong
from tests.faults.scenario import WORKER, Scenario
from tests.faults.scenarios import SEED, WHOLE_STATE_AFTER_CUTS, power_cuts
from tests.faults.whole_state import States, left, states

TOGETHER = True
pytestmark = pytest.mark.skipif(not ALL, reason="takes some minutes: `make faults` has it")


@pytest.fixture(scope="module")
def before(bench: Bench) -> States:
    """A worker whose files are on a disk, before anything is done to it."""
    bench.prepare("worker")
    lab.remove_machine(bench.name, WORKER)
    done = bench.run("lab", "up")
    assert done.status == 0, done.errors
    put_on_disk(bench.name, WORKER)
    return states(bench.name, [WORKER])


@pytest.mark.parametrize("scenario", power_cuts(SEED), ids=lambda each: each.name)
def test_what_is_on_the_disk_is_enough(scenario: Scenario, bench: Bench, before: States) -> None:
    assert before
    goes_wrong(scenario, bench)
    shipped = Store(bench.directory).current(SHIPPED)
    assert shipped is not None
    there = on(bench.name, WORKER, "cd /usr/bin; sha256sum kube*").split()
    assert dict(zip(there[1::2], there[::2], strict=True)) == {each.name: each.sha256 for each in shipped.binaries}


def test_a_reset_then_leaves_what_the_documentation_names_and_nothing_else(bench: Bench, before: States) -> None:
    with written_down(WHOLE_STATE_AFTER_CUTS) as fact:
        bench.prepare("worker")
        differences = left(before, states(bench.name, [WORKER]))
        fact["said"] = f"{sum(map(len, before.values()))} files, settings, units and so on; different: " + (
            "; ".join(differences) or "none"
        )
        assert not differences
    lab.remove_machine(bench.name, WORKER)
