"""What a proof waits for, from objects as the API server gives them."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from configs.errors import KubeV6Error
from configs.manifest import Manifest
from configs.plan.stages.kubernetes import STATIC_PODS
from configs.schema.loading import load_cluster
from tasks import scope
from tasks.events import Bus, Event, StepProgressed
from tasks.kubernetes import probe_pods
from tasks.kubernetes.probe_pods import Objects, objects_when_ready, waits_for
from tasks.ssh.connection import Connection
from tasks.steps import StopSignal, step
from tests.fakes import fake_of, substitute

PROOF = "kubev6-proof-1"
CONTROL_PLANE = "kube-control-plane"


def item(kind: str, name: str, namespace: str = "", *, status: Any, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **more.pop("metadata", {})}
    return {"kind": kind, "metadata": metadata, "status": status, **more}


def ready(word: str = "True") -> dict[str, Any]:
    return {"conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": word}]}


def node(word: str = "True") -> dict[str, Any]:
    return item("Node", "kube-worker-1", status=ready(word))


def etcd(word: str = "True") -> dict[str, Any]:
    return item("Pod", "etcd", "kube-system", status=ready(word), metadata={"labels": {"tier": "control-plane"}})


def static_pods(*lacking: str) -> list[dict[str, Any]]:
    names = {f"{name}-{CONTROL_PLANE}" for name in STATIC_PODS} - set(lacking)
    return [item("Pod", name, "kube-system", status=ready("True")) for name in sorted(names)]


def daemon_set(generation: int = 2, updated: int = 3, available: int = 3) -> dict[str, Any]:
    counts = {"desiredNumberScheduled": 3, "updatedNumberScheduled": updated, "numberAvailable": available}
    status = {"observedGeneration": 2, **counts}
    return item("DaemonSet", "kube-proxy", "kube-system", status=status, metadata={"generation": generation})


def deployment(replicas: int = 2, **counts: int) -> dict[str, Any]:
    status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **counts}
    metadata = {"generation": 1}
    return item("Deployment", "coredns", "kube-system", status=status, metadata=metadata, spec={"replicas": replicas})


@pytest.mark.parametrize(
    ("changed", "at_rest"),
    [
        ([], True),
        ([node("False")], False),
        ([node("Unknown")], False),
        ([item("Node", "kube-worker-2", status={})], False),
        ([etcd("False")], False),
        ([item("Pod", "mine", "default", status=ready("False"))], True),
        ([daemon_set(generation=3)], False),
        ([daemon_set(updated=2)], False),
        ([daemon_set(available=2)], False),
        ([deployment(replicas=3)], False),
        ([deployment(replicas=4, updatedReplicas=1)], False),
        ([deployment(replicas=2, availableReplicas=1)], False),
        ([deployment(replicas=2, updatedReplicas=1)], False),
        ([item("Deployment", "new", "kube-system", status={}, spec={}, metadata={"generation": 1})], False),
        ([item("Deployment", "mine", "default", status={}, spec={"replicas": 1})], True),
    ],
)
def test_the_system_is_at_rest_when_nobody_would_wait_for_any_part_of_it(changed: list[Any], at_rest: bool) -> None:
    objects = [node(), *static_pods(), etcd(), daemon_set(), deployment(), *changed]
    assert (not Objects.of(objects, PROOF).not_ready(CONTROL_PLANE)) == at_rest


def probe(node: str, name: str = "", *, leaving: bool = False, **status: Any) -> dict[str, Any]:
    """A pod of the proof."""
    metadata: dict[str, Any] = {"labels": {"probe": node}}
    if leaving:
        metadata["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    return item("Pod", name or node, PROOF, status=status, metadata=metadata)


@pytest.mark.parametrize("newer_first", [True, False])
def test_of_two_pods_of_a_node_the_one_counts_that_stays(newer_first: bool) -> None:
    old = probe("kube-worker-1", "kube-worker-1-a", leaving=True, podIP="fd00:101::5")
    new = probe("kube-worker-1", "kube-worker-1-b", podIP="fd00:101::6")
    found = Objects.of([new, old] if newer_first else [old, new], PROOF)
    assert found.addresses()[0] == {"kube-worker-1": "fd00:101::6"}
    assert found.pods_by_node()["kube-worker-1"]["metadata"]["name"] == "kube-worker-1-b"


def test_a_pod_without_an_address_is_asked_for_at_the_unspecified_one() -> None:
    service = {"clusterIP": "fd00:1234::5", "ports": [{"nodePort": 30100}]}
    found = Objects.of(
        [
            probe("kube-worker-1", podIP="fd00:101::5"),
            probe("kube-worker-2", phase="Pending"),
            item("Pod", "kube-worker-2", "kubev6-proof-2", status={"podIP": "fd00:102::9"}),
            item("Service", "kube-worker-1", PROOF, status={}, spec=service),
            item("Service", "kubernetes", "default", status={}, spec={"clusterIP": "fd00:1234::1"}),
        ],
        PROOF,
    )
    assert found.addresses() == (
        {"kube-worker-1": "fd00:101::5", "kube-worker-2": "::"},
        {"kube-worker-1": ("fd00:1234::5", 30100)},
    )


def pod(name: str = "kube-worker-1", namespace: str = PROOF, **status: Any) -> dict[str, Any]:
    return item("Pod", name, namespace, status=status)


def container(**state: Any) -> dict[str, Any]:
    return {"phase": "Pending", "containerStatuses": [{"name": "probe", "state": state}]}


def not_ready_node(reason: str, message: str) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "False", "reason": reason, "message": message}]
    return item("Node", "kube-worker-1", status={"conditions": conditions})


ON = "the proof's pod on kube-worker-1"
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes fit"}
KUBE_DNS = pod("coredns-7f-x", "kube-system", **container(waiting={"reason": "CrashLoopBackOff"}))


@pytest.mark.parametrize(
    ("objects", "told"),
    [
        ([node()], []),
        ([pod(**container(waiting={"reason": "ImagePullBackOff"}))], [f"{ON} (ImagePullBackOff)"]),
        ([pod(**container(terminated={"reason": "OOMKilled"}))], [f"{ON} (OOMKilled)"]),
        ([pod(**container(running={}))], [f"{ON} (Pending)"]),
        ([pod(phase="Running", containerStatuses=[{"state": {"running": {}}}])], [f"{ON} (not Ready yet)"]),
        ([pod(phase="Failed", reason="Evicted")], [f"{ON} (Evicted)"]),
        ([pod()], [f"{ON} (Pending)"]),
        ([pod(phase="Pending", conditions=[UNSCHEDULED])], [f"{ON} (0/3 nodes fit)"]),
        (
            [not_ready_node("KubeletNotReady", "cni plugin\n not initialized")],
            ["node kube-worker-1 (cni plugin not initialized)"],
        ),
        ([not_ready_node("KubeletNotReady", "x" * 500)], ["node kube-worker-1 (KubeletNotReady)"]),
        ([item("Node", "n", status={})], ["node n (its kubelet has told nothing yet)"]),
        ([etcd("False")], ["etcd (Pending)"]),
        ([daemon_set(available=2)], ["DaemonSet kube-proxy (2 of 3)"]),
        ([deployment(availableReplicas=1), KUBE_DNS], ["Deployment coredns (1 of 2, CrashLoopBackOff)"]),
    ],
)
def test_what_is_waited_for_is_told_with_its_reason(objects: list[Any], told: list[str]) -> None:
    assert list(Objects.of([*static_pods(), *objects], PROOF).not_ready(CONTROL_PLANE)) == told


def test_a_pod_of_the_control_plane_that_its_kubelet_has_yet_to_tell_of_is_waited_for() -> None:
    """That of Kubernetes 1.9 does so a minute after kubeadm's init."""
    objects = Objects.of(static_pods(f"etcd-{CONTROL_PLANE}"), PROOF)
    assert objects.not_ready(CONTROL_PLANE) == (f"etcd-{CONTROL_PLANE} (its kubelet has told nothing of it yet)",)
    elsewhere = item("Pod", f"etcd-{CONTROL_PLANE}", "default", status=ready("True"))
    assert len(Objects.of([*static_pods(f"etcd-{CONTROL_PLANE}"), elsewhere], PROOF).not_ready(CONTROL_PLANE)) == 1


