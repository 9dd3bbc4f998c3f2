"""Which cluster machines are of, as they say it; and what is refused because of it, as a table."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from configs.errors import KubeV6Error
from configs.membership import Identity, Membership, identity
from configs.plan.systems import Machine
from configs.plan.upgrade import Found
from configs.schema.loading import load_cluster, load_release
from tasks.node import host_facts
from tasks.node.compatibility import Candidate, problems
from tasks.node.membership import has_joined, refuse_one_machine, refuse_other_life

CLUSTER, RELEASE = load_cluster("lab"), load_release("debian-1.20")
OURS = identity(CLUSTER).server
CONTROL_PLANE = Membership(
    server=OURS,
    is_node=True,
    is_control_plane=True,
    authorities=frozenset({"now"}),
    static_pods=(("kube-apiserver", "kube-support:5000/kube-apiserver:v1.20.2_kubev6.b"),),
)
WORKER = Membership(server=OURS, is_node=True, authorities=frozenset({"now"}), version="v1.20.2+kubev6.b")
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\nAAA=\n-----END CERTIFICATE-----\n"


def against(node: str, membership: Membership, release: str = "1.20.2") -> tuple[str, ...]:
    wanted = RELEASE.model_copy(update={"kubernetes": release})
    machine = Machine(interfaces=("eth0", "eth1"), membership=membership)
    return problems(Candidate(CLUSTER, wanted, CLUSTER.node(node), machine))


@pytest.mark.parametrize(
    ("node", "membership", "seen"),
    [
        ("kube-worker-1", Membership(), ""),
        ("kube-worker-1", WORKER, ""),
        ("kube-control-plane", CONTROL_PLANE, ""),
        (
            "kube-worker-1",
            replace(WORKER, server="https://[fd00:9::1]:6443"),
            "belongs to the cluster at https://[fd00:9",
        ),
        (
            "kube-support",
            Membership(recorded=Identity("rack", OURS)),
            "belongs to the cluster rack at https://[fd00::100]",
        ),
        (
            "kube-support",
            Membership(recorded=Identity("lab", "https://[::1]:6443")),
            "the cluster lab at https://[::1]",
        ),
        ("kube-worker-1", CONTROL_PLANE, "is a control plane of this cluster, and the file wants a worker"),
        ("kube-control-plane", WORKER, "is a worker of this cluster, and the file wants a control plane"),
        ("kube-support", WORKER, "is a worker of this cluster, and the file wants a support"),
        (
            "kube-control-plane",
            replace(CONTROL_PLANE, static_pods=(("kube-apiserver", "r:1/kube-apiserver:v1.19.3"),)),
            "v1.19.3, and the release to deploy is v1.20.2",
        ),
    ],
)
def test_a_machine_of_another_cluster_role_or_minor_version_is_refused(
    node: str, membership: Membership, seen: str
) -> None:
    found = against(node, membership)
    assert len(found) == bool(seen)
    assert all(seen in each for each in found)


@pytest.mark.parametrize(
    ("node", "membership", "seen"),
    [
        ("kube-worker-1", replace(WORKER, pods=("fd00:101::5", "fd00:0101:0::7")), ""),
        ("kube-worker-1", replace(WORKER, pods=("fd00:101::5", "fd00:99::5")), "addresses such as fd00:99::5"),
        ("kube-worker-1", replace(WORKER, pods=("fd00:99::5",), is_node=False), ""),  # no pods any more
        ("kube-worker-1", replace(WORKER, address="fd00:0::101"), ""),
        ("kube-worker-1", replace(WORKER, address="fd00::109"), "address fd00::109, and the file says fd00::101"),
        ("kube-worker-1", replace(WORKER, domain="cluster.local"), ""),
        ("kube-worker-1", replace(WORKER, domain="old.local"), "has old.local as services.domain"),
        ("kube-control-plane", replace(CONTROL_PLANE, services="fd00:1234:0::/110"), ""),
        ("kube-control-plane", replace(CONTROL_PLANE, services="what a person wrote"), ""),
        (
            "kube-control-plane",
            replace(CONTROL_PLANE, services="fd00:9999::/112"),
            "has fd00:9999::/112 as services.subnet, and the file says fd00:1234::/110",
        ),
    ],
)
def test_the_networks_of_a_member_are_not_changed_under_its_pods(node: str, membership: Membership, seen: str) -> None:
    found = against(node, membership)
    assert len(found) == bool(seen)
    assert all(seen in each and "kubev6 reset" in each for each in found)


def test_what_is_asked_of_one_machine_does_not_take_longer_the_more_others_there_are() -> None:
    """Or a large cluster's preflight takes as long as the square of it."""

    def calls(workers: int) -> int:
        others = (CLUSTER.worker_nodes[0].model_copy(update={"name": f"w{number}"}) for number in range(workers))
        cluster = CLUSTER.model_copy(update={"nodes": (*CLUSTER.nodes, *others)})
        machine = Machine(interfaces=("eth0", "eth1"), membership=WORKER)
        candidate = Candidate(cluster, RELEASE, cluster.node("kube-worker-1"), machine)
        counted = [0]

        def count(*_: object) -> None:
            counted[0] += 1

        sys.setprofile(count)
        try:
            problems(candidate)
        finally:
            sys.setprofile(None)
        return counted[0]

    calls(1)  # what is only made once
    assert calls(500) < 1.5 * calls(1)


