from __future__ import annotations

from typing import Any

import pytest

from configs.schema.cluster import Cluster, KubeProxy
from configs.schema.loading import load_cluster
from tasks.kubernetes.checks import EVERY, LEAVING, Check, Probe, check_objects, judge, pairs_note, probes

LAB = load_cluster("lab")
NODES = ("kube-control-plane", "kube-worker-1", "kube-worker-2")
PODS = {name: f"fd00:10{number}::5" for number, name in enumerate(NODES)}
SERVICES = {
    **{name: (f"fd00:1234::10{number}", 30100 + number) for number, name in enumerate(NODES)},
    EVERY: ("fd00:1234::e", 30200),
    LEAVING: ("fd00:1234::f", 30300),
}
VERSION = "v1.20.2+kubev6.x"


def asked() -> list[tuple[str, str, str]]:
    return [(probe.name, probe.source, probe.argument) for probe in probes(LAB, "proof", PODS, SERVICES)]


def test_every_ordered_pair_of_pods_is_asked() -> None:
    pairs = {(source, url) for name, source, url in asked() if name == "pod to pod"}
    assert pairs == {(f"pod on {a}", f"http://[{PODS[b]}]:8080/") for a in NODES for b in NODES if a != b}


@pytest.mark.parametrize("name", ["ClusterIP", "NodePort", "API", "NAT64 name", "NAT64 fetch"])
def test_every_node_the_control_plane_too_and_every_pod_is_asked(name: str) -> None:
    assert {source for asked_name, source, _ in asked() if asked_name == name} == {
        *NODES,
        *(f"pod on {node}" for node in NODES),
    }


@pytest.mark.parametrize(
    "name",
    [
        "UDP",
        "large datagram",
        "large page",
        "session affinity",
        "source address",
        "endpoint there",
        "endpoint gone",
    ],
)
def test_what_a_service_is_for_is_asked_from_every_node_and_pod_but_of_an_old_image(name: str) -> None:
    sources = set(NODES) | {f"pod on {node}" for node in NODES}
    assert {source for asked_name, source, _ in asked() if asked_name == name} == sources
    assert name not in {probe.name for probe in probes(LAB, "proof", PODS, SERVICES, basic=True)}


def test_a_pod_sees_who_asks_where_nothing_has_to_be_masqueraded() -> None:
    found = {
        (probe.source, probe.argument): (probe.expect, probe.from_address)
        for probe in probes(LAB, "proof", PODS, SERVICES)
        if probe.name == "source address" and probe.node == "kube-worker-1"
    }
    assert found == {
        ("pod on kube-worker-1", "http://[fd00:1234::102]/from"): ("[fd00:101::5]:", ""),
        ("kube-worker-1", "http://[fd00::102]:30200/from"): ("[fd00::101]:", "fd00::101"),
    }


def test_pods_that_are_masqueraded_are_seen_as_their_node() -> None:
    masked = LAB.model_copy(update={"pods": LAB.pods.model_copy(update={"masquerade": True})})
    found = [probe for probe in probes(masked, "proof", PODS, SERVICES) if probe.name == "source address"]
    assert {(probe.node, probe.expect) for probe in found} == {
        (node.name, f"[{node.address}]:") for node in LAB.kubernetes_nodes
    }
    assert len(found) == 6


def test_a_single_machine_is_not_asked_what_has_to_be_masqueraded() -> None:
    alone, pods, services = large(0)
    assert len(alone.kubernetes_nodes) == 1
    assert "source address" not in {probe.name for probe in probes(alone, "proof", pods, services)}


def test_a_pod_reaches_itself_through_its_own_service() -> None:
    assert ("hairpin", "pod on kube-worker-2", "http://[fd00:1234::102]/") in asked()


def test_the_api_is_asked_at_its_service_address() -> None:
    assert ("API", "kube-worker-1", "https://[fd00:1234::1]/version") in asked()


def test_kube_proxy_is_asked_for_its_mode_where_it_could_fall_back_to_another() -> None:
    nftables = LAB.model_copy(update={"kube_proxy": KubeProxy(mode="nftables")})
    more = set(probes(nftables, "proof", PODS, SERVICES)) - set(probes(LAB, "proof", PODS, SERVICES))
    assert {(probe.name, probe.node, probe.from_pod, probe.expect) for probe in more} == {
        ("kube-proxy mode", node.name, False, "nftables") for node in LAB.kubernetes_nodes
    }
    check = judge(next(iter(more)), 0, "iptables", 0.01)
    assert (check.ok, check.seen) == (False, "'nftables' was expected, not iptables")


def test_nothing_is_asked_from_the_translator_itself() -> None:
    # What a machine sends need not pass its own translator: Jool's never does.
    assert LAB.support.name not in {probe.node for probe in probes(LAB, "proof", PODS, SERVICES)}


