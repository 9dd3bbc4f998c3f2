"""Changes that may cut a machine off: it puts them back by itself, unless a new connection to it comes about.

The machine arms a dead man's switch before it makes them (:mod:`tasks.node_agent.rollback`). What confirms them is the
next question for facts, over a connection that is made afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any

from configs.errors import KubeV6Error, NodeError
from tasks.node.change import Change
from tasks.ssh.connection import Connection
from tasks.steps import Step, go_on

SECONDS = 60
"""How long a machine waits for the confirmation."""
PUT_BACK_SECONDS = 120
"""How long it may take to put the changes back."""
SILENT_SECONDS = 20
"""When a connection whose other side says nothing is given up."""
NAMED = 8
"""How many changes a message names."""

Reconnect = Callable[[], AbstractContextManager[Connection]]
"""Makes a new connection to the machine."""


@dataclass(frozen=True, slots=True)
class PutBack:
    """What a machine has put back by itself.

    Attributes:
        left: What could not be.
    """

    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rollback:
    """What :func:`tasks.node_agent.confirmation.confirm` says; see there."""

    busy: bool = False
    put_back: PutBack | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What :mod:`tasks.node_agent.read_facts` prints.

    Attributes:
        there: By kind of resource, what the machine says of itself.
        added: By stage and kind, what earlier runs did.
        rollback: Whether changes wait for their confirmation, or have been put back.
        seen: Why what is wanted would not work there; empty when it would.
        todo: What is to be done then.
    """

    there: dict[str, Any] = field(default_factory=dict)
    added: dict[str, dict[str, Any]] = field(default_factory=dict)
    rollback: Rollback = Rollback()
    seen: str = ""
    todo: str = ""


def confirmed(
    node: str,
    stage: str,
    changes: Sequence[Change],
    reconnect: Reconnect,
    facts: Callable[[Connection], Answer],
    way: ExitStack,
    shown: Step,
) -> tuple[Connection, Answer]:
    """Reach a machine over a new connection, which confirms what was changed there.

    Args:
        node: The machine.
        stage: The stage that was changed.
        changes: What was changed.
        reconnect: Makes the connection.
        facts: Asks for the machine's facts.
        way: Ends the connection.
        shown: Says how far it is.

    Returns:
        The connection, and the facts as they are now.

    Raises:
        NodeError: The machine has put the changes back, or is not reached.
        KubeV6Error: The run has been told to stop.
    """
    until = time.monotonic() + SECONDS + PUT_BACK_SECONDS
    trouble = ""
    while time.monotonic() < until:
        go_on()
        with ExitStack() as tried:
            try:
                connection = tried.enter_context(reconnect())
                answer = facts(connection)
            except KubeV6Error as error:
                trouble = error.seen if isinstance(error, NodeError) else error.message
                shown.progress(f"waiting for a new connection: {trouble}")
            else:
                if answer.rollback.put_back:
                    raise _was_put_back(node, stage, changes, trouble, answer.rollback.put_back.left)
                if not answer.rollback.busy:
                    way.push(tried.pop_all())
                    return connection, answer
        time.sleep(1)
    raise NodeError(
        node,
        stage,
        f"no new connection comes about after {_named(changes)}, nor since the machine must have put that back by "
        f"itself: {trouble}",
        todo="look at its console: `journalctl -u 'kubev6-rollback*'`",
        detail="\n".join(change.describe() for change in changes),
    )


def _was_put_back(node: str, stage: str, changes: Sequence[Change], trouble: str, left: Sequence[str]) -> NodeError:
    not_all = f", but for {'; '.join(left)}" if left else ""
    return NodeError(
        node,
        stage,
        f"no new connection came about within {SECONDS} s after {_named(changes)} ({trouble or 'it took too long'}), "
        f"so the machine has put everything of that back{not_all}",
        todo="see which of these takes away the way from here to it, and change the cluster file or the machine's own "
        "network; then deploy again",
        detail="\n".join(change.describe() for change in changes),
    )


def _named(changes: Sequence[Change]) -> str:
    """Some changes in a line: what comes after the files and packages is what a connection goes by."""
    told = [f"{each.action} {each.kind} {each.subject}" for each in changes if each.kind not in ("package", "module")]
    more = [f"{len(told) - NAMED} more"] if len(told) > NAMED else []
    return ", ".join(told[-NAMED:] + more)
