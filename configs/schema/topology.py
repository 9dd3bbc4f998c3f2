"""The rules that a topology is checked against when it is read. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address

from configs import translation
from configs.schema.cluster import Cluster, Node


def problems(cluster: Cluster) -> list[str]:
    """Why a topology cannot work. Each text names the field, the value and what would be right."""
    found: list[str] = []
    nodes = cluster.nodes
    for field in ("name", "address", "pod_subnet"):
        values = [str(getattr(node, field) or "") for node in nodes]
        for value in sorted({value for value in values if value and values.count(value) > 1}):
            where = ", ".join(f"nodes[{index}]" for index, other in enumerate(values) if other == value)
            owners = ", ".join(node.name for node, other in zip(nodes, values, strict=True) if other == value)
            found.append(f"{where}: {field} {value} is used twice ({owners}); each node needs its own")
    for role, wanted in (("support", "exactly one"), ("control-plane", "exactly one")):
        holders = [node.name for node in nodes if role in node.roles]
        if len(holders) != 1:
            seen = f"{len(holders)} nodes ({', '.join(holders)})" if holders else "no node"
            found.append(f"nodes: {seen} with the role {role}; {wanted} is wanted")
    for index, node in enumerate(nodes):
        where = f"nodes[{index}] ({node.name})"
        if len(set(node.roles)) != len(node.roles):
            found.append(f"{where}.roles: a role is named twice")
        if "support" in node.roles and node.in_kubernetes:
            found.append(f"{where}.roles: the support node stands outside Kubernetes; give it a machine of its own")
        if node.address not in cluster.fabric.subnet:
            found.append(f"{where}.address: {node.address} is outside fabric.subnet {cluster.fabric.subnet}")
        elif node.address == cluster.fabric.subnet.network_address:
            found.append(f"{where}.address: {node.address} is the subnet's own (router anycast) address")
        if node.pod_subnet and node.pod_subnet.prefixlen > 112:
            found.append(f"{where}.pod_subnet: {node.pod_subnet} is too small; a /64 is usual, /112 the least")
    if not 108 <= cluster.services.subnet.prefixlen <= 120:
        found.append(
            f"services.subnet: {cluster.services.subnet} has length /{cluster.services.subnet.prefixlen}; "
            "/108 to /120 is wanted: API servers refuse more than 20 host bits"
        )
    if not 16 <= cluster.pods.prefix.prefixlen <= 48:
        found.append(
            f"pods.prefix: {cluster.pods.prefix} has length /{cluster.pods.prefix.prefixlen}; /16 to /48 is wanted"
        )
    found += translation.problems(cluster)
    found += (*_uplink(cluster), *_uplink_addresses(cluster, nodes))
    found += _overlaps(cluster)
    return found


def _uplink(cluster: Cluster) -> Iterable[str]:
    if (uplink := cluster.uplink) is None:
        return
    if uplink.interface == cluster.fabric.interface:
        yield f"uplink.interface: {uplink.interface} is the fabric's; another interface is wanted"
    if uplink.addressing == "slaac" and (uplink.subnet or uplink.gateway):
        yield "uplink: with slaac the routers say subnet and gateway; leave both out, or let addressing be static"
    if uplink.addressing == "static" and uplink.subnet is None:
        yield "uplink.subnet: is missing; static addresses are in one, such as 2001:db8:1::/64"
    if uplink.subnet and uplink.gateway and uplink.gateway not in uplink.subnet and not uplink.gateway.is_link_local:
        yield f"uplink.gateway: {uplink.gateway} is neither in uplink.subnet {uplink.subnet} nor link-local"


def _uplink_addresses(cluster: Cluster, nodes: Iterable[Node]) -> Iterable[str]:
    static = cluster.uplink is not None and cluster.uplink.addressing == "static"
    subnet = cluster.uplink.subnet if cluster.uplink else None
    taken: dict[IPv6Address, str] = {}
    for index, node in enumerate(nodes):
        where, address = f"nodes[{index}] ({node.name}).uplink_address", node.uplink_address
        if address is None:
            if static:
                yield f"{where}: is missing; uplink.addressing is static"
        elif not static:
            yield f"{where}: {address} has no uplink to be on whose addressing is static"
        elif subnet and address not in subnet:
            yield f"{where}: {address} is outside uplink.subnet {subnet}"
        elif address in taken:
            yield f"{where}: {address} is used twice, by {taken[address]} too"
        else:
            taken[address] = node.name


def _overlaps(cluster: Cluster) -> list[str]:
    subnets = [
        ("fabric.subnet", cluster.fabric.subnet),
        *([("uplink.subnet", cluster.uplink.subnet)] if cluster.uplink and cluster.uplink.subnet else []),
        ("services.subnet", cluster.services.subnet),
        ("nat64.prefix", cluster.nat64.prefix),
        *((f"pod_subnet of {node.name}", node.pod_subnet) for node in cluster.nodes if node.pod_subnet),
    ]
    return [
        f"{name}: {subnet} overlaps {other_name} {other}; they must be apart"
        for index, (name, subnet) in enumerate(subnets)
        for other_name, other in subnets[:index]
        if subnet.overlaps(other) and not ("pod_subnet" in name and subnet == other)
    ]
