"""Whether machines may become what the topology says, given the clusters that they are of. Pure, from host facts.

Kubernetes is neither upgraded nor moved to another cluster in place. What cannot be done is refused when all machines
have been asked and before any is changed; each refusal says which way leads on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from configs.errors import CombinedError, KubeV6Error, NodeError
from configs.manifest import Manifest
from configs.membership import Membership, identity
from configs.plan.systems import Machine
from configs.plan.versions import image_tag
from configs.schema.cluster import Cluster, Node

STEP = "preflight"
Found = Mapping[str, Machine | None]
"""What machines say of themselves, by the names of their nodes; None of one that could not be reached."""


def other_cluster(cluster: Cluster, machine: Machine) -> Iterator[str]:
    """What says that a machine is another cluster's: kubev6's record on it, or kubeadm's files."""
    seen, ours = machine.membership, identity(cluster)
    if seen.recorded and seen.recorded != ours:
        yield (
            f"kubev6's record there says that it belongs to the cluster {seen.recorded}, not {ours}: "
            "`kubev6 reset` it with that cluster's file, or correct this one's"
        )
    elif seen.server not in ("", ours.server):
        yield (
            f"it belongs to the cluster at {seen.server}, not {ours.server}: take it out of there first "
            "(`kubev6 reset` with that cluster's file, or `kubeadm reset` on the machine)"
        )


def other_role(cluster: Cluster, node: Node, seen: Membership) -> Iterator[str]:
    """A member's role is not changed in place."""
    if seen.server != identity(cluster).server:
        return
    wanted = "control-plane" in node.roles
    if seen.is_control_plane and not wanted:
        yield f"it is a control plane of this cluster, and the file wants a {node.roles[0]}: reset the cluster first"
    elif seen.is_node and not node.in_kubernetes:
        yield f"it is a worker of this cluster, and the file wants a {node.roles[0]}: `kubev6 reset {node.name}` first"
    elif seen.is_node and wanted and not seen.is_control_plane:
        yield f"it is a worker of this cluster, and the file wants a control plane: `kubev6 reset {node.name}` first"


def has_joined(cluster: Cluster, machine: Machine | None) -> bool:
    """Whether a machine has what makes it a node of this cluster; whether the cluster knows it is another question."""
    return machine is not None and machine.membership.is_node and machine.membership.server == identity(cluster).server


def refuse_one_machine(found: Found) -> None:
    """Refuse two names that are one machine: each would undo what makes the other a node.

    Raises:
        KubeV6Error: There are some.
    """
    by_identity: dict[str, list[str]] = {}
    for name, machine in found.items():
        if machine and machine.identity:
            by_identity.setdefault(machine.identity, []).append(name)
    _refuse(
        NodeError(
            names[0],
            STEP,
            f"{', '.join(names)} are one machine, reached by several names",
            todo="give each node a machine of its own in the cluster's file; nothing was changed",
        )
        for names in by_identity.values()
        if len(names) > 1
    )


def refuse_other_life(cluster: Cluster, found: Found) -> None:
    """Refuse workers whose control plane has been made anew since they joined: what they have opens nothing any more.

    Raises:
        KubeV6Error: There are some.
    """
    _refuse(_of_another_life(cluster, found))


def _of_another_life(cluster: Cluster, found: Found) -> Iterator[NodeError]:
    control_plane = found.get(cluster.control_plane.name)
    if control_plane is None:
        return
    there = control_plane.membership.authorities
    for node in cluster.worker_nodes:
        machine = found.get(node.name)
        if not machine or not machine.membership.is_node or not machine.membership.authorities:
            continue
        if not there or not there & machine.membership.authorities:
            why = "has another certificate authority" if there else "is no control plane any more"
            yield NodeError(
                node.name,
                STEP,
                f"it joined a cluster of before: {cluster.control_plane.name} {why}, made anew or reset since",
                todo=f"`kubev6 reset {node.name}`, then deploy: it joins the cluster that is",
            )


def refuse_other_version(cluster: Cluster, manifest: Manifest, found: Found) -> None:
    """Refuse another version or build of Kubernetes on a cluster that is up.

    A kubelet is not newer than its API server (Kubernetes' version skew policy), and nothing here rolls a release onto
    a cluster node by node. Where the control plane could not be reached, what its nodes run stands for it.

    Raises:
        KubeV6Error: The cluster runs another.
    """
    _refuse(_of_another_version(cluster, manifest, found))


def _of_another_version(cluster: Cluster, manifest: Manifest, found: Found) -> Iterator[NodeError]:
    wanted = image_tag(manifest.version)
    control_plane = found.get(cluster.control_plane.name)
    for node in (cluster.control_plane, *(() if control_plane else cluster.worker_nodes)):
        if (machine := found.get(node.name)) is None:
            continue
        seen = machine.membership
        runs = seen.tag or (image_tag(seen.version) if control_plane is None and seen.is_node else "")
        if runs and runs != wanted:
            what = "its control plane runs" if seen.tag else "its kubelet is"
            yield NodeError(
                node.name,
                STEP,
                f"{what} {runs}, the release to deploy is {wanted}",
                todo="take the cluster down first, or deploy the release that it runs: upgrading in place is not done; "
                "nothing was changed",
            )


def _refuse(errors: Iterator[NodeError]) -> None:
    if found := tuple[KubeV6Error, ...](errors):
        raise found[0] if len(found) == 1 else CombinedError(found)
