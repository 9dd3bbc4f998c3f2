"""How often a node is talked to: two round trips for a stage that changes, and the look afterwards; else one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from configs.errors import NodeError
from configs.plan.state import StageState
from tasks.bounded import formed
from tasks.node.change import Change
from tasks.node.engine import bring_to, plan_changes
from tasks.node.resources.kinds import KINDS
from tasks.ssh.connection import Connection
from tasks.ssh.program import program
from tests.fakes import fake_of
from tests.unit.test_resources import TABLES

PROGRAMS = {program(name): name for name in ("read_facts", "apply_changes")}
STAGES = tuple(StageState(name, packages=(f"for-{name}", "for-all")) for name in ("network", "support", "runtime"))


@fake_of(Connection)
class Node:
    """A node that has packages and nothing else, and keeps a list of what it was told to run.

    ``conflicts`` says which package removes which other one; ``broken`` cannot be installed; ``odd`` takes the place of
    parts of its facts.
    """

    node = "kube-worker-1"

    def __init__(self, *, conflicts: dict[str, str] | None = None, broken: str = "") -> None:
        self.installed: set[str] = set()
        self.ran: list[str] = []
        self.orders: list[Any] = []
        self.put_back = False
        self.conflicts = conflicts or {}
        self.broken = broken
        self.odd: dict[str, Any] = {}

    def run_python(
        self,
        script: str,
        payload: Any,
        *,
        step: str,
        timeout: float,
        kind: Any = None,
        progress: Callable[..., object] | None = None,
        made: Callable[[int], None] | None = None,
    ) -> Any:
        assert step
        assert timeout
        self.ran.append(PROGRAMS[script])
        self.orders.append(payload)
        if PROGRAMS[script] == "read_facts":
            return formed(json.dumps(self._facts(**payload)).encode(), kind)
        assert progress is not None
        assert made is not None
        return formed(json.dumps(self._apply(payload["changes"], made)).encode(), kind)

    def _facts(self, stages: list[str], query: dict[str, Any], trials: list[object]) -> dict[str, Any]:
        assert not trials
        assert set(query) == {kind.name for kind in KINDS}
        nothing = {kind.name: TABLES[kind.name]["nothing"] for kind in KINDS}
        there = {**nothing, "package": sorted(self.installed.intersection(query["package"]))}
        rollback = {"put_back": {"left": ["ip: no"]}} if self.put_back else {}
        return {
            "rollback": rollback,
            "there": there,
            "added": {stage: {key: {} for key in nothing} for stage in stages},
            **self.odd,
        }

    def _apply(self, changes: list[dict[str, Any]], made: Callable[[int], None]) -> dict[str, Any]:
        for number, change in enumerate(changes):
            if change["subject"] == self.broken:
                seen = "apt has no space left"
                return {"number": number, "seen": seen, "todo": "free some", "transient": False, "detail": ""}
            self.installed.add(change["subject"])
            self.installed.discard(self.conflicts.get(change["subject"], ""))
            made(number + 1)
        return {}


def bring(node: Node, stage: StageState, made: list[Change] | None = None) -> tuple[Change, ...]:
    told: list[Change] = [] if made is None else made
    return bring_to(cast(Connection, node), stage, made=told.append)


def test_a_stage_that_changes_takes_two_round_trips_and_a_look_afterwards() -> None:
    node = Node()
    made = bring(node, STAGES[0])
    assert [change.subject for change in made] == ["for-network", "for-all"]
    assert {(change.node, change.stage) for change in made} == {("kube-worker-1", "network")}
    assert node.ran == ["read_facts", "apply_changes", "read_facts"]


def test_a_stage_in_which_nothing_is_to_be_done_takes_one() -> None:
    node = Node()
    bring(node, STAGES[0])
    node.ran.clear()
    assert bring(node, STAGES[0]) == ()
    assert node.ran == ["read_facts"]


def test_what_would_be_done_in_every_stage_is_asked_in_one() -> None:
    node = Node()
    bring(node, STAGES[0])
    node.ran.clear()
    planned = plan_changes(cast(Connection, node), STAGES)
    assert {name: [change.subject for change in changes] for name, changes in planned.items()} == {
        "network": [],
        "support": ["for-support"],
        "runtime": ["for-runtime"],
    }
    assert node.ran == ["read_facts"]


def test_what_does_not_stay_as_it_should_be_is_tried_three_times_and_told() -> None:
    node = Node(conflicts={"for-all": "for-network", "for-network": "for-all"})
    told: list[Change] = []
    with pytest.raises(NodeError, match="not as it should be after 3 rounds: install package for-network"):
        bring(node, STAGES[0], told)
    assert node.ran == ["read_facts", "apply_changes"] * 3 + ["read_facts"]
    assert len(told) == 4


def test_what_fails_says_which_change_it_was_and_what_was_made_before() -> None:
    node, told = Node(broken="for-all"), list[Change]()
    with pytest.raises(NodeError, match="network: package for-all: apt has no space left; free some"):
        bring(node, STAGES[0], told)
    assert [change.subject for change in told] == ["for-network"]
    assert node.ran == ["read_facts", "apply_changes"]


class Guarded(Node):
    """One that counts its connections."""

    connections = 1

    @contextmanager
    def closed_when_silent(self, seconds: float) -> Iterator[None]:
        assert seconds
        yield

    def close(self) -> None:
        self.ran.append("close")

    @contextmanager
    def reconnect(self) -> Iterator[Connection]:
        self.ran.append("connect")
        yield cast(Connection, self)


def test_what_may_cut_a_node_off_takes_one_connection_more_over_which_the_look_afterwards_confirms() -> None:
    node = Guarded()
    bring_to(cast(Connection, node), STAGES[0], reconnect=node.reconnect)
    assert node.ran == ["read_facts", "apply_changes", "connect", "read_facts", "close"]
    assert node.orders[1]["rollback"]["seconds"] == 60
    node.ran.clear()
    bring_to(cast(Connection, node), STAGES[0], reconnect=node.reconnect)
    assert node.ran == ["read_facts"]


def test_what_a_node_has_put_back_is_an_error_that_says_what_was_changed_and_what_was_left() -> None:
    node = Guarded()
    node.put_back = True
    with pytest.raises(NodeError) as caught:
        bring_to(cast(Connection, node), StageState("network", links_up=("eth9",)), reconnect=node.reconnect)
    assert "within 60 s after set up link eth9" in str(caught.value)
    assert "has put everything of that back, but for ip: no; see which of these" in str(caught.value)
    assert not caught.value.transient


@pytest.mark.parametrize(
    ("odd", "seen"),
    [
        ({"added": {}}, "not of the form that was asked for: KeyError: 'network'"),
        ({"there": {}}, "not of the form that was asked for: KeyError: "),
        ({"there": {kind.name: 7 for kind in KINDS}}, "not of the form that was asked for: "),
    ],
)
def test_what_a_node_says_of_itself_in_another_form_is_one_line_that_names_it(odd: dict[str, Any], seen: str) -> None:
    node = Node()
    node.odd = odd
    with pytest.raises(NodeError, match=f"^kube-worker-1: read facts: what it says of itself is {seen}"):
        bring(node, STAGES[0])
