"""What became of the task runs of a flow: their results, or the errors that are causes and not consequences."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, TaskRunFilter, TaskRunFilterId
from prefect.client.schemas.objects import State, StateType, TaskRun, TaskRunResult
from prefect.exceptions import PrefectHTTPStatusError
from prefect.futures import PrefectFuture, wait
from prefect.results import ResultRecord  # type: ignore[attr-defined]  # as Prefect itself has it
from prefect.runtime import flow_run

from configs.errors import KubeV6Error, combined
from flows.run.context import this_run
from flows.run.redaction import to_show
from flows.run.task import FromAfar

log = logging.getLogger("kubev6.flows")
R = TypeVar("R")
NOT_READY = "NotReady"
"""How Prefect names the state of a task run that did not begin because another one failed."""
SECONDS_TO_RECORD = 5.0
"""How long Prefect's server may take to write down the task runs of a flow run, which it hears of as events."""


PAGE, MOST_TASK_RUNS = 200, 100_000
"""How many task runs the server is asked for at once, and of how many at the most."""


def result(future: PrefectFuture[R]) -> R:
    """Wait for a task run, and give what it returned.

    Raises:
        KubeV6Error: It failed, or did not begin because others had failed: then these are the error's causes.
    """
    found: R = results([future])[0]
    return found


def results(futures: Iterable[PrefectFuture[Any]], *, also: KubeV6Error | None = None) -> list[Any]:
    """Wait for all of some task runs, the failed and the good ones, and give what they returned.

    Args:
        futures: The task runs.
        also: An error that has been seen already, to be raised together with theirs.

    Raises:
        KubeV6Error: Some failed. Those that did not begin, because what they depend on had failed, are not named.
    """
    pending = list(futures)
    settled(pending)
    errors: list[BaseException] = list(getattr(also, "errors", (also,))) if also else []
    for future in pending:
        error = error_of(future)
        if error is not None and not any(error is each for each in errors):
            errors.append(error)
    if errors:
        raise combined(errors)
    if any(map(is_not_ready, pending)):
        raise KubeV6Error("some work was not begun, because what it waits for did not end well")
    return [_value(future) for future in pending]


def value(future: PrefectFuture[R]) -> R | None:
    """Wait for a task run, and give what it returned; None when it did not end well, which who waits for it shows."""
    settled([future])
    found: R | None = _value(future) if future.state.is_completed() else None
    return found


def settled(futures: Iterable[PrefectFuture[Any]]) -> None:
    """Wait until all of some task runs have ended, well or not, and let the run hear what happened in those.

    The states of those that did not begin then say in one sentence whose failure that was.
    """
    pending = list(futures)
    wait(pending)
    for future in pending:
        _tell(future)
    name_causes(future.task_run_id for future in pending if is_not_ready(future))


def is_not_ready(future: PrefectFuture[Any]) -> bool:
    """Whether a task run that has ended did not begin because another one had failed."""
    return future.state.name == NOT_READY


def error_of(future: PrefectFuture[Any]) -> BaseException | None:
    """Why a task run that has ended failed or crashed; None for any other."""
    if not (future.state.is_failed() or future.state.is_crashed()):
        return None
    error: BaseException = _data(future.state)
    return error


def name_causes(not_ready: Iterable[UUID]) -> None:
    """Let the states of task runs that did not begin say in a sentence which failure kept them from it.

    Prefect's own sentence names the id of the task run that they waited for, which may not have begun itself. A run
    does not fail because the server does not take that.

    Args:
        not_ready: Their ids.
    """
    run = this_run()
    wanted, identity = set(not_ready) - run.named, flow_run.id
    if not wanted or not identity or run.stop_signal.asked:
        return
    run.named |= wanted
    try:
        with get_client(sync_client=True) as client:
            known = _recorded(client, UUID(str(identity)), wanted)
            for each in wanted & known.keys():
                sentence = to_show(f"not begun, because {' and '.join(sorted(causes(each, known)))}")
                log.info("%s: %s", known[each].name, sentence)
                state: State[Any] = State(type=StateType.PENDING, name=NOT_READY, message=sentence)
                client.set_task_run_state(each, state, force=True)
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        log.debug("Prefect's server does not take why some tasks did not begin: %s", error)


