"""A run: with its steps on the screen, everything in its log, and an end that comes soon when it is asked for."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from configs.errors import KubeV6Error, defect
from configs.schema.cluster import Cluster
from flows.run import secret_blocks
from flows.run.context import RunContext, run_context
from flows.run.lock import locked
from flows.run.log import run_log
from flows.run.recording import recorded
from kubev6.console import standard_error
from kubev6.console.display import showing_steps
from kubev6.console.listener import Listener
from kubev6.server.orchestration import Orchestration
from tasks import secrets

log = logging.getLogger("kubev6.commands")
SAME_SECONDS = 1.0
"""What comes so soon after a signal is that one again: a program that started this one may pass on what both got."""
SECONDS_TO_STOP = 10.0
"""How long the threads of a run that was interrupted have to end by themselves."""


@dataclass(frozen=True, slots=True)
class Running:
    """A command under way.

    Attributes:
        context: The run.
        shown: What shows its steps, which also keeps the times.
        prefect: Prefect, once it is started.
    """

    context: RunContext
    shown: Listener
    prefect: Orchestration


@contextmanager
def running(
    command: str, args: argparse.Namespace, *, about: Cluster | str | None = None, on: Cluster | None = None
) -> Iterator[Running]:
    """A run with its steps on the screen and everything in its log, which errors name.

    Args:
        command: What is run.
        args: Of them, how it is to be shown.
        about: What a report is to be drawn of: the cluster, the release or the series; None for no report.
        on: The cluster on whose nodes it runs, when no report is to be drawn of it.
    """
    how = {"verbose": args.verbose, "live": not args.no_progress, "as_json": args.log_json}
    cluster = about if isinstance(about, Cluster) else on
    nodes = [node.name for node in cluster.nodes] if cluster else []
    with run_context() as run, run_log(command) as path:
        try:
            with (
                recorded(run.events, command, about, path) if about else nullcontext() as run.recording,
                showing_steps(run.events, nodes=nodes, **how) as shown,
            ):
                here = Running(run, shown, Orchestration())
                with _stoppable(here):
                    yield here
        except KubeV6Error as error:
            errors = getattr(error, "errors", (error,))
            for each in errors:
                log.debug("failed: %s\n%s", each, getattr(each, "detail", ""), exc_info=each)
            told = [each if isinstance(each, KubeV6Error) else defect(each) for each in errors]
            for each in told[:-1]:
                standard_error.say(str(each))
            raise KubeV6Error(f"{told[-1]} (log: {path})") from error
        except Exception as error:
            log.exception("a defect")
            raise KubeV6Error(f"{defect(error)} (log: {path})") from error


@contextmanager
def alone(command: str, cluster: Cluster, args: argparse.Namespace) -> Iterator[None]:
    """Have a cluster for oneself over all that a command runs on it: nobody changes it between a run and its tests.

    Args:
        command: The command.
        cluster: The topology.
        args: Of what was given at the command line, whether another run is waited for.

    Raises:
        KubeV6Error: Another run works on it, and this one is not to wait.
    """
    say = partial(standard_error.say, level="warning")
    with locked(cluster.name, f"kubev6 {command}", args.if_busy, say):
        yield


def provide_secrets(here: Running) -> None:
    """Have the secrets for a command that does without Prefect, unless one of them is a block of its server.

    Args:
        here: The command.

    Raises:
        KubeV6Error: A block is not there, the Prefect server does not answer, or a file cannot be used.
    """
    if any(secrets.block_of(variable) for variable in secrets.KINDS):
        here.prefect.start()
    secret_blocks.provide()


@contextmanager
def _stoppable(here: Running) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the run soon: threads cannot be interrupted, but what they wait for can be ended.

    Raises:
        KeyboardInterrupt: One of them came, whatever that became for somebody who was at work.
    """
    asked = threading.Event()

    def interrupted(signal_number: int, frame: Any) -> None:  # noqa: ARG001 - the shape of a signal handler
        signal.signal(signal.SIGINT, at_once)
        asked.set()
        here.shown.be_quiet()
        here.context.stop_signal.give()
        backstop = threading.Timer(SECONDS_TO_STOP, _give_up, (here,))
        backstop.daemon = True
        backstop.start()
        raise KeyboardInterrupt

    def at_once(*_: object) -> None:  # asked twice
        here.shown.let_go()
        os._exit(130)

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Exception as error:
        if not asked.is_set():
            raise
        log.debug("stopped", exc_info=error)
        raise KeyboardInterrupt from error
    finally:
        if not asked.is_set():
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def asked_to_end() -> Iterator[threading.Event]:
    """Have the first Ctrl-C, or SIGTERM, mean that what goes on and on ends in order; a later one is as ever.

    Yields:
        It is set when that was asked.
    """
    asked = threading.Event()
    at = 0.0

    def handler(number: int, frame: Any) -> None:  # noqa: ARG001 - the shape of a signal handler
        nonlocal at
        if not asked.is_set():
            at = time.monotonic()
            asked.set()
        elif time.monotonic() - at > SAME_SECONDS:
            restore()
            os.kill(os.getpid(), number)

    def restore() -> None:
        for number, former in before.items():
            signal.signal(number, former)

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        restore()


def _give_up(here: Running) -> None:
    """End this process although threads of it still wait for something."""
    here.prefect.stop()
    if here.context.recording is not None:
        here.context.recording.end("stopped")
    here.shown.let_go()
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
