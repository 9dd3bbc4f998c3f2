"""Nodes wait for one another only as long as there is something to wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from configs.errors import NodeError
from configs.schema.loading import load_cluster
from flows.gates import Gate, Meeting, NotBegunError, current_gates, gates_of
from tasks import steps

CLUSTER = load_cluster("lab")
SECONDS = 60.0


def waiting(pool: ThreadPoolExecutor, gate: Gate) -> Future[None]:
    """Somebody who is about to wait at a gate."""
    ready = threading.Event()

    def come() -> None:
        ready.set()
        gate.wait("kube-worker-1")

    coming = pool.submit(come)
    assert ready.wait(SECONDS)
    return coming


def test_an_open_gate_lets_through_who_waits_and_who_comes_later_and_stays_open() -> None:
    gate = Gate("kube-support")
    with ThreadPoolExecutor(1) as pool:
        waits = waiting(pool, gate)
        assert not wait([waits], timeout=0.1).done
        gate.open()
        waits.result(SECONDS)
    gate.give_up()
    gate.wait("kube-worker-2")


@pytest.mark.parametrize("late", [True, False])
def test_a_gate_that_was_given_up_names_the_node_that_failed(late: bool) -> None:
    gate = Gate("kube-support")
    with ThreadPoolExecutor(1) as pool:
        if late:
            gate.give_up()
        waits = waiting(pool, gate)
        gate.give_up()
        with pytest.raises(NotBegunError, match=r"^kube-worker-1: not begun because kube-support failed$"):
            waits.result(SECONDS)


def test_who_waits_in_a_run_that_is_stopped_hears_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_stopping", threading.Event())
    gate = Gate("kube-support")
    steps.stop()
    gate.give_up()
    with pytest.raises(NotBegunError, match="the run was stopped"):
        gate.wait("kube-worker-1")


@pytest.mark.parametrize(
    ("ended", "gate", "given_up"),
    [
        ("kube-support", "registry", True),
        ("kube-support", "control_plane", False),
        ("kube-control-plane", "registry", False),
        ("kube-control-plane", "control_plane", True),
        ("kube-worker-1", "registry", False),
        ("kube-worker-1", "control_plane", False),
    ],
)
def test_a_node_that_has_ended_gives_up_only_what_it_was_to_open(ended: str, gate: str, given_up: bool) -> None:
    with gates_of(CLUSTER) as gates, ThreadPoolExecutor(1) as pool:
        waits = waiting(pool, getattr(gates, gate))
        gates.node_ended(ended, well=False)
        if given_up:
            assert isinstance(waits.exception(SECONDS), NotBegunError)
        else:
            getattr(gates, gate).open()
            waits.result(SECONDS)


def test_existing_servers_hold_up_the_others_until_the_support_node_has_checked_them() -> None:
    existing = CLUSTER.dns64.model_copy(update={"by": "existing"})
    with gates_of(CLUSTER.model_copy(update={"dns64": existing})) as gates, ThreadPoolExecutor(1) as pool:
        waits = waiting(pool, gates.existing_servers)
        gates.node_ended("kube-worker-1", well=False)
        assert not wait([waits], timeout=0.1).done
        gates.node_ended("kube-support", well=False)
        assert isinstance(waits.exception(SECONDS), NotBegunError)
    with gates_of(CLUSTER) as gates:
        gates.existing_servers.wait("kube-worker-1")


def test_all_wait_until_every_stranger_has_left() -> None:
    with gates_of(CLUSTER) as gates, ThreadPoolExecutor(2) as pool:
        waits = waiting(pool, gates.left)
        assert not wait([waits], timeout=0.1).done  # who they are is not known yet
        gates.are_leaving(("kube-worker-8", "kube-worker-9"))
        first = coming(pool, gates.left, "kube-worker-8")
        assert not wait([waits], timeout=0.1).done
        with gates.left.coming("kube-worker-9"):
            pass
        first.result(SECONDS)
        gates.node_ended("kube-worker-9", well=True)
        waits.result(SECONDS)
    with gates_of(CLUSTER) as gates:
        gates.are_leaving(())
        gates.left.wait("kube-worker-1")


def test_a_stranger_that_has_not_left_when_its_task_ends_holds_up_all() -> None:
    with gates_of(CLUSTER) as gates, ThreadPoolExecutor(1) as pool:
        gates.are_leaving(("kube-worker-9",))
        waits = waiting(pool, gates.left)
        gates.node_ended("kube-worker-1", well=False)
        assert not wait([waits], timeout=0.1).done
        gates.node_ended("kube-worker-9", well=False)
        with pytest.raises(NotBegunError, match=r"^kube-worker-1: not begun because kube-worker-9 failed$"):
            waits.result(SECONDS)


def test_the_proof_waits_until_every_machine_has_ended_well() -> None:
    names = [node.name for node in CLUSTER.nodes]
    with gates_of(CLUSTER) as gates, ThreadPoolExecutor(1) as pool:
        waits = waiting(pool, gates.in_place)
        gates.are_leaving(("kube-worker-9",))
        for name in names:
            gates.node_ended(name, well=True)
        assert not wait([waits], timeout=0.1).done
        gates.node_ended("kube-worker-9", well=True)
        waits.result(SECONDS)


def test_there_is_no_proof_when_a_machine_has_failed() -> None:
    with gates_of(CLUSTER) as gates:
        gates.node_ended("kube-support", well=True)
        gates.node_ended("kube-worker-2", well=False)
        with pytest.raises(NotBegunError, match=r"^proof: not begun because kube-worker-2 failed$"):
            gates.in_place.wait("proof")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_when_a_run_ends_nobody_goes_on_waiting(error: type[BaseException]) -> None:
    with ThreadPoolExecutor(1) as pool:

        def run(then: Callable[[Future[None]], None]) -> None:
            with gates_of(CLUSTER):
                then(waiting(pool, current_gates().control_plane))
                raise error

        left: list[Future[None]] = []
        with pytest.raises(error):
            run(left.append)
        assert isinstance(left[0].exception(SECONDS), NotBegunError)


def coming(pool: ThreadPoolExecutor, meeting: Meeting, node: str, error: Exception | None = None) -> Future[None]:
    """Somebody who comes to a meeting, or finds that something is wrong."""

    def come() -> None:
        with meeting.coming(node):
            if error:
                raise error

    return pool.submit(come)


def test_a_meeting_opens_when_the_last_one_has_come() -> None:
    meeting = Meeting(["kube-support", "kube-worker-1"])
    with ThreadPoolExecutor(2) as pool:
        first = coming(pool, meeting, "kube-worker-1")
        assert not wait([first], timeout=0.1).done
        coming(pool, meeting, "kube-support").result(SECONDS)
        first.result(SECONDS)


def test_a_machine_that_cannot_be_reached_holds_up_nobody() -> None:
    meeting = Meeting(["kube-support", "kube-worker-1"])
    with ThreadPoolExecutor(2) as pool:
        first = coming(pool, meeting, "kube-worker-1")
        gone = coming(pool, meeting, "kube-support", NodeError("kube-support", "connect", "no answer", transient=True))
        assert isinstance(gone.exception(SECONDS), NodeError)
        assert not wait([first], timeout=0.1).done  # it is tried again
        meeting.node_ended("kube-support")
        first.result(SECONDS)


def test_a_machine_that_cannot_become_a_node_holds_up_all_and_is_named() -> None:
    meeting = Meeting(["kube-support", "kube-worker-1", "kube-worker-2"])
    with ThreadPoolExecutor(2) as pool:
        first = coming(pool, meeting, "kube-worker-1")
        unfit = coming(pool, meeting, "kube-support", NodeError("kube-support", "preflight", "its system is void"))
        assert isinstance(unfit.exception(SECONDS), NodeError)
        for late in (first, coming(pool, meeting, "kube-worker-2")):
            with pytest.raises(NotBegunError, match=r"^kube-worker-\d: not begun because kube-support failed$"):
                late.result(SECONDS)


@pytest.mark.parametrize("cluster", ["lab", "bare-metal"])
def test_machines_that_lack_packages_wait_for_the_way_to_them(cluster: str) -> None:
    loaded = load_cluster(cluster)
    with gates_of(loaded) as gates:
        if not loaded.lab:
            gates.node_ended(loaded.support.name, well=False)
            with pytest.raises(NotBegunError, match=f"not begun because {loaded.support.name} failed"):
                gates.outside.wait("worker")
        else:
            gates.outside.wait("worker")
