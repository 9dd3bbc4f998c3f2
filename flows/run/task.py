"""The Prefect task around a verb of ``tasks``: its name, its retries, what its state says, and where its events go."""

from __future__ import annotations

import functools
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar, cast
from uuid import UUID

import httpx
from prefect import Task, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import PrefectHTTPStatusError
from prefect.runtime import flow_run, task_run
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from configs.errors import KubeV6Error
from flows.run.context import RunContext, current, run_context
from flows.run.redaction import to_show
from tasks import scope, steps
from tasks.events import Event
from tasks.secrets import hide
from tasks.steps import StepLog

log = logging.getLogger("kubev6.flows")
P = ParamSpec("P")
R = TypeVar("R")
RETRIES = 3
"""How often what is transient is tried again, after about 2, 4 and 8 seconds."""
SECONDS_BETWEEN_LOOKS = 2.0
"""How often work in another process asks whether its flow still goes on."""


_failed_attempts: ContextVar[tuple[str, tuple[Event, ...]]] = ContextVar("failed_attempts", default=("", ()))
"""The task run whose attempts have failed in this thread, and what nobody has heard of them yet."""


@dataclass(frozen=True, slots=True)
class FromAfar(Generic[R]):
    """What a task came to that ran in another process, with the events that nobody has heard yet."""

    value: R
    events: tuple[Event, ...]


def run_task(run_name: str, *, cacheable: bool = False) -> Callable[[Callable[P, R]], Task[..., R]]:
    """A Prefect task that is tried again only for what is transient.

    Its state says what its steps came to. It may run in any process, by any task runner of Prefect's: where the run's
    own context is not, it has one for itself, and takes its events home with its result.

    Args:
        run_name: What one run of it is called, with parameters in braces.
        cacheable: Whether it may find that everything is there already, which its state is then named by: when none of
            its steps had anything to do, and it came to something.
    """

    def made(work: Callable[P, R]) -> Task[..., R]:
        @functools.wraps(work)
        def body(*args: P.args, **kwargs: P.kwargs) -> Any:
            given = {name: _here(value) for name, value in kwargs.items()}
            called = functools.partial(work, *map(_here, args), **given)
            done = StepLog()
            with scope.holding(done):
                value = called() if current() is not None else _from_afar(called)
            cached = cacheable and _here(value) is not None and all(step.cached for step in done.ended)
            return Completed(name="Cached" if cached else None, message=to_show(done.outcome) or None, data=value)

        decorate = task(
            task_run_name=run_name,
            retries=RETRIES,
            retry_delay_seconds=exponential_backoff(2),
            retry_jitter_factor=0.5,
            retry_condition_fn=is_transient,
            persist_result=False,
        )
        return cast(Task[..., R], decorate(body))

    return made


def is_transient(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect's signature
    """Whether the same may succeed when simply tried again. What is wrong stays wrong and gets one attempt."""
    error = state.result(raise_on_failure=False)
    again = isinstance(error, KubeV6Error) and error.transient and not steps.stopped()
    if again:
        log.warning("%s; trying again", error)
    return again


def _here(value: Any) -> Any:
    """What another task came to, wherever it ran."""
    return value.value if isinstance(value, FromAfar) else value


def _from_afar(work: Callable[[], R]) -> FromAfar[R]:
    from flows.run.secret_blocks import provide

    identity, before = str(task_run.id), _failed_attempts.get()
    heard = list(before[1] if before[0] == identity else ())
    with run_context() as run, run.events.heard_by(heard.append), _ending_with_its_flow(run):
        provide()
        try:
            return FromAfar(work(), tuple(heard))
        except Exception as error:
            error.add_note(hide("".join(traceback.format_exception(error))))  # which does not travel by itself
            vars(error)["carried"] = unheard = tuple(heard)  # and this goes with any error, a defect too
            _failed_attempts.set((identity, unheard))
            if isinstance(error, KubeV6Error) and run.stop_signal.given:
                error.transient = False  # nobody waits for another attempt
            raise


@contextmanager
def _ending_with_its_flow(run: RunContext) -> Iterator[None]:
    """Stop what goes on here when its flow run has ended or is being cancelled, elsewhere: nobody waits for it then."""
    done, identity = threading.Event(), flow_run.id

    def watch() -> None:
        while not done.wait(SECONDS_BETWEEN_LOOKS):
            try:
                with get_client(sync_client=True) as client:
                    state = client.read_flow_run(UUID(str(identity))).state
            except (httpx.HTTPError, PrefectHTTPStatusError) as error:
                log.debug("Prefect's server does not say whether the flow goes on: %s", error)
                continue
            if state is not None and (state.is_final() or state.is_cancelling()):
                run.stop()
                return

    if identity:
        threading.Thread(target=copy_context().run, args=(watch,), daemon=True).start()
    try:
        yield
    finally:
        done.set()
