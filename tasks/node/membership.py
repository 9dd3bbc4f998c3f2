"""Whether machines may become what the topology says, given the clusters that they are of. Pure, from host facts.

A machine is not moved to another cluster in place, and Kubernetes not to another minor version. What cannot be done is
refused when all machines have been asked and before any is changed; each refusal says which way leads on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterator, Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_interface

from configs.errors import CombinedError, KubeV6Error, NodeError
from configs.manifest import Manifest
from configs.membership import Membership, identity
from configs.plan import upgrade
from configs.plan.systems import Machine
from configs.plan.upgrade import Build, Found, Step
from configs.schema.cluster import API_PORT, Cluster, Node

STEP = "preflight"


def other_cluster(cluster: Cluster, machine: Machine) -> Iterator[str]:
    """What says that a machine is another cluster's: kubev6's record on it, or kubeadm's files."""
    seen, ours = machine.membership, identity(cluster)
    by_record = seen.recorded.server if seen.recorded and seen.recorded.name == cluster.name else ""
    if cluster.endpoint and _is_a_nodes(server := seen.server or by_record, cluster):
        yield (
            f"its cluster was made without an endpoint, at {server}, and all that is in it goes by that: take "
            "`endpoint` out of the file, or `kubev6 reset` the cluster with its former file and deploy it anew"
        )
    elif seen.recorded and seen.recorded != ours:
        yield (
            f"kubev6's record there says that it belongs to the cluster {seen.recorded}, not {ours}: "
            "`kubev6 reset` it with that cluster's file, or correct this one's"
        )
    elif seen.server not in ("", ours.server):
        yield (
            f"it belongs to the cluster at {seen.server}, not {ours.server}: take it out of there first "
            "(`kubev6 reset` with that cluster's file, or `kubeadm reset` on the machine)"
        )


def _is_a_nodes(server: str, cluster: Cluster) -> bool:
    """Whether a URL is that of an API server on one of the nodes."""
    found = re.fullmatch(rf"https://\[([0-9a-fA-F:]+)\]:{API_PORT}", server)
    try:
        return found is not None and IPv6Address(found[1]) in (node.address for node in cluster.nodes)
    except ValueError:
        return False


def other_role(cluster: Cluster, node: Node, seen: Membership) -> Iterator[str]:
    """A member's role is not changed in place."""
    if seen.server != identity(cluster).server:
        return
    wanted = "control-plane" in node.roles
    if seen.is_control_plane and not wanted:
        first = f"`kubev6 reset {node.name}`" if len(cluster.control_planes) > 1 else "reset the cluster"
        yield f"it is a control plane of this cluster, and the file wants a {node.roles[0]}: {first} first"
    elif seen.is_node and not node.in_kubernetes:
        yield f"it is a worker of this cluster, and the file wants a {node.roles[0]}: `kubev6 reset {node.name}` first"
    elif seen.is_node and wanted and not seen.is_control_plane:
        yield f"it is a worker of this cluster, and the file wants a control plane: `kubev6 reset {node.name}` first"


def other_networks(cluster: Cluster, node: Node, seen: Membership) -> Iterator[str]:
    """A member keeps the networks that it was made with, and kubeadm tells it of no others.

    Its CNI and the routes of all others would be changed under its pods, and nothing else.
    """
    if seen.server != identity(cluster).server or not seen.is_node:
        return
    if _is_other(seen.address, node.address):
        alone = "control-plane" in node.roles and len(cluster.control_planes) == 1
        first = "the cluster with its former file" if alone else node.name
        yield (
            f"it is in this cluster by the address {seen.address}, and the file says {node.address}: take that back, "
            f"or `kubev6 reset` {first} first"
        )
    elsewhere = [pod for pod in seen.pods if node.pod_subnet and not _is_in(pod, node.pod_subnet)]
    if cluster.cni.by == "bridge" and elsewhere:
        yield (
            f"its pods have addresses such as {elsewhere[0]}, and by the file they would be of {node.pod_subnet}: take "
            "that back, or `kubev6 reset` the cluster with its former file first"
        )
    services = cluster.services
    for field, there, wanted, is_other in (
        ("subnet", seen.services, services.subnet, _is_other(seen.services, services.subnet)),
        ("domain", seen.domain, services.domain, seen.domain not in ("", services.domain)),
    ):
        if is_other:
            yield (
                f"its cluster has {there} as services.{field}, and the file says {wanted}: take that back, or "
                "`kubev6 reset` the cluster with its former file first"
            )