def test_of_many_things_some_are_named_and_the_others_counted() -> None:
    assert waits_for(["a", "b"]) == "waits for a; b"
    assert waits_for([str(number) for number in range(23)]) == "waits for 0; 1; 2; 20 more"


@fake_of(Connection)
class ControlPlane:
    """Gives one list of objects after the other, and at the end always the last; its own pods are in all of them."""

    node = CONTROL_PLANE

    def __init__(self, *lists: list[Any]) -> None:
        self.lists = list(lists)
        self.scripts: list[str] = []

    def run_json(self, command: str, *, step: str, timeout: float = 60, kind: Any = None) -> Any:
        assert step
        assert timeout
        self.scripts.append(command)
        found = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        return kind([*static_pods(), *found])


def wait(control_plane: ControlPlane) -> list[str]:
    """What is told while a proof waits."""
    bus, told = Bus(), list[str]()

    def hear(event: Event) -> None:
        if isinstance(event, StepProgressed):
            told.append(event.text)

    manifest = cast(Manifest, SimpleNamespace(version="v1.20.2"))
    with bus.heard_by(hear), scope.holding(bus), step("lab", "proof") as shown:
        objects_when_ready(cast(Connection, control_plane), load_cluster("lab"), manifest, PROOF, shown)
    return told


