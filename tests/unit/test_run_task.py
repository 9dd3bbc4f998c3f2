"""What Prefect is told of a verb: its state, its retries, and where its events go when it runs elsewhere."""

from __future__ import annotations

import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import Context
from typing import Any, cast
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.states import Cancelled, Cancelling, Crashed, Failed, Running

from configs.errors import ConfigError, KubeV6Error, NodeError
from flows.run import secret_blocks, task
from flows.run.context import RunContext, current
from flows.run.task import RETRIES, FromAfar, is_transient, run_task
from tasks.events import ChangeMade, Event, StepBegan, StepEnded, emit
from tasks.node.change import Change
from tasks.steps import step
from tests.fakes import fake_of, substitute
from tests.waiting import eventually

MADE = Change("file", "/etc/x", "create", node="kube-worker-1")


def work(*cached: bool) -> int:
    """One step for each; whether it had nothing to do."""
    for number, each in enumerate(cached):
        with step("build", f"step {number}") as shown:
            shown.ended_as(f"outcome {number}", cached=each)
    return len(cached)


def state_of(task: Any, *given: object) -> State[Any]:
    """What the body of a task returns to Prefect."""
    return cast(State[Any], task.fn(*given))


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("cacheable", "cached", "name", "words"),
    [
        (True, (True,), "Cached", "outcome 0"),
        (True, (True, True), "Cached", "outcome 1"),
        (True, (True, False), "Completed", "outcome 1"),
        (True, (False, True), "Completed", "outcome 1"),
        (True, (), "Cached", None),
        (False, (), "Completed", None),
        (False, (True,), "Completed", "outcome 0"),
    ],
)
def test_a_state_is_cached_when_nothing_had_to_be_done_and_says_what_came_of_the_last_step(
    cacheable: bool, cached: tuple[bool, ...], name: str, words: str | None
) -> None:
    state = state_of(run_task("work", cacheable=cacheable)(work), *cached)
    assert (state.is_completed(), state.name, state.message) == (True, name, words)
    assert state.data == len(cached)


@pytest.mark.usefixtures("run")
def test_steps_of_one_task_say_nothing_of_the_next() -> None:
    made = run_task("work", cacheable=True)(work)
    assert [state_of(made, each).name for each in (False, True, False)] == ["Completed", "Cached", "Completed"]


def failed(error: BaseException) -> State[Any]:
    return Failed(data=error)


@pytest.mark.parametrize(
    ("state", "again"),
    [
        (failed(NodeError("kube-worker-1", "runtime", "connection reset", transient=True)), True),
        (failed(KubeV6Error("no answer", transient=True)), True),
        (failed(NodeError("kube-worker-1", "runtime", "the disk is full")), False),
        (failed(ConfigError("wrong")), False),
        (failed(LookupError("a defect")), False),
        (failed(TimeoutError()), False),
        (Crashed(data=RuntimeError("killed")), False),
    ],
)
def test_what_is_transient_is_tried_again_and_nothing_else(
    state: State[Any], again: bool, caplog: pytest.LogCaptureFixture
) -> None:
    assert is_transient(cast(Any, None), cast(TaskRun, None), state) is again
    assert [each.endswith("; trying again") for each in caplog.messages] == [True] * again


def test_a_run_that_is_stopped_tries_nothing_again(run: RunContext) -> None:
    run.stop_signal.give()
    assert not is_transient(cast(Any, None), cast(TaskRun, None), failed(KubeV6Error("no answer", transient=True)))


def test_a_task_says_to_prefect_how_often_and_under_which_condition() -> None:
    made = run_task("work of {cached}")(work)
    assert (made.retries, made.retry_condition_fn, made.persist_result) == (RETRIES, is_transient, False)
    assert made.task_run_name == "work of {cached}"
    assert made.retry_delay_seconds == [2, 4, 8]


def changing(*given: object) -> tuple[object, ...]:
    with step("kube-worker-1", "runtime"):
        emit(ChangeMade(change=MADE))
    assert current() is not None
    return given


def failing() -> None:
    with step("kube-worker-1", "runtime"):
        emit(ChangeMade(change=MADE))
        raise NodeError("kube-worker-1", "runtime", "the disk is full", todo="make room")


def elsewhere(task: Any, *given: object) -> Any:
    """What comes of a task in a process where nothing of the run is, and what is heard of it here: nothing."""
    return pickle.loads(pickle.dumps(Context().run(lambda: state_of(task, *given).data)))


def kinds(events: tuple[Event, ...]) -> list[type[Event]]:
    return [type(each) for each in events]