AFFINITY = Probe("session affinity", "a", True, "Service of all", "fetch", "http://[fd00::1]/", "", times=10)
SOURCE = Probe("source address", "a", False, "b:30200", "fetch", "http://[fd00::2]:30200/from", "[fd00::1]:")
REFUSED = Probe("endpoint gone", "a", False, "Service that a pod leaves", "refused", "[fd00::1]:80", "refused")
FETCH = Probe("ClusterIP", "kube-worker-1", True, "Service of b", "fetch", "http://[fd00::1]/", "kube-worker-2")
API = Probe("API", "kube-worker-1", False, "[fd00:1234::1]:443", "fetch", "https://x/version", "gitVersion")
WELL_KNOWN = Probe("NAT64 name", "kube-worker-1", False, "x.test", "resolve", "x.test", "64:ff9b::/96")
RESOLVE = Probe("NAT64 name", "kube-worker-1", False, "x.test", "resolve", "x.test", "fd00:64:ff9b::/96")


@pytest.mark.parametrize(
    ("probe", "status", "output", "ok", "seen"),
    [
        (FETCH, 0, "kube-worker-2\n", True, "kube-worker-2"),
        (FETCH, 0, "kube-worker-1\n", False, "'kube-worker-2' was expected, not kube-worker-1"),
        (FETCH, 0, "", False, "an empty answer"),
        (API, 0, '{\n  "major": "1",\n  "gitVersion": "v1.20.2"\n}', True, "v1.20.2"),
        (API, 0, '{"kind": "Status"}', False, '\'gitVersion\' was expected, not {"kind": "Status"}'),
        (FETCH, 1, "wget: server returned error\nconnection refused", False, "connection refused"),
        (FETCH, 7, "", False, "exit status 7"),
        (RESOLVE, 0, "fd00:64:ff9b::ac13:3\n", True, "fd00:64:ff9b::ac13:3"),
        (RESOLVE, 0, "192.0.2.1\nfd00:64:ff9b::ac13:3\n", True, "fd00:64:ff9b::ac13:3"),
        (RESOLVE, 0, "2001:db8::1\n", False, "no address in fd00:64:ff9b::/96: 2001:db8::1"),
        (RESOLVE, 0, "", False, "no address in fd00:64:ff9b::/96: nothing"),
        (WELL_KNOWN, 0, "64:ff9b::909:909", True, "64:ff9b::909:909"),
        (
            WELL_KNOWN,
            0,
            "64:ff9b::ac13:3",
            False,
            "64:ff9b::ac13:3 is 172.19.0.3, which is private and which this prefix must not carry; "
            "take a prefix of your own such as fd00:64:ff9b::/96",
        ),
        (RESOLVE, 1, "NXDOMAIN", False, "NXDOMAIN"),
        (AFFINITY, 0, "kube-worker-1\n", True, "kube-worker-1"),
        (
            AFFINITY,
            0,
            "kube-worker-1\nkube-worker-2\n",
            False,
            "one pod each time was expected, not kube-worker-1 kube-worker-2",
        ),
        (AFFINITY, 0, "", False, "one pod each time was expected, not nothing"),
        (SOURCE, 0, "[fd00::1]:40102\n", True, "[fd00::1]:40102"),
        (SOURCE, 0, "[fd00::11]:40102\n", False, "'[fd00::1]:' was expected, not [fd00::11]:40102"),
        (REFUSED, 0, "refused", True, "refused"),
        (REFUSED, 1, "somebody still answers", False, "somebody still answers"),
    ],
)
def test_an_answer_is_judged_by_what_it_says(probe: Probe, status: int, output: str, ok: bool, seen: str) -> None:
    check = judge(probe, status, output, 0.25)
    assert (check.ok, check.seen, check.seconds) == (ok, seen, 0.25)


def node(name: str, address: str, *, ready: str = "True", version: str = VERSION) -> dict[str, Any]:
    addresses = [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}]
    return {
        "metadata": {"name": name},
        "status": {
            "addresses": addresses,
            "conditions": [{"type": "Ready", "status": ready, "reason": "KubeletReady"}],
            "nodeInfo": {"kubeletVersion": version},
        },
    }