def _is_other(seen: str, wanted: object) -> bool:
    """Whether an address or a subnet is another one, however it is written; False for what is none."""
    try:
        return ip_interface(seen) != ip_interface(str(wanted))
    except ValueError:
        return False


def _is_in(pod: str, subnet: IPv6Network) -> bool:
    """Whether an address is in a subnet; True for what is none."""
    try:
        return ip_address(pod) in subnet
    except ValueError:
        return True


def first_control_plane(cluster: Cluster, found: Found, *, but: Container[str] = ()) -> Node:
    """The control plane that others join: the first in the file that is one; where none is, the first of all.

    Args:
        cluster: The topology.
        found: What the machines say of themselves.
        but: Those of which the cluster says otherwise.
    """
    joined = (node for node in cluster.control_planes if has_joined(cluster, found.get(node.name)))
    return next((node for node in joined if node.name not in but), cluster.control_plane)


def half_joined(cluster: Cluster, marked: Collection[str]) -> frozenset[str]:
    """The control planes whose join came to no end, as kubeadm has not marked them yet; none where it has marked none.

    Args:
        cluster: The topology.
        marked: The nodes that are marked as control planes.
    """
    return frozenset(node.name for node in cluster.control_planes if marked and node.name not in marked)


def is_formed(cluster: Cluster, found: Found) -> bool:
    """Whether several machines are control planes: then a cluster is there, and what is silent is not begun anew."""
    return sum(has_joined(cluster, found.get(node.name)) for node in cluster.control_planes) > 1


def refuse_unknown_control_planes(cluster: Cluster, found: Found) -> None:
    """Refuse to begin a cluster while a control plane could not be asked: it may be one of a cluster that there is.

    Raises:
        NodeError: No other is one, and one could not be asked.
    """
    silent = [node.name for node in cluster.control_planes if found.get(node.name) is None]
    joined = has_joined(cluster, found.get(first_control_plane(cluster, found).name))
    if silent and not joined and len(cluster.control_planes) > 1:
        raise NodeError(
            silent[0],
            STEP,
            "it could not be asked, and no other control plane is one yet: it may be that of a cluster that there is",
            todo="all control planes have to be there when a cluster begins; nothing was changed",
        )


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
    """Refuse members whose control plane has been made anew since they joined: what they have opens nothing any more.

    Raises:
        KubeV6Error: There are some.
    """
    _refuse(_of_another_life(cluster, found))


def _of_another_life(cluster: Cluster, found: Found) -> Iterator[NodeError]:
    first = first_control_plane(cluster, found)
    if (control_plane := found.get(first.name)) is None:
        return
    there = control_plane.membership.authorities
    for node in (each for each in cluster.kubernetes_nodes if each is not first):
        machine = found.get(node.name)
        if not machine or not machine.membership.is_node or not machine.membership.authorities:
            continue
        if not there or not there & machine.membership.authorities:
            why = "has another certificate authority" if there else "is no control plane any more"
            yield NodeError(
                node.name,
                STEP,
                f"it joined a cluster of before: {first.name} {why}, made anew or reset since",
                todo=f"`kubev6 reset {node.name}`, then deploy: it joins the cluster that is",
            )


def refuse_upgrade(
    cluster: Cluster, wanted: Build, known: Sequence[Manifest], found: Found, steps: Sequence[Step]
) -> None:
    """Refuse another build of Kubernetes on a cluster that is up, where it cannot be brought to it in place.

    Args:
        cluster: The topology.
        wanted: What is to run.
        known: What was deployed from here, what runs first, also by an upgrade that was cut off.
        found: What the machines say of themselves.
        steps: What has to be replaced; nothing is refused when that is nothing.

    Raises:
        NodeError: It cannot; the rules are those of :func:`configs.plan.upgrade.refusal`.
    """
    if steps and (why := upgrade.refusal(cluster, wanted, known, found, steps)):
        raise NodeError(
            cluster.control_plane.name,
            STEP,
            f"the cluster cannot be brought to {wanted.manifest.version} in place: {why}",
            todo="deploy what it runs, or `kubev6 reset` the cluster and deploy; nothing was changed",
        )


def _refuse(errors: Iterator[NodeError]) -> None:
    if found := tuple[KubeV6Error, ...](errors):
        raise found[0] if len(found) == 1 else CombinedError(found)
