"""The pods that prove or watch a cluster: one on each node, each with a Service of its own, in a namespace for this.

The namespace has a new name every time: until one is gone takes seconds, which nobody has to wait for.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from configs.manifest import Manifest
from configs.plan.node import image_reference
from configs.render import render
from configs.schema.cluster import Cluster
from tasks.kubernetes import waiting
from tasks.kubernetes.checks import EVERY, LEAVING, static_pods
from tasks.kubernetes.kubeadm import KUBECTL, Listed
from tasks.kubernetes.readiness import counts_of, is_ready, is_rolled_out, name_of, why_node, why_pod
from tasks.recipes import PROBE
from tasks.ssh.connection import Connection
from tasks.steps import Step

Purpose = Literal["proof", "watch"]
"""Of a namespace, in its label ``kubev6``: a proof looks once, a watch until somebody ends it."""
READY_SECONDS = 120
SECONDS_BETWEEN_WORDS = 5
"""How often it is told what is waited for."""
WORDS = 3
"""So many things that are waited for are named; of the others the number."""
NO_ADDRESS = "::"
"""Of a pod that has none yet: who asks there gets no answer, or its own."""
ALL_OBJECTS = f"{KUBECTL} get nodes,pods,services,deployments,daemonsets --all-namespaces -o json"
CONTROL_PLANE = ("tier", "control-plane")
"""The label of the control plane's own pods."""


@dataclass(frozen=True, slots=True)
class Objects:
    """What the API server says.

    Attributes:
        nodes: Every node.
        pods: Every pod.
        workloads: The Deployments and DaemonSets of the system.
        probe_pods: The pods of the proof.
        probe_services: Their Services.
    """

    nodes: list[Any]
    pods: list[Any]
    workloads: list[Any]
    probe_pods: list[Any]
    probe_services: list[Any]

    @classmethod
    def of(cls, items: Sequence[Any], namespace: str) -> Objects:
        """Objects of all kinds and namespaces, sorted.

        Args:
            items: As the API server gives them.
            namespace: That of the proof.
        """

        def those(*kinds: str, within: str = "") -> list[Any]:
            return [
                item
                for item in items
                if item["kind"] in kinds and (not within or item["metadata"].get("namespace") == within)
            ]

        return cls(
            nodes=those("Node"),
            pods=those("Pod"),
            workloads=those("Deployment", "DaemonSet", within="kube-system"),
            probe_pods=those("Pod", within=namespace),
            probe_services=those("Service", within=namespace),
        )

    def not_ready(self, *control_planes: str) -> tuple[str, ...]:
        """What is waited for and why, one phrase each: first the nodes, as what is on them waits for them.

        Args:
            control_planes: The nodes whose kubelets tell of a control plane's pods, which old ones do after a minute.
        """
        label, value = CONTROL_PLANE
        there = {name_of(pod) for pod in self.pods if pod["metadata"].get("namespace") == "kube-system"}
        return (
            *(f"node {name_of(node)} ({why_node(node)})" for node in self.nodes if not is_ready(node)),
            *(f"the proof's pod on {name_of(pod)} ({why_pod(pod)})" for pod in self.probe_pods if not is_ready(pod)),
            *(
                f"{name_of(pod)} ({why_pod(pod)})"
                for pod in self.pods
                if pod["metadata"].get("labels", {}).get(label) == value and not is_ready(pod)
            ),
            *(
                f"{pod} (its kubelet has told nothing of it yet)"
                for control_plane in control_planes
                for pod in static_pods(control_plane)
                if pod not in there
            ),
            *(
                f"{each['kind']} {name_of(each)} ({self._why_workload(each)})"
                for each in self.workloads
                if not is_rolled_out(each)
            ),
        )

    def replaced(self) -> int:
        """How many pods of DaemonSets are of their newest template: those of a new kube-proxy come one by one."""
        return sum(
            each["status"].get("updatedNumberScheduled", 0)
            for each in self.workloads
            if each["kind"] == "DaemonSet"
            and each["status"].get("observedGeneration") == each["metadata"]["generation"]
        )

    def _why_workload(self, workload: Any) -> str:
        """How many of its pods are there, and why one is not."""
        wanted, counts = counts_of(workload)
        prefix = f"{name_of(workload)}-"
        reasons = [
            why_pod(pod)
            for pod in self.pods
            if pod["metadata"].get("namespace") == "kube-system"
            and name_of(pod).startswith(prefix)
            and not is_ready(pod)
        ]
        return ", ".join([f"{min(counts)} of {wanted}", *reasons[:1]])

    def pods_by_node(self) -> dict[str, Any]:
        """The pods of the proof by the node that each is for; of two the one that does not leave."""
        leave_first = sorted(self.probe_pods, key=lambda pod: "deletionTimestamp" not in pod["metadata"])
        return {pod["metadata"]["labels"]["probe"]: pod for pod in leave_first}

    def addresses(self) -> tuple[dict[str, str], dict[str, tuple[str, int]]]:
        """Of the proof, by node: the address of its pod; the address and the node port of its Service.

        A pod without an address is asked for at the unspecified one, and so fails its checks by name.
        """
        pods = {node: pod["status"].get("podIP", NO_ADDRESS) for node, pod in self.pods_by_node().items()}
        services = {
            service["metadata"]["name"]: (service["spec"]["clusterIP"], service["spec"]["ports"][0]["nodePort"])
            for service in self.probe_services
        }
        return pods, services


