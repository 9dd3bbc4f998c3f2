"""Several control planes: what each is given, which of them is asked, and what is refused of them, as tables."""

from __future__ import annotations

import errno
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import yaml

from configs.errors import ConfigError, NodeError
from configs.membership import Identity, Membership, identity
from configs.plan import upgrade
from configs.plan.derived import refuse_misfit
from configs.plan.node import join_config
from configs.plan.stages.endpoint import virtual_router
from configs.plan.stages.kubernetes import STATIC_PODS
from configs.plan.systems import Machine
from configs.plan.upgrade import Build, Found
from configs.schema.cluster import Cluster, Node
from configs.schema.loading import load_cluster, load_release
from tasks import deployed
from tasks.kubernetes import control_planes, etcd, kubeadm_commands, removal
from tasks.kubernetes.checks import EVERY, LEAVING, ROLES, check_roles, probes
from tasks.kubernetes.etcd import Member, Told
from tasks.kubernetes.kubeadm import ADMIN
from tasks.node import endpoint
from tasks.node.compatibility import Candidate, problems, warnings
from tasks.node.membership import (
    first_control_plane,
    half_joined,
    is_formed,
    refuse_other_life,
    refuse_unknown_control_planes,
)
from tasks.node_agent import neighbour
from tasks.ssh.connection import Connection, Result
from tests.fakes import fake_of, substitute
from tests.unit.sample import manifest

HA, RELEASE = load_cluster("lab-ha"), load_release("debian-1.20")
FIRST, SECOND, THIRD = (node.name for node in HA.control_planes)
JOINED = Machine(membership=Membership(server=identity(HA).server, is_node=True, authorities=frozenset({"now"})))
FRESH = Machine(python=True)


def without_third() -> Cluster:
    return HA.model_copy(update={"nodes": tuple(node for node in HA.nodes if node.name != THIRD)})


@pytest.mark.parametrize(("version", "api"), [("v1.20.2", "v1beta2"), ("v1.24.0", "v1beta3"), ("v1.34.2", "v1beta4")])
def test_a_control_plane_joins_by_the_endpoint_with_its_own_address_and_the_key_to_the_certificates(
    version: str, api: str
) -> None:
    node = HA.node(SECOND)
    text = join_config(HA, RELEASE.model_copy(update={"runtime": "containerd"}), version, node, "t.s", "sha256:0", "ab")
    document = yaml.safe_load(text)
    assert document["apiVersion"] == f"kubeadm.k8s.io/{api}"
    assert document["discovery"]["bootstrapToken"]["apiServerEndpoint"] == "[fd00::6443]:6443"
    assert document["controlPlane"] == {"localAPIEndpoint": {"advertiseAddress": "fd00::12"}, "certificateKey": "ab"}
    arguments = document["nodeRegistration"]["kubeletExtraArgs"]
    assert "fd00::12" in str(arguments)
    worker = yaml.safe_load(join_config(HA, RELEASE, version, HA.node("kube-worker-1"), "t.s", "sha256:0"))
    assert "controlPlane" not in worker


def test_a_kubelet_that_refuses_etcd_is_started_again_and_no_longer_than_kubeadm_waits(tmp_path: Path) -> None:
    (tmp_path / "etcd.yaml").write_text("kind: Pod\n")
    for name, script in (("sleep", ":"), ("pgrep", "exit 1"), ("systemctl", f'echo "$*" >>{tmp_path}/said')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    starts = kubeadm_commands.ETCD_STARTS.replace(kubeadm_commands.MANIFESTS, str(tmp_path))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["sh", "-c", f"{starts}; wait $starts"], check=True, timeout=20, env=environment)
    assert (tmp_path / "said").read_text().splitlines() == ["restart kubelet"] * 20
    assert "restart kubelet" in kubeadm_commands.join(manifest(), control_plane=True)
    assert "restart kubelet" not in kubeadm_commands.join(manifest())


