"""A run: with its steps on the screen, everything in its log, and an end that comes soon when it is asked for."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from configs.errors import CombinedError, KubeV6Error
from configs.schema.cluster import Cluster
from flows.run import recording, secret_blocks
from flows.run.log import open_run_log
from kubev6.console import standard_error
from kubev6.console.display import Showing, showing_steps
from kubev6.console.listener import Listener
from kubev6.server import orchestration
from tasks import secrets, steps

if TYPE_CHECKING:
    from prefect import Flow

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger("kubev6.commands")
SECONDS_TO_STOP = 10.0
"""How long the threads of a run that was interrupted have to end by themselves."""


@contextmanager
def running(
    command: str, args: argparse.Namespace, *, about: Cluster | str | None = None, on: Cluster | None = None
) -> Iterator[Listener]:
    """A run with its steps on the screen and everything in its log, which errors name.

    Args:
        command: What is run.
        args: Of them, how it is to be shown.
        about: What a report is to be drawn of: the cluster, the release or the series; None for no report.
        on: The cluster on whose nodes it runs, when no report is to be drawn of it.
    """
    path = open_run_log(command)
    how = Showing(verbose=args.verbose, moving=not args.no_progress, as_json=args.log_json)
    cluster = about if isinstance(about, Cluster) else on
    nodes = [node.name for node in cluster.nodes] if cluster else []
    recorded = recording.recording(command, about, path) if about else nullcontext()
    try:
        with recorded, showing_steps(how, nodes=nodes) as shown, _stoppable(shown):
            yield shown
    except KubeV6Error as error:
        errors = getattr(error, "errors", (error,))
        for each in errors:
            log.debug("failed: %s\n%s", each, getattr(each, "detail", ""), exc_info=each)
        told = [each if isinstance(each, KubeV6Error) else _defect(each) for each in errors]
        for each in told[:-1]:
            standard_error.say(str(each))
        raise KubeV6Error(f"{told[-1]} (log: {path})") from error
    except Exception as error:
        log.exception("a defect")
        raise KubeV6Error(f"{_defect(error)} (log: {path})") from error


def provide_secrets() -> None:
    """Have the secrets for a command that does without Prefect, unless one of them is a block of its server.

    Raises:
        KubeV6Error: A block is not there, the Prefect server does not answer, or a file cannot be used.
    """
    if any(secrets.block_of(variable) for variable in secrets.KINDS):
        orchestration.start()
    secret_blocks.provide()


def _defect(error: BaseException) -> str:
    return f"a defect of kubev6: {type(error).__name__}: {str(error).partition(chr(10))[0]}"


@contextmanager
def _stoppable(shown: Listener) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the run soon: threads cannot be interrupted, but what they wait for can be ended."""

    def interrupted(signal_number: int, frame: Any) -> None:  # noqa: ARG001 - the shape of a signal handler
        signal.signal(signal.SIGINT, at_once)
        shown.be_quiet()
        steps.stop()
        backstop = threading.Timer(SECONDS_TO_STOP, _give_up, (shown,))
        backstop.daemon = True
        backstop.start()
        raise KeyboardInterrupt

    def at_once(*_: object) -> None:  # asked twice
        shown.let_go()
        os._exit(130)

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if not steps.stopped():
            for number, handler in before.items():
                signal.signal(number, handler)


def _give_up(shown: Listener) -> None:
    """End this process although threads of it still wait for something."""
    orchestration.stop()
    recording.end_now()
    shown.let_go()
    standard_error.say("stopped; running it again goes on from here", level="warning")
    os._exit(130)


def agreed(command: str) -> bool:
    """Ask the person whether to go on.

    Args:
        command: What asks.

    Raises:
        KubeV6Error: Nobody is there to answer.
    """
    if not sys.stdin.isatty():
        raise KubeV6Error(f"{command} asks first, and there is no terminal to answer at", todo="--yes answers for you")
    return input("Go on? [y/N] ").strip().lower() in ("y", "yes")


def outcome(flow: Flow[..., Any], *given: object) -> Any:
    """Run a flow, and what it returned. A proof that failed is an outcome too; an error is raised.

    Args:
        flow: The flow.
        given: Its parameters.
    """
    value = orchestration.run(flow, *given)
    if not isinstance(value, BaseException):
        return value
    if untold := orchestration.untold():
        raise CombinedError((*getattr(value, "errors", (value,)), *untold))
    raise value


def with_task_runner(flow: Flow[P, R], task_runner: str) -> Flow[P, R]:
    """A flow with the task runner that was asked for.

    Args:
        flow: The flow.
        task_runner: What the person wrote.
    """
    if task_runner == "threads":
        return flow
    from flows.dask.task_runner import on_dask

    return flow.with_options(task_runner=on_dask(task_runner))