def causes(run: UUID, known: Mapping[UUID, TaskRun]) -> frozenset[str]:
    """What kept a task run from beginning, in words: the failures at the beginning of every chain to it. Pure.

    Args:
        run: Its id.
        known: All task runs of the flow run, by id.
    """
    found: set[str] = set()
    for upstream in _upstream(run, known):
        other, state = known[upstream], known[upstream].state
        if state is not None and state.name == NOT_READY:
            found |= causes(upstream, known)
        elif state is not None and not state.is_completed():
            found.add(f"{other.name} failed")
    return frozenset(found) or frozenset({"what it waits for did not end well"})


def _upstream(run: UUID, known: Mapping[UUID, TaskRun]) -> Iterator[UUID]:
    """The task runs that one waits for."""
    for given in known[run].task_inputs.values():
        yield from (each.id for each in given if isinstance(each, TaskRunResult) and each.id in known)


def _recorded(client: SyncPrefectClient, identity: UUID, wanted: set[UUID]) -> dict[UUID, TaskRun]:
    """The task runs of a flow run as its server knows them, when it knows how those ended on which some depend.

    Args:
        client: Asks the server.
        identity: The flow run.
        wanted: Those that did not begin.
    """
    deadline = time.monotonic() + SECONDS_TO_RECORD
    runs = FlowRunFilter(id=FlowRunFilterId(any_=[identity]))
    while True:
        found: dict[UUID, TaskRun] = {}
        for offset in range(0, MOST_TASK_RUNS, PAGE):
            page = client.read_task_runs(flow_run_filter=runs, limit=PAGE, offset=offset)
            found |= {run.id: run for run in page}
            if len(page) < PAGE:
                break
        if all(run in found and _has_ended(run, found) for run in wanted) or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def wait_until_recorded(wanted: Iterable[UUID], seconds: float) -> bool:
    """Wait until Prefect's server has written down how task runs ended, which it hears of as events.

    Args:
        wanted: Their ids.
        seconds: How long at the most.

    Returns:
        Whether it has.
    """
    left, deadline = set(wanted), time.monotonic() + seconds
    with get_client(sync_client=True) as client:
        while left and time.monotonic() < deadline:
            asked = TaskRunFilter(id=TaskRunFilterId(any_=sorted(left)[:PAGE]))
            page = client.read_task_runs(task_run_filter=asked, limit=PAGE)
            left -= {run.id for run in page if run.state and (run.state.is_final() or run.state.name == NOT_READY)}
            if left:
                time.sleep(0.05)
    return not left


def _has_ended(run: UUID, known: Mapping[UUID, TaskRun]) -> bool:
    """Whether it is known how a task run ended, and how those did that it waits for."""
    state = known[run].state
    if state is None or not (state.is_final() or state.name == NOT_READY):
        return False
    return state.is_final() or all(_has_ended(each, known) for each in _upstream(run, known))


def _value(future: PrefectFuture[Any]) -> Any:
    value = _data(future.state) if future.state.is_completed() else future.result()
    return value.value if isinstance(value, FromAfar) else value


def _data(state: State[Any]) -> Any:
    """What the state of a task run that has ended holds: what it came to, or its error.

    Prefect asks its event loop for that, also for what is here, which is most of what a task run costs the flow.
    """
    data = state.data
    return data.result if isinstance(data, ResultRecord) else state.result(raise_on_failure=False)


def _tell(future: PrefectFuture[Any]) -> None:
    """Let the listeners of the run hear what happened where a task ran, if that was in another process."""
    run = this_run()
    if future.task_run_id in run.heard_of:
        return
    run.heard_of.add(future.task_run_id)
    value = _data(future.state) if future.state.is_final() else None
    events = value.events if isinstance(value, FromAfar) else getattr(value, "carried", ())
    for event in events:
        run.events.send(event)