def pod(name: str, address: str, *, ready: str = "True", app: str = "") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "kube-system", "labels": {"k8s-app": app} if app else {}},
        "status": {
            "podIP": address,
            "podIPs": [{"ip": address}],
            "hostIP": "fd00::100",
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def crashing(name: str, address: str, *, app: str) -> dict[str, Any]:
    found = pod(name, address, ready="False", app=app)
    found["status"]["containerStatuses"] = [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
    return found


def good_nodes() -> list[dict[str, Any]]:
    return [node(n.name, str(n.address)) for n in LAB.kubernetes_nodes]


def good_pods() -> list[dict[str, Any]]:
    control_plane = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    return [
        *(pod(f"{name}-kube-control-plane", "fd00::100") for name in control_plane),
        *(pod(f"kube-proxy-{n.name}", str(n.address), app="kube-proxy") for n in LAB.kubernetes_nodes),
        pod("cluster-dns-1", "fd00:101::2", app="kube-dns"),
    ]


def test_a_pod_that_is_on_its_way_out_does_not_count() -> None:
    leaving = pod("cluster-dns-0", "fd00:101::9", ready="False", app="kube-dns")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    assert failed(good_nodes(), [*good_pods(), leaving]) == set()


def failed(nodes: list[dict[str, Any]], pods: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    checks: tuple[Check, ...] = check_objects(LAB, {node.name: VERSION for node in LAB.kubernetes_nodes}, nodes, pods)
    return {(check.name, check.target, check.seen) for check in checks if not check.ok}


def test_a_healthy_cluster_passes() -> None:
    assert failed(good_nodes(), good_pods()) == set()


@pytest.mark.parametrize(
    ("nodes", "pods", "wanted"),
    [
        (good_nodes()[:2], good_pods(), ("node Ready", "kube-worker-2", "no such node")),
        (
            [*good_nodes()[:2], node("kube-worker-2", "fd00::102", ready="False")],
            good_pods(),
            ("node Ready", "kube-worker-2", "KubeletReady"),
        ),
        (
            [*good_nodes()[:2], node("kube-worker-2", "fd00::102", version="v1.20.2")],
            good_pods(),
            ("node version", "kube-worker-2", "v1.20.2"),
        ),
        (
            [*good_nodes()[:2], node("kube-worker-2", "10.0.2.15")],
            good_pods(),
            ("InternalIP", "kube-worker-2", "10.0.2.15"),
        ),
        ([*good_nodes(), node("stranger", "fd00::9")], good_pods(), ("no other node", "lab", "stranger")),
        (good_nodes(), [*good_pods(), pod("x", "172.17.0.2")], ("no IPv4", "nodes and pods", "172.17.0.2")),
        (
            good_nodes(),
            [*good_pods()[:-1], pod("cluster-dns-1", "fd00:101::2", ready="False", app="kube-dns")],
            ("system pods", "cluster DNS", "0 of 1 Ready: cluster-dns-1: Pending"),
        ),
        (
            good_nodes(),
            [*good_pods()[:-1], crashing("cluster-dns-1", "fd00:101::2", app="kube-dns")],
            ("system pods", "cluster DNS", "0 of 1 Ready: cluster-dns-1: CrashLoopBackOff"),
        ),
        (good_nodes(), good_pods()[:-1], ("system pods", "cluster DNS", "0 of 1 Ready")),
        (good_nodes(), good_pods()[:6] + good_pods()[7:], ("system pods", "kube-proxy", "2 of 3 Ready")),
        (good_nodes(), good_pods()[1:], ("system pods", "etcd-kube-control-plane", "0 of 1 Ready")),
    ],
)
def test_what_is_not_as_it_should_be_fails_by_name(
    nodes: list[dict[str, Any]], pods: list[dict[str, Any]], wanted: tuple[str, str, str]
) -> None:
    assert wanted in failed(nodes, pods)


def large(workers: int) -> tuple[Cluster, dict[str, str], dict[str, tuple[str, int]]]:
    """A cluster of many workers, with the addresses of its probe pods and their Services."""
    lab = LAB.model_copy(
        update={
            "nodes": (
                *(each for each in LAB.nodes if "worker" not in each.roles),
                *(
                    LAB.nodes[-1].model_copy(update={"name": f"kube-worker-{number}"})
                    for number in range(1, workers + 1)
                ),
            )
        }
    )
    names = [each.name for each in lab.kubernetes_nodes]
    services = dict.fromkeys([*names, EVERY, LEAVING], ("fd00:1234::1", 30100))
    return lab, dict.fromkeys(names, "fd00:101::5"), services


@pytest.mark.parametrize(("workers", "questions"), [(2, 87), (18, 855), (19, 600), (99, 3000), (999, 30000)])
def test_the_questions_are_as_many_as_the_nodes(workers: int, questions: int) -> None:
    cluster, pods, services = large(workers)
    assert len(probes(cluster, "proof", pods, services)) == questions


def test_all_pairs_of_a_large_cluster_are_asked_for_who_wants_that() -> None:
    cluster, pods, services = large(19)
    asked_of_all = probes(cluster, "proof", pods, services, full=True)
    assert sum(probe.name == "pod to pod" for probe in asked_of_all) == 380


@pytest.mark.parametrize(
    ("workers", "note"), [(2, ""), (19, "pod to pod: 60 of 380 pairs; `kubev6 verify --full` asks all")]
)
def test_a_proof_tells_how_many_pairs_it_asked(workers: int, note: str) -> None:
    cluster, pods, services = large(workers)
    checks = [judge(probe, 0, "", 0.0) for probe in probes(cluster, "proof", pods, services)]
    assert pairs_note(checks) == note