PULLING = pod(**container(waiting={"reason": "ImagePullBackOff"}))
UP = pod(**ready())


def test_while_it_waits_it_tells_for_what_and_waits_for_no_more_than_that() -> None:
    control_plane = ControlPlane([node(), PULLING], [node("False"), UP], [node(), UP])
    assert wait(control_plane) == [
        f"waits for {ON} (ImagePullBackOff)",
        "waits for node kube-worker-1 (its kubelet has told nothing yet)",
    ]
    assert ["nodes --all" in script for script in control_plane.scripts] == [False, False, True]


def test_where_nothing_is_to_be_waited_for_it_asks_once() -> None:
    control_plane = ControlPlane([node(), UP])
    assert wait(control_plane) == []
    assert len(control_plane.scripts) == 1


@pytest.mark.parametrize(
    ("rolling", "asked"),
    [
        ([(0, 0), (1, 1), (2, 2), (3, 3)], 4),  # a new pod on another node in each of them
        ([(0, 0), (1, 1), (1, 0), (1, 0), (3, 3)], 4),  # none any more for longer than the deadline
    ],
)
def test_while_one_node_after_another_gets_its_new_pod_it_waits_for_them_all(
    monkeypatch: pytest.MonkeyPatch, rolling: list[tuple[int, int]], asked: int
) -> None:
    now = [0.0]

    class Slow(ControlPlane):
        def run_json(self, command: str, *, step: str, timeout: float = 60, kind: Any = None) -> Any:
            now[0] += 0.6 * probe_pods.READY_SECONDS
            return super().run_json(command, step=step, timeout=timeout, kind=kind)

    substitute(monkeypatch, time, "monotonic", lambda: now[0])
    control_plane = Slow(*([node(), UP, daemon_set(2, *counts)] for counts in rolling))
    wait(control_plane)
    assert len(control_plane.scripts) == asked


def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, probe_pods, "READY_SECONDS", 0)
    assert wait(ControlPlane([PULLING])) == []


def test_a_run_that_is_stopped_waits_no_longer() -> None:
    stop = StopSignal()
    stop.give()
    with scope.holding(stop), pytest.raises(KubeV6Error, match="stopped"):
        wait(ControlPlane([PULLING]))
