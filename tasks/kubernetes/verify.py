"""The proof: does this cluster work, over IPv6 only?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from types import MappingProxyType

from configs.errors import NodeError
from configs.manifest import Manifest
from configs.schema.cluster import Cluster
from configs.words import counted
from tasks.kubernetes import certificates, cni, etcd, members, probe_pods
from tasks.kubernetes.asking import Asker
from tasks.kubernetes.checks import Check, check_objects, check_roles, pairs_note, probes
from tasks.kubernetes.readiness import name_of
from tasks.recipes import PROBE, program_tag
from tasks.scope import Threads
from tasks.ssh.connection import Connection
from tasks.steps import step

OLD = (
    "the image of the proof's pods is of an earlier kubev6: UDP, large packets, session affinity, source addresses and "
    "endpoints are not asked for; `kubev6 deploy` brings the present one"
)
log = logging.getLogger("kubev6.proof")
LEAVE = ("label", "pods", "-l", "leaving", "leaving-")
"""What takes the pod away from its Service, and leaves it where it is: only the proxies can refuse for it."""


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
                if old := manifest.image(PROBE).tag != program_tag(PROBE):
                    log.warning(OLD)
                questions = probes(cluster, namespace, *found.addresses(), full=full, basic=old)
                current.progress(f"asks {counted(len(questions), 'question')}")
                pods = {node: name_of(pod) for node, pod in found.pods_by_node().items()}
                asker = Asker(cluster, control_plane.node, namespace, pods)
                first = [each for each in questions if each.kind != "refused"]
                answers, told = asker.all(first, connections, pool)
                if refused := [each for each in questions if each.kind == "refused"]:
                    answers += asker.all(refused, connections, pool, before=LEAVE)[0]
            finally:
                probe_pods.remove(control_plane, manifest)
        checks += [certificates.judge(name, certificates.dated(name, each)) for name, each in told.items()]
        checks += answers
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
