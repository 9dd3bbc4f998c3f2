"""What goes wrong also in `make test`; and a reset after that leaves machines as they were, but for what docs name."""

from __future__ import annotations

import pytest

from tests.faults.bench import Bench
from tests.faults.facts import written_down
from tests.faults.going_wrong import goes_wrong
from tests.faults.scenario import Scenario
from tests.faults.scenarios import SEED, WHOLE_STATE, every
from tests.faults.whole_state import States, left, states

TOGETHER = True


@pytest.fixture(scope="module")
def before(bench: Bench) -> States:
    """The machines before anything is done to them."""
    bench.prepare("nothing")
    done = bench.run("lab", "up")
    assert done.status == 0, done.errors
    bench.is_at = "machines"
    return states(bench.name)


@pytest.mark.parametrize("scenario", [each for each in every(SEED) if each.quick], ids=lambda each: each.name)
def test_a_deploy_brings_a_proved_cluster_of_fresh_machines_again(
    scenario: Scenario, bench: Bench, before: States
) -> None:
    assert before
    goes_wrong(scenario, bench)


def test_a_reset_leaves_what_the_documentation_names_and_nothing_else(bench: Bench, before: States) -> None:
    with written_down(WHOLE_STATE) as fact:
        bench.prepare("machines")
        differences = left(before, states(bench.name))
        fact["said"] = f"{sum(map(len, before.values()))} files, settings, units and so on; different: " + (
            "; ".join(differences) or "none"
        )
        assert not differences
        bench.is_at = "machines"