def test_patches_of_static_pods_are_told_as_each_kubeadm_takes_them() -> None:
    old, new = (manifest().model_copy(update={"version": version}) for version in ("v1.20.2", "v1.24.0"))
    assert "--experimental-patches" in kubeadm_commands.join(old, patched=True)
    assert "--experimental-patches" not in kubeadm_commands.join(old)
    assert "--experimental-patches" not in kubeadm_commands.join(new, patched=True)
    assert kubeadm_commands.patches_of_join(HA, old) == ""
    patches = kubeadm_commands.patches_of_join(HA, new)
    text = join_config(HA, RELEASE, "v1.24.0", HA.node(SECOND), "t.s", "sha256:0", "ab", patches)
    assert yaml.safe_load(text)["patches"] == {"directory": patches}


def test_routers_of_one_address_have_one_number_and_those_of_the_next_another() -> None:
    assert HA.endpoint
    numbers = {virtual_router(HA.endpoint.address + more) for more in range(255)}
    assert numbers == set(range(1, 256))


def test_kubeadms_that_cannot_join_control_planes_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"endpoint: kubeadm v1\.15\.3 cannot join .*; choose a release from 1\.16 on"
    ):
        refuse_misfit(HA, RELEASE.model_copy(update={"kubernetes": "1.15.3", "runtime": "docker"}))
    refuse_misfit(HA, RELEASE)


@pytest.mark.parametrize(
    ("found", "first", "formed"),
    [
        ({}, FIRST, False),
        ({FIRST: FRESH, SECOND: FRESH, THIRD: FRESH}, FIRST, False),
        ({FIRST: JOINED, SECOND: FRESH, THIRD: FRESH}, FIRST, False),
        ({FIRST: FRESH, SECOND: JOINED, THIRD: JOINED}, SECOND, True),
        ({FIRST: None, SECOND: FRESH, THIRD: JOINED}, THIRD, False),
    ],
)
def test_others_join_the_first_that_is_one(found: Found, first: str, formed: bool) -> None:
    assert first_control_plane(HA, found).name == first
    assert is_formed(HA, found) == formed


def test_one_that_kubeadm_has_not_marked_is_none_that_others_join() -> None:
    assert half_joined(HA, {FIRST, SECOND, THIRD}) == frozenset()
    assert half_joined(HA, {SECOND, THIRD}) == {FIRST}
    assert half_joined(HA, ()) == frozenset(), "init marks the first, and the cluster may not answer"
    found: Found = {FIRST: JOINED, SECOND: JOINED, THIRD: JOINED}
    assert first_control_plane(HA, found, but={FIRST}).name == SECOND


def test_the_proof_tells_a_control_plane_that_is_not_marked_as_one() -> None:
    marks = {FIRST: {ROLES[0]: "", ROLES[1]: ""}, SECOND: {ROLES[1]: ""}, THIRD: {"other": ""}}
    nodes = [{"metadata": {"name": name, "labels": labels}} for name, labels in marks.items()]
    checks = check_roles(HA, nodes)
    assert [(check.name, check.target, check.ok) for check in checks] == [
        ("control plane role", FIRST, True),
        ("control plane role", SECOND, True),
        ("control plane role", THIRD, False),
    ]
    assert checks[2].seen == "no label node-role.kubernetes.io/control-plane"


def test_a_cluster_does_not_begin_while_a_control_plane_is_silent_but_goes_on_without_it() -> None:
    with pytest.raises(NodeError, match=f"{SECOND}: preflight: it could not be asked, and no other"):
        refuse_unknown_control_planes(HA, {FIRST: FRESH, SECOND: None, THIRD: FRESH})
    refuse_unknown_control_planes(HA, {FIRST: None, SECOND: JOINED, THIRD: JOINED})
    lab = load_cluster("lab")
    refuse_unknown_control_planes(lab, {lab.control_plane.name: None})