def make(control_plane: Connection, cluster: Cluster, manifest: Manifest, purpose: Purpose = "proof") -> str:
    """Make the pods and Services of a proof, and wait for nothing.

    Args:
        control_plane: To the control plane.
        cluster: The topology.
        manifest: The release that it runs.
        purpose: What they are for.

    Returns:
        Their namespace.

    Raises:
        NodeError: The API server does not take them.
    """
    namespace = f"kubev6-{purpose}-{uuid.uuid4().hex[:8]}"
    image = image_reference(cluster, manifest, PROBE)
    names = {"namespace": namespace, "every": EVERY, "leaving": LEAVING}
    objects = render("probe.yaml", cluster=cluster, purpose=purpose, image=image, **names)
    # Looking its own objects up in the API's description would take longer than making them.
    control_plane.run(f"{KUBECTL} create --validate=false -f - >/dev/null", step="proof", stdin=objects.encode())
    return namespace


def waits_for(things: Sequence[str]) -> str:
    """What is waited for, in one line."""
    more = [f"{len(things) - WORDS} more"] * (len(things) > WORDS)
    return f"waits for {'; '.join([*things[:WORDS], *more])}"


def objects_when_ready(
    control_plane: Connection, cluster: Cluster, manifest: Manifest, namespace: str, shown: Step
) -> Objects:
    """Wait until the pods of a proof and those of the system are Ready, and read every object that it looks at.

    A pod that does not get Ready, or a system pod that is still starting, is for the checks to report by name. They
    share one deadline: a node that is gone keeps more than one of them waiting. It is put off whenever another node
    has got its new pod of a DaemonSet, which takes as long as there are nodes.

    Args:
        control_plane: To the control plane.
        cluster: The topology.
        manifest: The release.
        namespace: What :func:`make` returned.
        shown: The step that says meanwhile what is waited for.

    Raises:
        NodeError: The API server does not answer.
    """
    until, version = time.monotonic() + READY_SECONDS, manifest.version
    pods = (waiting.until_ready(f"{KUBECTL} -n {namespace}", "pods", version),)
    system = f"{KUBECTL} -n kube-system"
    rest = (
        waiting.until_ready(KUBECTL, "nodes", version),
        waiting.until_ready(system, f"pods -l {CONTROL_PLANE[0]}={CONTROL_PLANE[1]}", version),
        waiting.until_rolled_out(system, version),
    )
    waits: tuple[str, ...] = pods
    replaced = None
    while True:
        found = _read(control_plane, namespace, min(until, time.monotonic() + SECONDS_BETWEEN_WORDS), *waits)
        things = found.not_ready(*(node.name for node in cluster.control_planes))
        if replaced is not None and found.replaced() > replaced:
            until = time.monotonic() + READY_SECONDS
        replaced = max(found.replaced(), replaced or 0)
        if not things or time.monotonic() >= until:
            return found
        shown.progress(waits_for(things))
        # The longest for the pods that were made a moment ago. The system is at rest by then, unless it is new itself.
        # A wait that has nothing to wait for, as for a roll-out that was given up, ends at once.
        waits = (*(rest if all(map(is_ready, found.probe_pods)) else pods), "sleep 1")


def _read(control_plane: Connection, namespace: str, until: float, *waits: str) -> Objects:
    """Wait for some things until a time at the latest, and read every object."""
    seconds = math.ceil(max(1.0, until - time.monotonic()))
    script = "; ".join((f"end=$(( $(date +%s) + {seconds} ))", *waits, ALL_OBJECTS))
    found: Listed = control_plane.run_json(script, step="proof", timeout=seconds + READY_SECONDS, kind=Listed)
    return Objects.of(found.items, namespace)


def objects_now(control_plane: Connection, namespace: str, seconds: float) -> Objects:
    """Every object that a proof looks at, as it is.

    Args:
        control_plane: To the control plane.
        namespace: Of the proof.
        seconds: How long the API server may take.

    Raises:
        NodeError: It does not answer.
    """
    script = f"{ALL_OBJECTS} --request-timeout={math.ceil(seconds)}s"
    found: Listed = control_plane.run_json(script, step="watch", timeout=seconds + 5, kind=Listed)
    return Objects.of(found.items, namespace)


def remove(control_plane: Connection, manifest: Manifest, purpose: Purpose = "proof") -> None:
    """Remove the pods of every proof, also what an earlier one that was cut off has left.

    Args:
        control_plane: To the control plane.
        manifest: The release that it runs.
        purpose: What they are for.

    Raises:
        NodeError: The API server does not answer.
    """
    control_plane.run(waiting.delete(KUBECTL, f"namespaces -l kubev6={purpose}", manifest.version), step="proof")
