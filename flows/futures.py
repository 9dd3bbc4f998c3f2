"""Beginning pieces of work side by side, and what is done when some of them fail."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, TypeVar

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture, wait

from configs.errors import KubeV6Error

log = logging.getLogger("kubev6.flows")
R = TypeVar("R")


class CombinedError(KubeV6Error):
    """Several pieces of work failed, each for itself.

    Args:
        errors: What each of them says.
    """

    def __init__(self, errors: tuple[BaseException, ...]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = errors


def begin(work: Task[..., R], *arguments: object, after: Iterable[PrefectFuture[Any]] = ()) -> PrefectFuture[R]:
    """Begin a piece of work beside those that are under way.

    Args:
        work: The Prefect task.
        arguments: What it takes: small frozen values.
        after: What has to have gone well first; when it has not, the work does not begin.
    """
    return work.submit(*arguments, wait_for=list(after), return_state=False)


def results(futures: Iterable[PrefectFuture[Any]]) -> list[Any]:
    """Wait for all of them, the failed and the good ones, and give what they returned.

    Raises:
        KubeV6Error: Some failed. Those that never began, because what they depend on had failed, are not named.
    """
    pending = list(futures)
    wait(pending)
    failed = [future.state for future in pending if future.state.is_failed() or future.state.is_crashed()]
    errors = [state.result(raise_on_failure=False) for state in failed]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise CombinedError(tuple(errors))
    return [future.result() for future in pending]


def is_transient(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect's signature
    """Whether the same may succeed when simply tried again. What is wrong stays wrong and gets one attempt."""
    error = state.result(raise_on_failure=False)
    again = isinstance(error, KubeV6Error) and error.transient
    if again:
        log.warning("%s; trying again", error)
    return again
