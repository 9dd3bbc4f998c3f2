"""Beginning pieces of work side by side, and what is done when some of them fail."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from prefect import Task, unmapped
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture, wait
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from configs.errors import CombinedError, KubeV6Error
from flows.gates import NotBegunError
from tasks import steps

log = logging.getLogger("kubev6.flows")
R = TypeVar("R")

A_THREAD_EACH = cast(TaskRunner[PrefectFuture[Any]], ThreadPoolTaskRunner[Any](max_workers=sys.maxsize))
"""No work waits for a thread: what opens a gate must never queue behind those that wait there."""


class OnEnd(Protocol):
    """What is called when the work of a name has ended for good: well, or in failure."""

    def __call__(self, name: str, /, *, well: bool) -> None: ...


def begin(work: Task[..., R], *arguments: object) -> PrefectFuture[R]:
    """Begin a piece of work beside those that are under way.

    Args:
        work: The Prefect task.
        arguments: What it takes: small frozen values.
    """
    return work.submit(*arguments, return_state=False)


def begin_each(
    work: Task[..., R], job: object, names: Sequence[str], *, on_end: OnEnd | None = None
) -> list[PrefectFuture[R]]:
    """Begin the same work for every name, side by side, in this order.

    Args:
        work: The Prefect task; takes the job and a name.
        job: What is the same for all.
        names: The names.
        on_end: Called with the name when its work has ended, well or for good; from another thread.
    """
    futures = list(work.map(unmapped(job), names, return_state=False)) if names else []
    if on_end:
        for name, future in zip(names, futures, strict=True):
            future.add_done_callback(partial(_tell_end, on_end, name))
    return futures


def _tell_end(hearer: OnEnd, name: str, future: PrefectFuture[Any]) -> None:
    future.wait()  # at once; without it the server would be asked for the state
    hearer(name, well=future.state.is_completed())


def results(futures: Iterable[PrefectFuture[Any]]) -> list[Any]:
    """Wait for all of them, the failed and the good ones, and give what they returned.

    Raises:
        KubeV6Error: Some failed. Those that did not begin, because what they depend on had failed, are not named.
    """
    pending = list(futures)
    wait(pending)
    failed = [future.state for future in pending if future.state.is_failed() or future.state.is_crashed()]
    errors = [state.result(raise_on_failure=False) for state in failed]
    causes = [error for error in errors if not isinstance(error, NotBegunError)]
    if len(causes) == 1:
        raise causes[0]
    if causes:
        raise CombinedError(tuple(causes))
    return [future.result() for future in pending]


def settled(futures: Iterable[PrefectFuture[Any]]) -> None:
    """Wait until all of them have ended, well or not."""
    wait(list(futures))


def is_transient(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect's signature
    """Whether the same may succeed when simply tried again. What is wrong stays wrong and gets one attempt."""
    error = state.result(raise_on_failure=False)
    again = isinstance(error, KubeV6Error) and error.transient and not steps.stopped()
    if again:
        log.warning("%s; trying again", error)
    return again
