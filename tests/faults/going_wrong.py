"""Lets something go wrong on a lab, sees that it is told, and that a deploy brings a proved cluster again."""

from __future__ import annotations

import re
from pathlib import Path

from tests.faults.bench import Bench, Ran
from tests.faults.facts import written_down
from tests.faults.faults import Killed
from tests.faults.scenario import Scenario


def goes_wrong(scenario: Scenario, bench: Bench) -> None:
    """Let it, and see that nothing is left of it.

    Args:
        scenario: What goes wrong.
        bench: The lab.

    Raises:
        AssertionError: It is told otherwise than it has to be, or the cluster does not come back, or something is left.
    """
    with written_down(scenario.name) as fact:
        bench.prepare(scenario.before)
        ran = _met(scenario, bench)
        fact["said"] = _said(scenario, ran, bench.directory)
        if _brings_the_other_build(scenario):
            bench.take(scenario.to)
        if ran.proved and not scenario.lasts:
            bench.is_at = "cluster"
            fact["seconds"] = round(ran.seconds, 1)
        else:
            fact["seconds"] = round(bench.prove(scenario.again), 1)
        if scenario.command == "rollback":
            bench.go_back()
        bench.assert_no_leak()
        _assert_told(scenario, ran)


def _brings_the_other_build(scenario: Scenario) -> bool:
    """Whether that is what runs in the end; an upgrade that fails goes back by itself."""
    return bool(scenario.to) and isinstance(scenario.fault, Killed) and scenario.again == "deploy"


def _met(scenario: Scenario, bench: Bench) -> Ran:
    """A run that meets a fault, which is put right after it."""
    words = bench.words(scenario.command, scenario.to)
    try:
        if not scenario.at:
            scenario.fault.strike(bench.name, None)
        return bench.run(
            *words,
            at=scenario.at,
            strike=lambda run: scenario.fault.strike(bench.name, run),
            own_server=isinstance(scenario.fault, Killed),
        )
    finally:
        scenario.fault.mend(bench.name)


def _said(scenario: Scenario, ran: Ran, directory: Path) -> str:
    """What a person reads of it, in one line."""
    if isinstance(scenario.fault, Killed):
        return ""
    return (ran.errors[-1] if ran.errors else ran.proof).replace(str(directory), "~")


def _assert_told(scenario: Scenario, ran: Ran) -> None:
    """The run ended as it has to, and said so to a person."""
    assert ran.struck == bool(scenario.at), f"the moment did not come: {ran.told[-5:]}"
    told = "\n".join((*ran.warnings, *ran.errors, ran.printed))
    assert "Traceback" not in told
    if isinstance(scenario.fault, Killed):
        assert ran.status == -9
        return
    assert scenario.fails in (None, ran.status != 0), told
    assert ran.status == 0 or ran.errors, "it failed, and said nothing"
    missing = [word for word in scenario.says if not re.search(word, told)]
    assert not missing, told
    assert re.search(scenario.shows, ran.progress), ran.progress
