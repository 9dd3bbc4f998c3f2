"""What kept a task run from beginning, told from the task runs of a flow as Prefect's server knows them."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import pytest
from prefect.client.schemas.objects import Constant, State, StateType, TaskRun, TaskRunResult
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Running

from flows.run.results import NOT_READY, causes

NOBODY = frozenset({"what it waits for did not end well"})


def of(name: str) -> UUID:
    return uuid5(UUID(int=0), name)


def flow_of(table: dict[str, tuple[State[Any], str]]) -> dict[UUID, TaskRun]:
    """Task runs by their names: how each has ended, and the names of those that it was given."""
    known = {}
    for name, (state, given) in table.items():
        inputs: dict[str, Any] = {
            "job": [Constant(type="a value")],
            "wait_for": [TaskRunResult(id=of(each)) for each in given.split()],
        }
        known[of(name)] = TaskRun(
            id=of(name), name=name, task_key=name, dynamic_key="0", task_inputs=inputs, state=state
        )
    return known


def not_ready() -> State[Any]:
    return State(type=StateType.PENDING, name=NOT_READY)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        pytest.param({"a": (Failed(), ""), "z": (not_ready(), "a")}, {"a failed"}, id="direct"),
        pytest.param({"a": (Crashed(), ""), "z": (not_ready(), "a")}, {"a failed"}, id="crashed"),
        pytest.param({"a": (Cancelled(), ""), "z": (not_ready(), "a")}, {"a failed"}, id="cancelled"),
        pytest.param(
            {"a": (Failed(), ""), "b": (not_ready(), "a"), "c": (not_ready(), "b"), "z": (not_ready(), "c")},
            {"a failed"},
            id="through a chain",
        ),
        pytest.param(
            {"a": (Failed(), ""), "good": (Completed(), ""), "z": (not_ready(), "good a")},
            {"a failed"},
            id="beside one that is well",
        ),
        pytest.param(
            {"a": (Failed(), ""), "b": (Failed(), ""), "z": (not_ready(), "a b")},
            {"a failed", "b failed"},
            id="two causes",
        ),
        pytest.param(
            {"a": (Failed(), ""), "b": (Failed(), ""), "m": (not_ready(), "b"), "z": (not_ready(), "a m")},
            {"a failed", "b failed"},
            id="two causes at different distances",
        ),
        pytest.param(
            {
                "a": (Failed(), ""),
                "left": (not_ready(), "a"),
                "right": (not_ready(), "a"),
                "z": (not_ready(), "left right"),
            },
            {"a failed"},
            id="diamond",
        ),
        pytest.param(
            {"early": (Completed(), ""), "a": (Failed(), "early"), "z": (not_ready(), "a early")},
            {"a failed"},
            id="what came before the cause is no cause",
        ),
        pytest.param({"z": (not_ready(), "unknown")}, NOBODY, id="one that the server does not know"),
        pytest.param({"good": (Completed(), ""), "z": (not_ready(), "good")}, NOBODY, id="only good ones"),
    ],
)
def test_the_failures_at_the_beginning_of_every_chain_are_named(
    table: dict[str, tuple[State[Any], str]], told: set[str]
) -> None:
    assert causes(of("z"), flow_of(table)) == told


def test_a_cached_one_is_no_cause() -> None:
    known = flow_of({"a": (Completed(name="Cached"), ""), "b": (Failed(), ""), "z": (not_ready(), "a b")})
    assert causes(of("z"), known) == {"b failed"}


@pytest.mark.parametrize("state", [Pending(), Running()])
def test_one_without_an_input_that_failed_has_none(state: State[Any]) -> None:
    assert causes(of("z"), flow_of({"z": (state, "")})) == NOBODY
