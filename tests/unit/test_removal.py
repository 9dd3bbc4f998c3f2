"""Which machines leave a cluster, in which order, and what is said of one that cannot be reached."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from configs.errors import ConfigError, KubeV6Error, NodeError
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster
from flows.run.context import RunContext
from tasks import deployed, inventory
from tasks.kubernetes import certificates, control_planes, members, removal
from tasks.kubernetes.certificates import CertificatesEndedError
from tasks.kubernetes.members import Members
from tasks.node import reset as task
from tasks.node.change import Change
from tasks.node.reset import Reset
from tasks.paths import cluster_dir
from tasks.ssh.connection import Connection
from tasks.ssh.endpoint import Endpoint
from tests.fakes import fake_of, substitute

RACK = load_cluster("bare-metal")
WORKERS = tuple(node.name for node in RACK.worker_nodes)
CONTROL_PLANE, SUPPORT = RACK.control_plane.name, RACK.support.name
GONE = Endpoint("rack-old-worker", "192.0.2.9", port=2222, user="ops", key_file="/home/ops/.ssh/id")


@fake_of(Connection)
@dataclass(frozen=True)
class Fake:
    node: str


@pytest.fixture(autouse=True)
def rack(own_data: object, monkeypatch: pytest.MonkeyPatch) -> list[str]:  # noqa: ARG001
    """A cluster with a machine that its file no longer names; the list of what is done to machines."""
    done: list[str] = []

    @contextmanager
    def connection(cluster: Cluster, node: str) -> Iterator[Fake]:
        assert node in deployed.machines(cluster)
        yield Fake(node)

    def take_out(_: Fake, name: str) -> bool:
        done.append(f"take out {name}")
        return True

    def reset(connection: Fake, cluster: Cluster) -> Reset:  # noqa: ARG001
        done.append(f"reset {connection.node}")
        return Reset(connection.node, ("all",), ())

    for module in (removal, control_planes):
        substitute(monkeypatch, module, "connection", connection)
    substitute(monkeypatch, members, "take_out", take_out)
    substitute(monkeypatch, task, "reset", reset)
    here = inventory.endpoints
    with pytest.MonkeyPatch.context() as before:
        substitute(before, inventory, "endpoints", lambda cluster: {**here(cluster), GONE.node: GONE})
        deployed.remember_machines(RACK)
    return done


def test_all_go_workers_first_and_the_support_node_last_and_nobody_is_drained() -> None:
    going = removal.chosen(RACK, ())
    assert [set(group) for group in going.groups] == [{*WORKERS, GONE.node}, {CONTROL_PLANE}, {SUPPORT}]
    assert going.drained == frozenset()


def test_a_worker_that_goes_alone_is_drained() -> None:
    going = removal.chosen(RACK, WORKERS[:1])
    assert going.groups == (WORKERS[:1],)
    assert going.drained == {WORKERS[0]}


def test_a_machine_that_the_file_no_longer_names_can_still_be_reset() -> None:
    assert removal.chosen(RACK, [GONE.node]).names == (GONE.node,)


def test_a_machine_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match=rf"has no machine 'nobody'; there are .*{WORKERS[0]}"):
        removal.chosen(RACK, ["nobody"])


def test_the_control_plane_does_not_go_from_under_its_workers() -> None:
    with pytest.raises(ConfigError, match=f"{CONTROL_PLANE} cannot be reset while its workers stay: {WORKERS[0]}"):
        removal.chosen(RACK, [CONTROL_PLANE, SUPPORT])
    assert removal.chosen(RACK, [CONTROL_PLANE, *WORKERS]).drained == frozenset()


def test_what_the_file_no_longer_names_leaves_and_what_others_have_joined_only_when_that_is_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = (CONTROL_PLANE, "elsewhere", GONE.node, WORKERS[0])
    assert removal.orphaned(RACK, found) == (GONE.node,)
    assert "elsewhere is a member that neither the file nor a deploy from here has made one: it stays" in caplog.text
    assert removal.orphaned(RACK, found, prune=True) == ("elsewhere", GONE.node)


@pytest.mark.parametrize("answer", [(), ("another-control-plane", GONE.node)])
def test_nobody_is_unlisted_of_a_cluster_that_is_not_there_or_has_another_control_plane(
    answer: tuple[str, ...],
) -> None:
    assert removal.orphaned(RACK, answer) == ()


def test_nobody_is_known_while_the_control_plane_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_: Cluster, node: str) -> None:
        raise NodeError(node, "connect", "refused", transient=True)

    for module in (removal, control_planes):
        substitute(monkeypatch, module, "connection", unreachable)
    assert removal.members_of(RACK) == Members()


def test_a_control_plane_that_does_not_answer_because_its_certificates_have_ended_is_no_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = [Members((CONTROL_PLANE,)), Members()]

    def refuse_ended(connection: Fake, cluster: Cluster) -> None:  # noqa: ARG001
        raise CertificatesEndedError(connection.node, "certificates", "ended: apiserver on 2026-11-26")

    substitute(monkeypatch, members, "members", lambda _: known.pop(0))
    substitute(monkeypatch, certificates, "refuse_ended", refuse_ended)
    assert removal.members_of(RACK).names == (CONTROL_PLANE,)
    with pytest.raises(CertificatesEndedError, match=f"{CONTROL_PLANE}: certificates: ended: apiserver"):
        removal.members_of(RACK)


LEFT = Change("cluster", RACK.name, "leave", after="drained and deleted", node=GONE.node)


def test_a_machine_that_leaves_is_drained_and_then_reset_and_forgotten(rack: list[str], run: RunContext) -> None:
    removal.remove(RACK, GONE.node)
    assert rack == [f"take out {GONE.node}", f"reset {GONE.node}"]
    assert run.changes == [LEFT, Change("machine", GONE.node, "reset", node=GONE.node)]
    assert removal.orphaned(RACK, (CONTROL_PLANE, *WORKERS)) == ()


def test_one_that_cannot_be_reached_is_taken_out_and_said_and_remembered(
    rack: list[str], run: RunContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unreachable(connection: Fake, cluster: Cluster) -> Reset:  # noqa: ARG001
        raise NodeError(connection.node, "connect", "192.0.2.9 does not answer", transient=True)

    substitute(monkeypatch, task, "reset", unreachable)
    with caplog.at_level(logging.WARNING):
        removal.remove(RACK, GONE.node)
    assert rack == [f"take out {GONE.node}"]
    assert run.changes == [LEFT]
    assert "its machine was not reset" in caplog.text
    assert "192.0.2.9 does not answer" in caplog.text
    assert f"run `kubev6 reset {GONE.node}`" in caplog.text
    assert removal.chosen(RACK, [GONE.node]).names == (GONE.node,)


def test_what_is_remembered_of_a_machine_is_how_it_is_reached() -> None:
    assert deployed.remembered_machines(RACK)[GONE.node] == GONE
    (cluster_dir(RACK.name) / "machines.json").write_text("[]")
    with pytest.raises(KubeV6Error, match=r"machines\.json cannot be understood: .*; remove it"):
        deployed.remembered_machines(RACK)


def test_a_damaged_record_of_the_release_that_a_cluster_runs_is_one_line() -> None:
    (cluster_dir(RACK.name) / "release.json").write_text("{")
    with pytest.raises(KubeV6Error, match=r"^\S+/release\.json cannot be understood: .*; deploy \S+ again; or remove"):
        deployed.deployed(RACK)
