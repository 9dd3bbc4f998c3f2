"""Whether the system of a cluster is at rest, from objects as the API server gives them."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.kubernetes.probe_pods import Objects

PROOF = "kubev6-proof-1"


def item(kind: str, name: str, namespace: str = "", *, status: Any, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **more.pop("metadata", {})}
    return {"kind": kind, "metadata": metadata, "status": status, **more}


def ready(word: str = "True") -> dict[str, Any]:
    return {"conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": word}]}


def node(word: str = "True") -> dict[str, Any]:
    return item("Node", "kube-worker-1", status=ready(word))


def etcd(word: str = "True") -> dict[str, Any]:
    return item("Pod", "etcd", "kube-system", status=ready(word), metadata={"labels": {"tier": "control-plane"}})


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
    objects = [node(), etcd(), daemon_set(), deployment(), *changed]
    assert Objects.of(objects, PROOF).system_at_rest() == at_rest


def test_a_pod_without_an_address_is_asked_for_at_the_unspecified_one() -> None:
    service = {"clusterIP": "fd00:1234::5", "ports": [{"nodePort": 30100}]}
    found = Objects.of(
        [
            item("Pod", "kube-worker-1", PROOF, status={"podIP": "fd00:101::5"}),
            item("Pod", "kube-worker-2", PROOF, status={"phase": "Pending"}),
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
