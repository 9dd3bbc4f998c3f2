"""The static routes of a node, as in the how-to's table for its role."""

from __future__ import annotations

from functools import lru_cache

from configs.plan import versions
from configs.plan.state import Route
from configs.same import Same
from configs.schema.cluster import Cluster, Node

METRIC = 1024
"""The how-to's, and what the kernel gives a route without one."""
PREFERRED = 64
"""Of a default route that must win over an advertised one, which has 100 or more from NetworkManager, 512 or more from
networkd, and 1024 from the kernel."""


def routes(cluster: Cluster, node: Node, version: str) -> tuple[Route, ...]:
    """The static routes of a node, as in the how-to's table for its role.

    Between the nodes of Kubernetes pods go by them where the bridges connect pods; another CNI has its own way.

    The support node routes the pod subnets back; every node of Kubernetes routes the NAT64 prefix to the
    translator, the other nodes' pod subnets to these nodes, and the Service subnet: a packet of the node itself is
    routed before its destination becomes a pod's, so without that route (or a default route) no ClusterIP can be
    reached.

    Args:
        cluster: The topology.
        node: The node whose routes are wanted.
        version: The version of Kubernetes; the 1.9 pre-releases also want a default route on the fabric, and take the
            node's address from the interface of the default route that is preferred.
    """
    interface = cluster.fabric.interface
    support = str(cluster.support.address)
    translator = str(cluster.translator)
    found: list[Route] = []
    # On the support node its own translator takes the prefix; one elsewhere is reached like from everywhere.
    if node.in_kubernetes or translator != support:
        found.append(Route(str(cluster.nat64.prefix), translator, interface))
    if cluster.cni.by == "bridge" or not node.in_kubernetes:
        to_pods, place = _to_pods(Same(cluster))
        own = place.get(node.name, len(to_pods))
        found += to_pods[:own] + to_pods[own + 1 :]
    if node.in_kubernetes:
        # On the control plane itself there is nobody to send it to; on-link is enough for the lookup.
        via = "" if node.name == cluster.control_plane.name else str(cluster.control_plane.address)
        found.append(Route(str(cluster.services.subnet), via, interface))
        if not versions.takes_ipv6_node_ip(version):
            found.append(Route("::/0", support, interface, PREFERRED if cluster.uplink else METRIC))
    return tuple(found)


@lru_cache(maxsize=4)
def _to_pods(cluster: Same[Cluster]) -> tuple[tuple[Route, ...], dict[str, int]]:
    """The routes to the pods of all nodes, and which of them is that of a node: made once, and shared by all nodes."""
    interface = cluster.value.fabric.interface
    nodes = [node for node in cluster.value.kubernetes_nodes if node.pod_subnet]
    found = tuple(Route(str(node.pod_subnet), str(node.address), interface) for node in nodes)
    return found, {node.name: number for number, node in enumerate(nodes)}


def uplink_routes(cluster: Cluster) -> tuple[Route, ...]:
    """The static routes of every node's uplink: the default route, unless routers advertise it."""
    if cluster.uplink is None or cluster.uplink.gateway is None:
        return ()
    return (Route("::/0", str(cluster.uplink.gateway), cluster.uplink.interface, METRIC),)
