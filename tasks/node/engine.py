"""Bringing a node to a stage: read facts, diff, apply. Two round trips, and only one when nothing is to be done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from configs.errors import NodeError
from configs.membership import Identity
from configs.plan.state import StageState
from tasks.node.change import Change
from tasks.node.confirmation import SECONDS, SILENT_SECONDS, Answer, Reconnect, confirmed
from tasks.node.resources import kinds
from tasks.secrets import hide
from tasks.ssh.connection import Connection
from tasks.ssh.program import program
from tasks.steps import Step, step

log = logging.getLogger("kubev6.node")
FACTS_SECONDS = 60
APPLY_SECONDS = 1800
ROUNDS = 3
"""How often a stage is applied until nothing is left to do: what a package or a service brings with it when it is
installed or restarted (a file that must not exist, a route that goes away) is only seen afterwards."""


@dataclass(frozen=True, slots=True)
class Failed:
    """What :mod:`tasks.node_agent.apply_changes` prints: why changes could not be made, or nothing.

    Attributes:
        seen: What was seen; empty when all were made.
        number: Of the change that could not be made; -1 when it was none of them.
        todo: What is to be done then.
        detail: More of it, for the log.
        transient: Whether it may go well another time.
    """

    seen: str = ""
    number: int = -1
    todo: str = ""
    detail: str = ""
    transient: bool = False


def plan_changes(connection: Connection, stages: Sequence[StageState]) -> dict[str, tuple[Change, ...]]:
    """What would be done to a node, in one round trip in which it is asked what it is. Changes nothing there.

    Args:
        connection: To the node.
        stages: The stages.

    Returns:
        The changes by stage, in the order in which they must be made.

    Raises:
        NodeError: The node could not be asked.
    """
    answer = _read_facts(connection, stages)
    return {stage.name: _changes(connection.node, stage, answer) for stage in stages}


def _read_facts(connection: Connection, stages: Sequence[StageState]) -> Answer:
    query = kinds.query(stages)
    answer: Answer = connection.run_python(
        program("read_facts"), query, step="read facts", timeout=FACTS_SECONDS, kind=Answer
    )
    if answer.seen:
        raise NodeError(connection.node, "read facts", answer.seen, todo=answer.todo)
    return answer


def _changes(node: str, stage: StageState, answer: Answer) -> tuple[Change, ...]:
    found = kinds.diff(stage, _facts(node, stage, answer))
    return tuple(replace(change, node=node, stage=stage.name) for change in found)


def _facts(node: str, stage: StageState, answer: Answer) -> kinds.Facts:
    try:
        return kinds.parse(answer.there, answer.added[stage.name])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        seen = f"what it says of itself is not of the form that was asked for: {type(error).__name__}: {error}"
        raise NodeError(node, "read facts", seen, todo="see what answers there in the place of its Python") from None


def apply(
    connection: Connection,
    stage: StageState,
    changes: Sequence[Change],
    *,
    of: Identity | None = None,
    progress: Callable[..., object] | None = None,
    made: Callable[[Change], None] = lambda _: None,
    rollback: bool = False,
) -> None:
    """Make changes on a node, in one round trip and in their order, until the first that fails.

    Args:
        connection: To the node.
        stage: The stage that the changes belong to.
        changes: What :func:`tasks.node.resources.kinds.diff` found.
        of: The cluster that the node is brought to, which the record there names from now on.
        progress: Called with what is being done, and how much of how much where that is counted, from another thread.
        made: Called with each change that was made, also when a later one could not be.
        rollback: Whether the node puts them back by itself unless it is asked for facts soon
            (:mod:`tasks.node.confirmation`).

    Raises:
        NodeError: A change could not be made; those before it stand, and running it again goes on from there. Or the
            record there names another cluster.
    """
    order = {
        "stage": stage.name,
        "changes": [as_order(change) for change in changes],
        "cluster": asdict(of) if of else None,
        "rollback": {"program": program("await_confirmation"), "seconds": SECONDS} if rollback else {},
    }
    count = 0

    def heard(number: int) -> None:
        nonlocal count
        count = number

    try:
        failed: Failed = connection.run_python(
            program("apply_changes"),
            order,
            step=stage.name,
            timeout=APPLY_SECONDS,
            kind=Failed,
            progress=progress,
            made=heard,
        )
    finally:
        for change in changes[:count]:
            made(change)
    if failed.seen:
        at = ""
        if 0 <= failed.number < len(changes):
            change = changes[failed.number]
            # Most say themselves what they are about.
            at = f"{change.kind} {change.subject}: " * (change.subject.split()[-1] not in failed.seen)
        raise NodeError(
            connection.node,
            stage.name,
            hide(f"{at}{failed.seen}"),
            todo=failed.todo,
            transient=failed.transient,
            detail=hide(failed.detail),
        )


def bring_to(
    connection: Connection,
    stage: StageState,
    *,
    of: Identity | None = None,
    made: Callable[[Change], None] = lambda _: None,
    reconnect: Reconnect | None = None,
) -> tuple[Change, ...]:
    """Bring a node to a stage and make sure that it is there.

    Args:
        connection: To the node.
        stage: The stage.
        of: The cluster that the node is brought to.
        made: Called with each change that was made, also when the stage is not reached.
        reconnect: Makes a new connection to the node, for a stage that may cut it off: the node puts what was changed
            back by itself when none comes about (:mod:`tasks.node.confirmation`). The one that was given is then
            closed.

    Returns:
        The changes that were made; none when the node was there already.

    Raises:
        NodeError: A change could not be made, or the node does not stay as it should be.
    """
    with step(connection.node, stage.name) as shown, ExitStack() as way:
        all_made: list[Change] = []
        answer = _read_facts(connection, (stage,))
        for warning in kinds.warnings(stage, _facts(connection.node, stage, answer)):
            log.warning("%s: %s", connection.node, warning)
        for _ in range(ROUNDS):
            changes = _changes(connection.node, stage, answer)
            if not changes:
                shown.ended_as(f"{len(all_made)} change{'s' if len(all_made) > 1 else ''}" if all_made else "no change")
                return tuple(all_made)
            shown.progress(f"{len(changes)} to change")
            making = partial(apply, stage=stage, changes=changes, of=of, progress=shown.progress, made=made)
            if reconnect:
                connection, answer = _made_and_confirmed(connection, stage, changes, making, reconnect, way, shown)
            else:
                making(connection)
                answer = _read_facts(connection, (stage,))
            all_made += changes
        left = _changes(connection.node, stage, answer)
        if left:
            raise NodeError(
                connection.node,
                stage.name,
                f"not as it should be after {ROUNDS} rounds: {left[0].describe()}",
                todo="look on the node for what changes it back",
                detail="\n".join(change.describe() for change in left),
            )
        shown.ended_as(f"{len(all_made)} changes")
        return tuple(all_made)


def _made_and_confirmed(
    connection: Connection,
    stage: StageState,
    changes: Sequence[Change],
    making: Callable[..., None],
    reconnect: Reconnect,
    way: ExitStack,
    shown: Step,
) -> tuple[Connection, Answer]:
    """Make changes, and confirm them over a new connection; what could not be made is told when that is done."""
    failed = None
    try:
        with connection.closed_when_silent(SILENT_SECONDS):
            making(connection, rollback=True)
    except NodeError as error:
        failed = error
    shown.progress("a new connection confirms that the node is reached")
    confirming = confirmed(
        connection.node, stage.name, changes, reconnect, lambda to: _read_facts(to, (stage,)), way, shown
    )
    connection.close()
    if failed:
        raise failed
    return confirming


def as_order(change: Change) -> dict[str, Any]:
    """A change as the node is sent it."""
    resource: Any = change.resource
    return {
        "kind": change.kind,
        "subject": change.subject,
        "action": change.action,
        "resource": None if resource is None else asdict(resource),
    }
