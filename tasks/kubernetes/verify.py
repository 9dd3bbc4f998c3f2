"""The proof: does this cluster work, over IPv6 only?"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from configs.manifest import Manifest
from configs.plan import image_reference
from configs.render import render
from configs.schema.cluster import Cluster
from tasks.kubernetes import waiting
from tasks.kubernetes.checks import Check, Probe, check_objects, judge, probes
from tasks.kubernetes.kubeadm import ADMIN
from tasks.ssh.connection import Connection, connect
from tasks.ssh.endpoint import Endpoint
from tasks.ssh.program import program
from tasks.steps import step

KUBECTL = f"kubectl --kubeconfig {ADMIN}"
LABEL = "kubev6=proof"
"""Of the namespaces that proofs live in."""
READY_SECONDS = 120
PATIENCE_SECONDS = 20


def verify(cluster: Cluster, manifest: Manifest, machines: Mapping[str, Endpoint]) -> tuple[Check, ...]:
    """Prove the cluster: what the API server says of it, then every path from every node and a pod on it.

    Probe pods and their Services live in a namespace of their own, which is removed at the end. It has a new name every
    time: until one is gone takes seconds, which nobody has to wait for.

    Args:
        cluster: The topology.
        manifest: The release it must run.
        machines: How to reach its machines, by node.

    Returns:
        Every check, failed ones too.

    Raises:
        NodeError: A node cannot be reached, or the API server does not answer.
    """
    with step(cluster.name, "proof") as current, ExitStack() as stack:
        names = [node.name for node in cluster.kubernetes_nodes]
        with ThreadPoolExecutor(len(names)) as pool:
            connections = dict(
                zip(names, pool.map(lambda name: stack.enter_context(connect(machines[name])), names), strict=True)
            )
            control_plane = connections[cluster.control_plane.name]
            namespace = f"kubev6-proof-{uuid.uuid4().hex[:8]}"
            try:
                objects = _start_probe_pods(control_plane, cluster, manifest, namespace)
                checks = list(check_objects(cluster, manifest.version, objects["nodes"], objects["pods"]))
                questions = probes(cluster, namespace, *_addresses(objects))
                answers = dict(
                    answer
                    for answered in pool.map(
                        lambda name: _ask(
                            connections[name], namespace if name == cluster.control_plane.name else "", questions
                        ),
                        names,
                    )
                    for answer in answered.items()
                )
            finally:
                _remove_probe_pods(control_plane, manifest)
        checks += [judge(question, *answers[str(index)]) for index, question in enumerate(questions)]
        failed = sum(not check.ok for check in checks)
        current.ended_as(f"{len(checks)} checks, " + (f"{failed} FAILED" if failed else "all ok"))
        return tuple(checks)


def _start_probe_pods(
    control_plane: Connection, cluster: Cluster, manifest: Manifest, namespace: str
) -> dict[str, Any]:
    """Make the probe pods, wait until they are Ready, and read every object that the proof looks at."""
    image = image_reference(cluster, manifest, "probe")
    objects = render("probe.yaml", cluster=cluster, namespace=namespace, image=image)
    system = f"{KUBECTL} -n kube-system"
    # A pod that does not get Ready, or a system pod that is still starting, is for the checks to report by name.
    # They share one deadline: a node that is gone keeps more than one of them waiting. They wait side by side, the
    # longest for the pods that were made a moment ago.
    version = manifest.version
    script = (
        f"end=$(( $(date +%s) + {READY_SECONDS} )); "
        f"{KUBECTL} create -f - >/dev/null || exit 1; "
        f"{{ {waiting.until_ready(f'{KUBECTL} -n {namespace}', 'pods', version)}; }} & "
        f"{{ {waiting.until_ready(KUBECTL, 'nodes', version)}; "
        f"{waiting.until_ready(system, 'pods -l tier=control-plane', version)}; "
        f"{waiting.until_rolled_out(system, version)}; }} & "
        "wait; "
        f"{KUBECTL} get nodes,pods,services --all-namespaces -o json"
    )
    answer = control_plane.run(script, step="proof", stdin=objects.encode(), timeout=3 * READY_SECONDS)
    items = json.loads(answer.stdout)["items"]
    of_kind = {kind: [item for item in items if item["kind"] == kind] for kind in ("Node", "Pod", "Service")}
    in_proof = [item for item in items if item["metadata"].get("namespace") == namespace]
    return {
        "nodes": of_kind["Node"],
        "pods": of_kind["Pod"],
        "probe pods": [item for item in in_proof if item["kind"] == "Pod"],
        "probe services": [item for item in in_proof if item["kind"] == "Service"],
    }


def _addresses(objects: dict[str, Any]) -> tuple[dict[str, str], dict[str, tuple[str, int]]]:
    # A pod without an address is asked for at the unspecified one, and so fails its checks by name.
    pods = {pod["metadata"]["name"]: pod["status"].get("podIP", "::") for pod in objects["probe pods"]}
    services = {
        service["metadata"]["name"]: (service["spec"]["clusterIP"], service["spec"]["ports"][0]["nodePort"])
        for service in objects["probe services"]
    }
    return pods, services


def _ask(connection: Connection, namespace: str, questions: tuple[Probe, ...]) -> dict[str, Any]:
    """Ask all questions of one node in one round trip; the control plane also asks those of every pod.

    Args:
        connection: To the node.
        namespace: Where the pods are that are asked from there; empty for none.
        questions: All questions.
    """
    node = connection.endpoint.node
    asked = [
        (question, {"id": str(index), "kind": question.kind, "argument": question.argument})
        for index, question in enumerate(questions)
    ]
    pods: dict[str, list[dict[str, str]]] = {}
    for question, wire in asked:
        if namespace and question.from_pod:
            pods.setdefault(question.node, []).append(wire)
    payload = {
        "node": [wire for question, wire in asked if question.node == node and not question.from_pod],
        "pods": pods,
        "kubectl": [*KUBECTL.split(), "-n", namespace],
        "patience": PATIENCE_SECONDS,
    }
    answers: dict[str, Any] = connection.run_python(
        program("verify_probe"), payload, step="proof", timeout=PATIENCE_SECONDS + 10 * len(asked) + 60
    )
    return answers


def _remove_probe_pods(control_plane: Connection, manifest: Manifest) -> None:
    """Remove them, and what an earlier proof that was cut off has left."""
    control_plane.run(waiting.delete(KUBECTL, f"namespaces -l {LABEL}", manifest.version), step="proof")