def found(support: Membership | None, control_plane: Membership | None, *workers: Membership) -> Found:
    names = (CLUSTER.support.name, CLUSTER.control_plane.name, *(node.name for node in CLUSTER.worker_nodes))
    given = (support, control_plane, *workers)
    return {name: Machine(membership=each) if each else None for name, each in zip(names, given, strict=False)}


def refused(rule: Callable[[], None]) -> str:
    try:
        rule()
    except KubeV6Error as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("control_plane", "worker", "seen"),
    [
        (CONTROL_PLANE, WORKER, ""),
        (CONTROL_PLANE, Membership(), ""),
        (None, WORKER, ""),
        (CONTROL_PLANE, replace(WORKER, authorities=frozenset({"before"})), "has another certificate authority"),
        (Membership(), WORKER, "is no control plane any more"),
        (Membership(), Membership(), ""),
    ],
)
def test_a_worker_of_another_life_of_the_cluster_is_told_the_way_back(
    control_plane: Membership | None, worker: Membership, seen: str
) -> None:
    said = refused(lambda: refuse_other_life(CLUSTER, found(None, control_plane, worker)))
    assert bool(said) == bool(seen)
    assert seen in said
    assert ("`kubev6 reset kube-worker-1`, then deploy" in said) == bool(seen)


@pytest.mark.parametrize(
    ("machine", "joined"),
    [
        (None, False),
        (Machine(), False),
        (Machine(membership=WORKER), True),
        (Machine(membership=replace(WORKER, is_node=False)), False),  # reset a moment ago; the cluster hears of it yet
        (Machine(membership=replace(WORKER, server="https://[fd00:9::1]:6443")), False),
    ],
)
def test_a_machine_has_joined_when_it_has_the_kubeconfig_of_a_node_of_this_cluster(
    machine: Machine | None, joined: bool
) -> None:
    assert has_joined(CLUSTER, machine) == joined


def test_names_of_one_machine_are_refused_and_containers_of_one_host_are_not() -> None:
    def machines(*identities: str) -> Found:
        return {f"node-{number}": Machine(identity=each) for number, each in enumerate(identities)}

    refuse_one_machine(machines("boot net:[1]", "boot net:[2]", "", ""))
    said = refused(lambda: refuse_one_machine(machines("boot net:[1]", "boot net:[2]", "boot net:[1]")))
    assert "node-0, node-2 are one machine" in said