def test_a_control_plane_of_another_life_of_the_cluster_is_refused() -> None:
    other = replace(JOINED, membership=replace(JOINED.membership, authorities=frozenset({"before"})))
    with pytest.raises(NodeError, match=f"{THIRD}: preflight: it joined a cluster of before: {FIRST} has another"):
        refuse_other_life(HA, {FIRST: JOINED, SECOND: JOINED, THIRD: other})
    refuse_other_life(HA, {FIRST: FRESH, SECOND: JOINED, THIRD: JOINED})


@pytest.mark.parametrize("name", ["kube-worker-1", "kube-support"])
def test_a_cluster_that_was_made_without_an_endpoint_is_told_what_to_do(name: str) -> None:
    server, in_kubernetes = "https://[fd00::11]:6443", HA.node(name).in_kubernetes
    seen_there = Membership(
        recorded=Identity(HA.name, server), server=server if in_kubernetes else "", is_node=in_kubernetes
    )
    machine = Machine(interfaces=("eth0", "eth1"), membership=seen_there)
    (seen, *_) = problems(Candidate(HA, RELEASE, HA.node(name), machine))
    assert seen.startswith(f"its cluster was made without an endpoint, at {server}, and all that is in it goes by that")
    assert "take `endpoint` out of the file, or `kubev6 reset` the cluster" in seen


def test_an_even_number_is_warned_of_once_with_what_it_costs() -> None:
    two = without_third()
    told = [text for node in two.nodes for text in warnings(Candidate(two, RELEASE, node, Machine()))]
    assert [text for text in told if "control planes" in text] == [
        "2 control planes bear the loss of 0, as 1 would, and any of 2 may be lost: an odd number is wanted"
    ]
    told = [text for node in HA.nodes for text in warnings(Candidate(HA, RELEASE, node, Machine()))]
    assert not any("control planes" in text for text in told)


def test_the_api_is_proved_by_the_endpoint_and_by_every_member() -> None:
    nodes = [node.name for node in HA.kubernetes_nodes]
    pods = dict.fromkeys(nodes, "fd00:1::1")
    asked = probes(HA, "proof", pods, dict.fromkeys([*nodes, EVERY, LEAVING], ("fd00:1234::1", 30000)))
    targets = {(each.node, each.target) for each in asked if each.name == "API" and not each.from_pod}
    places = ("[fd00::6443]:6443", "kube-api:6443", "[fd00::11]:6443", "[fd00::12]:6443", "[fd00::13]:6443")
    assert targets >= {(node, place) for node in nodes for place in places}


def members(**other: dict[str, Any]) -> Told:
    """Three members that are as they should be, but for what is said of some."""
    good = {"leads": False, "leader": "9", "revision": 7, "keys": 4, "digest": "d", "seen": ""}
    found = {FIRST: {**good, "leads": True}, SECOND: good, THIRD: good}
    return Told([Member(name=name, url=name, **{**each, **other.get(name, {})}) for name, each in found.items()], "")


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        (members(), {}),
        (Told(members().members[:2], ""), {"etcd members": f"{THIRD} is no member"}),
        (
            members(**{THIRD: {"seen": "timed out", "leader": "", "keys": 0, "digest": ""}}),
            {
                "etcd members": f"{THIRD}: timed out",
                "etcd leader": FIRST,
                "etcd keys": f"not the same: 4 on {FIRST}, 4 on {SECOND}, 0 on {THIRD}",
            },
        ),
        (
            members(**{SECOND: {"digest": "other"}}),
            {"etcd keys": f"not the same: 4 on {FIRST}, 4 on {SECOND}, 4 on {THIRD}"},
        ),
        (members(**{FIRST: {"leads": False}}), {"etcd leader": "none"}),
        (
            Told([], "there is no etcd on this machine"),
            {
                "etcd members": "there is no etcd on this machine; "
                + "; ".join(f"{name} is no member" for name in (FIRST, SECOND, THIRD)),
                "etcd leader": "none",
                "etcd keys": "not the same: none",
            },
        ),
    ],
)
def test_etcd_has_all_members_a_leader_and_the_same_keys_on_each(told: Told, wrong: dict[str, str]) -> None:
    checks = etcd.judge(HA, FIRST, told)
    assert [check.name for check in checks] == ["etcd members", "etcd leader", "etcd keys"]
    assert {check.name: check.seen for check in checks if not check.ok} == wrong


