"""The proof: does this cluster work, over IPv6 only?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from types import MappingProxyType

from configs.errors import NodeError
from configs.manifest import Manifest
from configs.schema.cluster import Cluster
from configs.words import counted
from tasks.kubernetes import certificates, cni, etcd, members, probe_pods
from tasks.kubernetes.certificates import Told
from tasks.kubernetes.checks import Check, Probe, check_objects, check_roles, judge, pairs_note, probes
from tasks.kubernetes.kubeadm import KUBECTL
from tasks.scope import Threads
from tasks.ssh.connection import Connection
from tasks.ssh.program import program
from tasks.steps import step

PATIENCE_SECONDS = 20
Question = dict[str, str]
"""As it goes over the wire."""
Answer = tuple[int, str, float]
"""Status, output and seconds."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What :mod:`tasks.node_agent.verify_probe` says of a node.

    Attributes:
        answers: By the questions' ids.
        certificates: Those of the node.
    """

    answers: dict[str, Answer]
    certificates: Told


def verify(
    cluster: Cluster,
    manifest: Manifest,
    connection: Callable[[str], AbstractContextManager[Connection]],
    namespace: str = "",
    *,
    full: bool = False,
    new: bool = False,
    others: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Check, ...]:
    """Prove the cluster: what the API server says of it, then every path from every node and a pod on it.

    Args:
        cluster: The topology.
        manifest: The release it must run.
        connection: Gives a connection to a node.
        namespace: Where probe pods have been made for this proof; empty to make some. At the end they are removed.
        full: Whether all pairs of pods are asked, however many nodes there are.
        new: Whether nobody has had the time yet to apply a CNI, where one is to be applied by hand.
        others: The versions of kubelets that are not yet the release's, by node, in the middle of an upgrade.

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
                _refuse_lost_state(control_plane, cluster)
            if cluster.cni.by == "none" and (waiting := cni.waiting(control_plane, expected=new)):
                current.ended_as("the nodes wait for a CNI")
                return waiting
            try:
                namespace = namespace or probe_pods.make(control_plane, cluster, manifest)
                found = probe_pods.objects_when_ready(control_plane, cluster, manifest, namespace, current)
                versions = {**dict.fromkeys(names, manifest.version), **others}
                checks = list(check_objects(cluster, versions, found.nodes, found.pods))
                if len(cluster.control_planes) > 1:
                    checks += check_roles(cluster, found.nodes)
                    checks += etcd.judge(cluster, control_plane.node, etcd.ask(control_plane))
                questions = probes(cluster, namespace, *found.addresses(), full=full)
                current.progress(f"asks {counted(len(questions), 'question')}")
                asked = _by_source(questions)
                from_pods = {name: asked[name, True] for name in names}
                kubectl = [*KUBECTL.split(), "-n", namespace]
                told = list(
                    pool.map(
                        lambda name: _ask(
                            connections[name],
                            asked[name, False],
                            from_pods if name == cluster.control_plane.name else {},
                            kubectl,
                            certificates.registry_files(cluster, name),
                        ),
                        names,
                    )
                )
            finally:
                probe_pods.remove(control_plane, manifest)
        for name, each in zip(names, told, strict=True):
            checks.append(certificates.judge(name, certificates.dated(name, each.certificates)))
        answers = {question: answer for each in told for question, answer in each.answers.items()}
        checks += [judge(question, *answers[str(index)]) for index, question in enumerate(questions)]
        failed = sum(not check.ok for check in checks)
        outcome = f"{len(checks)} checks, " + (f"{failed} FAILED" if failed else "all ok")
        note = pairs_note(checks)
        current.ended_as(f"{outcome}; {note}" if note else outcome)
        return tuple(checks)


def _refuse_lost_state(control_plane: Connection, cluster: Cluster) -> None:
    """The same as of :mod:`~tasks.kubernetes.members`; of one that does not answer its certificates tell why."""
    try:
        members.refuse_lost_state(control_plane)
    except NodeError:
        certificates.refuse_ended(control_plane, cluster)
        raise


def _by_source(questions: Iterable[Probe]) -> Mapping[tuple[str, bool], list[Question]]:
    """The questions as they go over the wire, by the node and whether its pod asks; their ids are their places."""
    found: defaultdict[tuple[str, bool], list[Question]] = defaultdict(list)
    for index, each in enumerate(questions):
        wire = {"id": str(index), "kind": each.kind, "argument": each.argument}
        found[each.node, each.from_pod].append(wire)
    return found


def _ask(
    connection: Connection,
    own: list[Question],
    from_pods: Mapping[str, list[Question]],
    kubectl: list[str],
    registry: list[str],
) -> Answered:
    """Ask all questions of one node in one round trip; the control plane also asks those of every pod.

    Args:
        connection: To the node.
        own: Those of the node itself.
        from_pods: Those of pods that are asked from there, by the pod.
        kubectl: kubectl with its options, the namespace of the pods among them.
        registry: Where the node may have the certificate of the registry.
    """
    payload = {
        "node": own,
        "pods": from_pods,
        "kubectl": kubectl,
        "patience": PATIENCE_SECONDS,
        "registry": registry,
    }
    answered: Answered = connection.run_python(
        program("verify_probe"),
        payload,
        step="proof",
        timeout=PATIENCE_SECONDS + 10 * (len(own) + len(from_pods)) + 60,
        kind=Answered,
    )
    asked = {question["id"] for each in (own, *from_pods.values()) for question in each}
    if answered.answers.keys() != asked:
        raise NodeError(
            connection.node,
            "proof",
            f"it answered {len(answered.answers)} questions, other ones than the {len(asked)} that were asked",
        )
    return answered