def test_where_the_run_is_its_events_are_heard_at_once_and_the_value_comes_as_it_is(
    run: RunContext, heard: list[Event]
) -> None:
    state = state_of(run_task("change")(changing), 1, 2)
    assert state.data == (1, 2)
    assert kinds(tuple(heard)) == [StepBegan, ChangeMade, StepEnded]
    assert run.changes == [MADE]


def test_from_afar_a_value_brings_the_events_along(run: RunContext, heard: list[Event]) -> None:
    came = elsewhere(run_task("change")(changing), 1, 2)
    assert isinstance(came, FromAfar)
    assert came.value == (1, 2)
    assert kinds(came.events) == [StepBegan, ChangeMade, StepEnded]
    assert (heard, run.changes) == ([], [])


def test_what_came_from_afar_is_given_to_the_next_task_without_them() -> None:
    came = elsewhere(run_task("change")(changing), FromAfar("given", ()), 2)
    assert came.value == ("given", 2)


def a_defect() -> None:
    with step("kube-worker-1", "runtime"):
        emit(ChangeMade(change=MADE))
        raise LookupError("something nobody thought of")


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (failing, "kube-worker-1: runtime: the disk is full; make room"),
        (a_defect, "something nobody thought of"),
    ],
)
def test_from_afar_an_error_brings_the_events_along(work: Callable[[], None], says: str) -> None:
    def failed_there() -> Any:
        with pytest.raises((NodeError, LookupError)) as caught:
            run_task("fail")(work).fn()
        return caught.value

    came = pickle.loads(pickle.dumps(Context().run(failed_there)))
    assert str(came) == says
    assert kinds(came.carried) == [StepBegan, ChangeMade, StepEnded]
    there = "".join(traceback.format_exception(came))
    assert f"in {work.__name__}" in there, "where it happened is known only there"


def test_what_an_attempt_came_to_elsewhere_comes_with_that_of_the_next_and_with_no_other_task_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def one_after_the_other() -> list[tuple[Event, ...]]:
        came: list[Any] = []
        attempts: list[tuple[str, Callable[[], object]]]
        attempts = [("a", failing), ("a", failing), ("a", changing), ("b", failing), ("c", changing)]
        for identity, each in attempts:
            monkeypatch.setenv("PREFECT__RUNTIME__TASK_RUN__ID", identity)
            try:
                data: Any = state_of(run_task("work")(each)).data
                came.append(data.events)
            except NodeError as error:
                came.append(error.carried)
        return came

    once = [StepBegan, ChangeMade, StepEnded]
    assert list(map(kinds, Context().run(one_after_the_other))) == [once, once * 2, once * 3, once, once]


def test_a_process_elsewhere_asks_for_the_secrets_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    substitute(monkeypatch, secret_blocks, "provide", lambda: asked.append(current() is not None))
    elsewhere(run_task("change")(changing))
    assert asked == [True]


@pytest.mark.parametrize(
    ("state", "stopped"), [(Running(), False), (Cancelling(), True), (Cancelled(), True), (Failed(), True)]
)
def test_work_elsewhere_is_stopped_when_its_flow_has_ended(
    state: State[Any], stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()

    @fake_of(SyncPrefectClient)
    class Client:
        def read_flow_run(self, flow_run_id: UUID) -> FlowRun:
            assert flow_run_id == UUID(int=7)
            looked.set()
            return FlowRun(flow_id=UUID(int=1), state=state)

    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", str(UUID(int=7)))
    substitute(monkeypatch, task, "SECONDS_BETWEEN_LOOKS", 0.01)
    substitute(monkeypatch, task, "get_client", lambda **_: nullcontext(Client()))

    @contextmanager
    def broken_off() -> Iterator[None]:
        """As a connection that is closed ends: with what may pass by itself."""
        try:
            yield
        except KubeV6Error as error:
            error.transient = True
            raise

    def long() -> str:
        with broken_off(), step("kube-worker-1", "runtime") as shown:

            def told_to_stop() -> bool:
                shown.progress("still at it")  # raises then
                return False

            assert looked.wait(20)
            if stopped:
                eventually(told_to_stop)
            shown.progress("still at it")
            return "went on"

    if stopped:
        with pytest.raises(KubeV6Error, match=r"^stopped; running it again") as caught:
            elsewhere(run_task("work")(long))
        assert not caught.value.transient, "nobody waits for another attempt"
    else:
        assert elsewhere(run_task("work")(long)).value == "went on"