def test_a_member_that_the_file_does_not_name_is_told() -> None:
    (check, *_) = etcd.judge(without_third(), FIRST, members())
    assert (check.ok, check.seen) == (False, f"{THIRD} is a member, and no control plane of the file")


@fake_of(Connection)
@dataclass(frozen=True)
class Fake:
    node: str

    def run(self, command: str, *, step: str, timeout: float, check: bool) -> Result:  # noqa: ARG002
        assert command == f"[ -s {ADMIN} ]"
        return Result(0 if self.node == THIRD else 1, "", "")

    def run_python(self, *_: object, **__: object) -> endpoint._Told:
        return TOLD.get(self.node, endpoint._Told(False, "", ""))


TOLD: dict[str, endpoint._Told] = {}


@contextmanager
def reached(cluster: Cluster, node: str) -> Iterator[Fake]:  # noqa: ARG001
    if node == FIRST:
        raise NodeError(node, "connect", "no route to host", transient=True)
    yield Fake(node)


def test_the_first_that_is_reached_and_is_one_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, control_planes, "connection", reached)
    with control_planes.connected(HA) as ssh:
        assert ssh.node == THIRD
    with pytest.raises(NodeError, match=f"{FIRST}: connect: no route"), control_planes.connected(HA, but=THIRD):
        pass
    two = HA.model_copy(update={"nodes": tuple(node for node in HA.nodes if node.name != FIRST)})
    with control_planes.connected(two, but=THIRD) as ssh:
        assert ssh.node == SECOND  # the only one left is asked in any case


@pytest.mark.parametrize(
    ("told", "found", "refused"),
    [
        ({}, {FIRST: FRESH, SECOND: FRESH, THIRD: FRESH}, False),
        ({SECOND: endpoint._Told(False, "02:42:00:00:00:01", "")}, {SECOND: FRESH, THIRD: FRESH}, True),
        (
            {SECOND: endpoint._Told(False, "02:42:00:00:00:01", ""), THIRD: endpoint._Told(True, "", "")},
            {SECOND: FRESH, THIRD: FRESH},
            False,
        ),
        ({SECOND: endpoint._Told(False, "02:42:00:00:00:01", "")}, {SECOND: FRESH, THIRD: JOINED}, False),
        ({SECOND: endpoint._Told(False, "", "no such interface")}, {SECOND: FRESH}, False),
    ],
)
def test_an_address_that_somebody_else_answers_is_refused(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, endpoint._Told], found: Found, refused: bool
) -> None:
    for name, each in told.items():
        monkeypatch.setitem(TOLD, name, each)

    @contextmanager
    def connection(name: str) -> Iterator[Any]:
        yield Fake(name)

    if refused:
        with pytest.raises(NodeError, match=r"fd00::6443 is answered on eth1 by 02:42:00:00:00:01; choose an address"):
            endpoint.refuse_taken(HA, found, connection)
    else:
        endpoint.refuse_taken(HA, found, connection)
    assert HA.endpoint
    by_others = HA.endpoint.model_copy(update={"by": "existing"})
    endpoint.refuse_taken(HA.model_copy(update={"endpoint": by_others}), found, connection)


TARGET = bytes(15) + b"\1"


