"""What every flow run goes through, whether a command line or a server began it.

A log, a record, artifacts, and an end that comes soon when it is asked for.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import FailedRun
from prefect.states import Failed

from configs.errors import KubeV6Error
from configs.schema.cluster import Cluster
from flows.run import labels, secret_blocks
from flows.run.artifacts import published
from flows.run.context import RunContext, current, run_context
from flows.run.log import run_log
from flows.run.notify import hide_when_ended
from flows.run.recording import recorded
from flows.run.redaction import to_show

log = logging.getLogger("kubev6.flows")
SECONDS_TO_STOP = 6.0
"""How long the threads of a run that a server has cancelled have to end by themselves."""
OF_FLOWS, OF_TASKS = "prefect.flow_runs", "prefect.task_runs"


def _no_defect(record: logging.LogRecord) -> bool:
    """A filter: an error that a person can put right is no defect of the program, whose traceback Prefect would show.

    Where it was raised is in the run's own log. That a flow has ended by one was told by its state already.
    """
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, KubeV6Error | FailedRun):
        return True
    record.exc_info = None
    return record.name != OF_FLOWS


for _name in (OF_FLOWS, OF_TASKS):
    logging.getLogger(_name).addFilter(_no_defect)


@contextmanager
def flow_run(command: str, about: Cluster | str) -> Iterator[RunContext]:
    """A flow run. One that the command line or another flow began has its context, log and record already.

    Args:
        command: What is run.
        about: The cluster, or the name of the release.

    Yields:
        The context of the run.
    """
    _say_which_process()
    with ExitStack() as stack:
        run = current() or stack.enter_context(_unattended(command, about))
        hide_when_ended(run.secrets)
        stack.enter_context(published(run))
        stack.enter_context(_stopping(run))
        secret_blocks.provide()
        yield run


@contextmanager
def _unattended(command: str, about: Cluster | str) -> Iterator[RunContext]:
    """A run that no person looks at: its log tells how it ended."""
    with run_context() as run, run_log(command) as path:
        for handler in logging.getLogger().handlers:  # those of Prefect write into the worker's log
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(max(handler.level, logging.WARNING))
        try:
            with recorded(run.events, command, about, path) as run.recording:
                yield run
        except KubeV6Error as error:
            for each in getattr(error, "errors", (error,)):
                log.debug("failed: %s\n%s", each, getattr(each, "detail", ""), exc_info=each)
            log.error("%s (log: %s)", error, path)
            raise
        except Exception:
            log.exception("a defect (log: %s)", path)
            raise
        except BaseException:  # what Prefect makes of SIGTERM
            # Threads cannot be interrupted. Those that are still at work then are not waited for.
            backstop = threading.Timer(SECONDS_TO_STOP, os._exit, (143,))
            backstop.daemon = True
            backstop.start()
            raise


def failed(error: KubeV6Error) -> State[Any]:
    """How a flow ends by an error: the message of its state says what every node has to say."""
    errors = getattr(error, "errors", (error,))
    # Prefect's page shows all of it as one line.
    said = [f"({number}) {each}" for number, each in enumerate(errors, 1)] if len(errors) > 1 else [str(error)]
    return Failed(message=to_show("\n".join(said)), data=error)


def called(command: str) -> str:
    """What a run is called by those who have to wait for it."""
    here = FlowRunContext.get()
    run = here.flow_run if here else None
    return f"flow run {run.name}" if run and run.deployment_id else f"kubev6 {command}"


def _say_which_process() -> None:
    """Let Prefect's server know in which process a flow runs, so that its end can be told when that is gone."""
    here = FlowRunContext.get()
    if here is None or here.flow_run is None:
        return
    try:
        cast(SyncPrefectClient, here.client).update_flow_run_labels(here.flow_run.id, dict(labels.labels()))
    except httpx.HTTPError as error:
        log.debug("the Prefect server does not take where this runs: %s", error)


@contextmanager
def _stopping(run: RunContext) -> Iterator[None]:
    """End what is under way in the run when it does not end in order.

    Raises:
        KeyboardInterrupt: It has been told to stop: some libraries make an error of their own of an interrupt that
            comes while they work.
    """
    try:
        yield
    except BaseException as error:
        asked = run.stop_signal.asked
        if not isinstance(error, KubeV6Error):
            run.stop(asked=not isinstance(error, Exception))
        if asked and isinstance(error, Exception):
            raise KeyboardInterrupt from error
        raise