def told(kubernetes: str, record: str = "") -> Membership:
    return host_facts.parse(f"=== record\n{record}\n=== kubernetes\n{kubernetes}\n").membership


def test_a_control_plane_and_its_worker_name_one_authority() -> None:
    """A kubeconfig holds the certificate alone; a file may have words before it and other line ends."""
    in_kubeconfig, in_file = (base64.b64encode(text.encode()).decode() for text in (
        CERTIFICATE, "Subject: kubernetes\r\n" + CERTIFICATE.replace("\n", "\r\n"),
    ))  # fmt: skip
    control_plane = told(
        f"server https://[fd00::100]:6443\nauthority {in_kubeconfig}\nauthority {in_file}\n"
        "image kube-apiserver r:1/kube-apiserver:v1.20.2_kubev6.b\ncontrol-plane\nnode Kubernetes v1.20.2+kubev6.b"
    )
    worker = told(f"server https://[fd00::100]:6443\nauthority {in_file}\nnode Kubernetes v1.20.2+kubev6.b")
    assert control_plane.authorities == worker.authorities == frozenset({"MIIBAAA="})
    assert (control_plane.tag, control_plane.is_control_plane) == ("v1.20.2_kubev6.b", True)
    assert (worker.version, worker.is_control_plane, worker.is_node) == ("v1.20.2+kubev6.b", False, True)
    assert told("authority ") == Membership()


def test_whose_a_machine_is_is_read_from_its_record() -> None:
    assert told("", '{"cluster": {"name": "a", "server": "b"}}').recorded == Identity("a", "b")
    for nothing in ("", "{}", "[]", "{", '{"cluster": 1}'):
        assert told("", nothing).recorded is None


@pytest.mark.parametrize(
    "image",
    [
        "kube-support:5000/kube-apiserver:v1.20.2_kubev6.b",
        f"kube-support:5000/kube-apiserver:v1.20.2_kubev6.b@sha256:{1:064x}",
        "example.org/kube-apiserver-amd64:v1.20.2_kubev6.b",
        "[fd00::64]:5000/kube-apiserver:v1.20.2_kubev6.b",
    ],
)
def test_what_a_control_plane_runs_is_its_images_tag(tmp_path: Path, image: str) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "kube-apiserver.yaml").write_text(f"  - name: kube-apiserver\n    image: {image}\n")
    asked = host_facts.SCRIPT.replace("/etc/kubernetes", str(tmp_path))
    said = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, timeout=60, check=False).stdout
    assert host_facts.parse(said).membership.tag == "v1.20.2_kubev6.b"


def test_the_networks_of_a_member_are_read_from_what_kubeadm_and_the_bridge_have_written(tmp_path: Path) -> None:
    files = {
        "etc/manifests/kube-apiserver.yaml": "    - --service-cluster-ip-range=fd00:1234::/112\n    - --x=fd00::/8\n",
        "kubelet/kubeadm-flags.env": 'KUBELET_KUBEADM_ARGS="--x=1 --node-ip=fd00::102 --register-with-taints="\n',
        "kubelet/config.yaml": "clusterDNS:\n- fd00:1234::a\nclusterDomain: cluster.local\nx:\n  clusterDomain: y\n",
        "cni/networks/mynet/fd00:102::5": "",
        "cni/networks/mynet/last_reserved_ip.0": "",
        "cni/networks/mynet/lock": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    places = {"/etc/kubernetes": "etc", "/var/lib/kubelet": "kubelet", "/var/lib/cni": "cni"}
    asked = host_facts.SCRIPT
    for place, copy in places.items():
        asked = asked.replace(place, str(tmp_path / copy))
    said = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, timeout=60, check=False).stdout
    seen = host_facts.parse(said).membership
    assert (seen.services, seen.domain, seen.address) == ("fd00:1234::/112", "cluster.local", "fd00::102")
    assert seen.pods == ("fd00:102::5",)
