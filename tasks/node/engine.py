"""Bringing a node to a stage: read facts, diff, apply. Two round trips, and only one when nothing is to be done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from configs.errors import NodeError
from configs.state import Binary, File, StageState
from tasks.node.change import Change
from tasks.node.diff import diff
from tasks.node.facts import Facts, parse_address, parse_route
from tasks.secrets import hide
from tasks.ssh.connection import Connection
from tasks.ssh.program import program
from tasks.steps import step

FACTS_SECONDS = 60
APPLY_SECONDS = 1800
ROUNDS = 3
"""How often a stage is applied until nothing is left to do: what a package or a service brings with it when it is
installed or restarted (a file that must not exist, a route that goes away) is only seen afterwards."""


def read_facts(connection: Connection, stages: Sequence[StageState]) -> Facts:
    """Ask a node, in one round trip, everything that some stages speak of. Changes nothing there.

    Args:
        connection: To the node.
        stages: The stages.

    Returns:
        Its facts.

    Raises:
        NodeError: The node could not be asked.
    """
    query = {
        "stages": [stage.name for stage in stages],
        "packages": _all(name for stage in stages for name in stage.packages),
        "modules": _all(name for stage in stages for name in stage.modules),
        "files": _all(file.path for stage in stages for file in stage.files if not file.block),
        "directories": _all(directory for stage in stages for directory in stage.only_files_in),
        "blocks": _all(file.path for stage in stages for file in stage.files if file.block),
        "names": _all(name for stage in stages for name in stage.no_ipv4_names),
        "sysctls": _all(sysctl.key for stage in stages for sysctl in stage.sysctls),
        "binaries": _all(binary.path for stage in stages for binary in stage.binaries),
        "services": _all(service.unit for stage in stages for service in stage.services),
    }
    answer = connection.run_python(program("read_facts"), query, step="read facts", timeout=FACTS_SECONDS)
    if "seen" in answer:
        raise NodeError(connection.node, "read facts", answer["seen"], todo=answer["todo"])
    return Facts.parse(answer)


def plan_changes(connection: Connection, stages: Sequence[StageState]) -> dict[str, tuple[Change, ...]]:
    """What would be done to a node, by stage, in one round trip. Changes nothing there.

    Args:
        connection: To the node.
        stages: The stages.

    Raises:
        NodeError: The node could not be asked.
    """
    facts = read_facts(connection, stages)
    return {stage.name: _changes(connection, stage, facts) for stage in stages}


def apply(
    connection: Connection,
    stage: StageState,
    changes: Sequence[Change],
    *,
    progress: Callable[..., object] | None = None,
    made: Callable[[Change], None] = lambda _: None,
) -> None:
    """Make changes on a node, in one round trip and in their order, until the first that fails.

    Args:
        connection: To the node.
        stage: The stage that the changes belong to.
        changes: What :func:`tasks.node.diff.diff` found.
        progress: Called with what is being done, and how much of how much where that is counted, from another thread.
        made: Called with each change that was made, also when a later one could not be.

    Raises:
        NodeError: A change could not be made; those before it stand, and running it again goes on from there.
    """
    order = {"stage": stage.name, "changes": [_order(stage, change) for change in changes]}
    count = 0

    def heard(number: int) -> None:
        nonlocal count
        count = number

    try:
        failed: dict[str, Any] = connection.run_python(
            program("apply_changes"), order, step=stage.name, timeout=APPLY_SECONDS, progress=progress, made=heard
        )
    finally:
        for change in changes[:count]:
            made(change)
    if failed:
        at = (
            f"{failed['change']}: " if "change" in failed and failed["change"].split()[-1] not in failed["seen"] else ""
        )
        raise NodeError(
            connection.node,
            stage.name,
            hide(f"{at}{failed['seen']}"),
            todo=failed["todo"],
            transient=failed["transient"],
            detail=hide(failed["detail"]),
        )


def bring_to(
    connection: Connection, stage: StageState, *, made: Callable[[Change], None] = lambda _: None
) -> tuple[Change, ...]:
    """Bring a node to a stage and make sure that it is there.

    Args:
        connection: To the node.
        stage: The stage.
        made: Called with each change that was made, also when the stage is not reached.

    Returns:
        The changes that were made; none when the node was there already.

    Raises:
        NodeError: A change could not be made, or the node does not stay as it should be.
    """
    with step(connection.node, stage.name) as shown:
        all_made: list[Change] = []
        for _ in range(ROUNDS):
            changes = _changes(connection, stage, read_facts(connection, (stage,)))
            if not changes:
                shown.ended_as(f"{len(all_made)} change{'s' if len(all_made) > 1 else ''}" if all_made else "no change")
                return tuple(all_made)
            shown.progress(f"{len(changes)} to change")
            apply(connection, stage, changes, progress=shown.progress, made=made)
            all_made += changes
        left = diff(stage, read_facts(connection, (stage,)))
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


def _changes(connection: Connection, stage: StageState, facts: Facts) -> tuple[Change, ...]:
    return tuple(replace(change, node=connection.node, stage=stage.name) for change in diff(stage, facts))


def _all(values: Any) -> list[str]:
    return list(dict.fromkeys(values))


def _order(stage: StageState, change: Change) -> dict[str, Any]:
    """A change with what is needed to make it."""
    more: dict[str, Any] = {}
    if change.kind == "file" and change.action in ("create", "replace"):
        file: File = next(file for file in stage.files if file.path == change.subject)
        more = {"content": file.content, "mode": file.mode, "block": file.block}
    elif change.kind == "binary":
        binary: Binary = next(binary for binary in stage.binaries if binary.path == change.subject)
        more = {"sha256": binary.sha256, "size": binary.size, "url": binary.url}
    elif change.kind == "sysctl":
        more = {"value": change.after}
    elif change.kind == "address":
        address = parse_address(change.subject)
        more = {"interface": address.interface, "address": address.address}
    elif change.kind == "route":
        more = {"interface": parse_route(change.subject).interface}
    return {**change.as_json(), **more}
