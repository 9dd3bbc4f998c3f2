"""The proof: does this cluster work, over IPv6 only?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from configs.manifest import Manifest
from configs.schema.cluster import Cluster
from tasks.kubernetes import members, probe_pods
from tasks.kubernetes.checks import Check, Probe, check_objects, judge, probes
from tasks.kubernetes.kubeadm import KUBECTL
from tasks.scope import Threads
from tasks.ssh.connection import Connection
from tasks.ssh.program import program
from tasks.steps import step

PATIENCE_SECONDS = 20


def verify(
    cluster: Cluster,
    manifest: Manifest,
    connection: Callable[[str], AbstractContextManager[Connection]],
    namespace: str = "",
) -> tuple[Check, ...]:
    """Prove the cluster: what the API server says of it, then every path from every node and a pod on it.

    Args:
        cluster: The topology.
        manifest: The release it must run.
        connection: Gives a connection to a node.
        namespace: Where probe pods have been made for this proof; empty to make some. At the end they are removed.

    Returns:
        Every check, failed ones too.

    Raises:
        NodeError: A node cannot be reached, or the API server does not answer.
    """
    with step(cluster.name, "proof") as current, ExitStack() as stack:
        names = [node.name for node in cluster.kubernetes_nodes]
        with Threads(len(names)) as pool:
            opened = pool.map(lambda name: stack.enter_context(connection(name)), names)
            connections = dict(zip(names, opened, strict=True))
            control_plane = connections[cluster.control_plane.name]
            if not namespace:
                members.refuse_lost_state(control_plane)
            try:
                namespace = namespace or probe_pods.make(control_plane, cluster, manifest)
                found = probe_pods.objects_when_ready(control_plane, manifest, namespace)
                checks = list(check_objects(cluster, manifest.version, found.nodes, found.pods))
                questions = probes(cluster, namespace, *found.addresses())
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
                probe_pods.remove(control_plane, manifest)
        checks += [judge(question, *answers[str(index)]) for index, question in enumerate(questions)]
        failed = sum(not check.ok for check in checks)
        current.ended_as(f"{len(checks)} checks, " + (f"{failed} FAILED" if failed else "all ok"))
        return tuple(checks)


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