@pytest.mark.parametrize(
    ("message", "by"),
    [
        (bytes([136, 0, 0, 0]) + bytes(4) + TARGET + b"\2\1\2\x42\0\0\0\x0a", "02:42:00:00:00:0a"),
        (bytes([136, 0, 0, 0]) + bytes(4) + TARGET, "a machine that does not tell its own"),
        (bytes([136, 0, 0, 0]) + bytes(4) + bytes(16), ""),
        (neighbour.solicitation(TARGET, bytes(6)), ""),
        (b"", ""),
    ],
)
def test_who_answers_for_an_address_is_read_of_its_advertisement(message: bytes, by: str) -> None:
    assert neighbour.answers(message, TARGET) == by


def test_a_machine_that_has_just_started_asks_when_it_has_an_address_to_ask_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Asked:
        lacking: ClassVar = [errno.EADDRNOTAVAIL, errno.EADDRNOTAVAIL]

        def sendto(self, message: bytes, to: object) -> int:  # noqa: ARG002
            if self.lacking:
                raise OSError(self.lacking.pop(), "Cannot assign requested address")
            return len(message)

    to = ("ff02::1", 0, 0, 1)
    neighbour.send(cast(socket.socket, Asked()), b"", to)
    Asked.lacking = [errno.ENODEV]
    with pytest.raises(OSError, match="Cannot assign"):
        neighbour.send(cast(socket.socket, Asked()), b"", to)
    Asked.lacking = [errno.EADDRNOTAVAIL] * 99
    substitute(monkeypatch, neighbour, "OWN_SECONDS", 0)
    with pytest.raises(OSError, match="Cannot assign"):
        neighbour.send(cast(socket.socket, Asked()), b"", to)


@pytest.mark.usefixtures("own_data")
def test_control_planes_leave_one_after_the_other_and_the_last_of_them_not_from_under_a_worker() -> None:
    names: Sequence[str] = [node.name for node in HA.nodes]
    going = removal.Leaving(HA, ((SECOND,), (THIRD,)), frozenset({SECOND, THIRD}))
    with pytest.MonkeyPatch.context() as patch:
        substitute(patch, deployed, "machines", lambda _: dict.fromkeys(names))
        assert removal.chosen(HA, [SECOND, THIRD]) == going
        with pytest.raises(ConfigError, match=f"{FIRST}, {SECOND}, {THIRD} cannot be reset while its workers stay"):
            removal.chosen(HA, [FIRST, SECOND, THIRD])
        whole = removal.chosen(HA, ())
    assert whole.groups == (("kube-worker-1",), (FIRST, SECOND, THIRD), ("kube-support",))
    assert whole.drained == frozenset()


@pytest.mark.parametrize(
    ("before", "after", "of_each"),
    [
        ("v1.20.2", "v1.20.3", ["kube-apiserver", "kube-controller-manager and kube-scheduler"]),
        ("v1.34.2", "v1.35.0", ["kube-apiserver and kube-controller-manager and kube-scheduler"]),
    ],
)
def test_control_planes_are_upgraded_one_after_the_other_and_the_kubelets_after_all_of_them(
    before: str, after: str, of_each: list[str]
) -> None:
    """None of which is newer than an API server that it may ask."""

    def runs(version: str) -> Build:
        images = {name: f"r:1/{name}:{version}" for name in ("etcd", *STATIC_PODS, "kube-proxy")}
        return Build(manifest().model_copy(update={"version": version}), {**images, "etcd": "r:1/etcd:3.4.23"})

    def machine(node: Node) -> Machine:
        pods = tuple(runs(before).images.items()) if "control-plane" in node.roles else ()
        server = identity(HA).server
        return Machine(membership=Membership(server=server, is_node=True, static_pods=pods, version=before))

    found = {node.name: machine(node) for node in HA.kubernetes_nodes}
    way = upgrade.steps(HA, runs(after), runs(before), found)
    controls = [FIRST, SECOND, THIRD]
    assert [(each.node, each.title) for each in way] == [
        *((node, title) for node in controls for title in of_each),
        *((node, "kubelet") for node in (*controls, "kube-worker-1")),
        (FIRST, "kube-proxy"),
    ]
