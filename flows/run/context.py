"""The one context of a run: everything that it changes while it works. Nothing else of a process has a state.

It is found through :mod:`tasks.scope`, part by part, by whoever needs a part: a verb of ``tasks`` asks for the stop
signal, and knows nothing of the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from uuid import UUID

from flows.run.log import log_event
from flows.run.recording import Recording
from tasks import scope
from tasks.docker.toolchain import Containers
from tasks.events import Bus, ChangeMade, Event
from tasks.kubernetes.join_tokens import JoinTokens
from tasks.node.change import Change
from tasks.secrets import Secrets
from tasks.ssh.pool import ConnectionPool
from tasks.steps import StopSignal


class RunContext:
    """What one run has of its own.

    Attributes:
        events: The bus of its events.
        stop_signal: Tells its work to end.
        secrets: Those that it was given, and those that nothing may show.
        connections: Its SSH connections.
        containers: Its containers in which something is compiled.
        join_tokens: What lets its workers join; never stored.
        changes: What it has changed so far.
        recording: Its record, when one is kept.
        heard_of: Task runs whose events have been heard here, wherever they ran.
        named: Task runs that did not begin, and whose states say why by now.
        to_the_end: What is held as long as anything of the run lives, when it is being stopped: threads cannot be
            interrupted, and those that still work have this context.
    """

    def __init__(self) -> None:
        self.events = Bus()
        self.stop_signal = StopSignal()
        self.secrets = scope.find(Secrets) or Secrets()
        self.connections = ConnectionPool()
        self.containers = Containers()
        self.join_tokens = JoinTokens()
        self.changes: list[Change] = []
        self.recording: Recording | None = None
        self.heard_of: set[UUID] = set()
        self.named: set[UUID] = set()
        self.to_the_end = ExitStack()

    def stop(self, *, asked: bool = True) -> None:
        """End all that is under way: a thread cannot be interrupted, but its work can be made to fail.

        Args:
            asked: Whether somebody has asked for the end; else a defect is it.
        """
        self.stop_signal.give(asked=asked)
        self.connections.close()
        self.containers.stop()

    def hear(self, event: Event) -> None:
        """Count the changes."""
        if isinstance(event, ChangeMade):
            self.changes.append(event.change)


@contextmanager
def run_context() -> Iterator[RunContext]:
    """The context of a run, for as long as this lasts; its connections are closed at the end."""
    run = RunContext()
    parts = (
        run,
        run.events,
        run.stop_signal,
        run.secrets,
        run.connections,
        run.containers,
        run.join_tokens,
    )
    with scope.holding(*parts), run.events.heard_by(run.hear), run.events.heard_by(log_event):
        try:
            yield run
        finally:
            run.connections.close()


def current() -> RunContext | None:
    """The context of the run that the caller is part of; None outside a run."""
    return scope.find(RunContext)


def this_run() -> RunContext:
    """The same, where there is always one.

    Raises:
        RuntimeError: There is none.
    """
    run = current()
    if run is None:
        raise RuntimeError("no run is under way here")
    return run
