"""The rules that a topology is checked against when it is read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv6Address, ip_address

from configs.plan import translation
from configs.schema.cluster import API_PORT, Cluster, Node


def problems(cluster: Cluster) -> list[str]:
    """Why a topology cannot work. Each text names the field, the value and what would be right."""
    nodes = cluster.nodes
    found: list[str] = [*_shared(nodes), *_machines(cluster)]
    found += (*_holders(cluster), *_endpoint(cluster))
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
        found += _pod_subnet(cluster, node, where)
    if not 108 <= cluster.services.subnet.prefixlen <= 120:
        found.append(
            f"services.subnet: {cluster.services.subnet} has length /{cluster.services.subnet.prefixlen}; "
            "/108 to /120 is wanted: API servers refuse more than 20 host bits"
        )
    found += _cni(cluster)
    found += translation.problems(cluster)
    found += (*_uplink(cluster), *_uplink_addresses(cluster, nodes))
    found += _overlaps(cluster)
    return found


def _holders(cluster: Cluster) -> Iterator[str]:
    """How many machines have a role of which one is wanted, or with an endpoint some."""
    for role in ("support", "control-plane"):
        holders = [node.name for node in cluster.nodes if role in node.roles]
        if len(holders) == 1:
            continue
        seen = f"{len(holders)} nodes ({', '.join(holders)})" if holders else "no node"
        if role == "support" or not holders:
            yield f"nodes: {seen} with the role {role}; exactly one is wanted"
        elif cluster.endpoint is None:
            yield (
                f"endpoint: is missing, and there are {seen} with the role {role}; an address that all of them answer "
                "is wanted, such as `endpoint: {name: api.rack-1, address: fd00::6443}`"
            )


def _endpoint(cluster: Cluster) -> Iterator[str]:
    """What the API's own address may not be."""
    if (endpoint := cluster.endpoint) is None:
        return
    names = {node.name: index for index, node in enumerate(cluster.nodes)}
    if endpoint.name in names:
        yield f"endpoint.name: {endpoint.name} is the name of nodes[{names[endpoint.name]}]; another one is wanted"
    subnet, address = cluster.fabric.subnet, endpoint.address
    special = {
        "nat64.address": cluster.nat64.address,
        "dns64.address": cluster.dns64.address,
        "uplink.gateway": cluster.uplink.gateway if cluster.uplink else None,
        **{f"the address of {node.name}": node.address for node in cluster.nodes},
        **{f"uplink_address of {node.name}": node.uplink_address for node in cluster.nodes},
    }
    for what, taken in special.items():
        if taken == address:
            yield f"endpoint.address: {address} is {what}; one that no machine has is wanted"
    if endpoint.by == "existing":
        return
    if endpoint.port != API_PORT:
        yield f"endpoint.port: {endpoint.port} is only for an existing load balancer; API servers listen on {API_PORT}"
    if address not in subnet:
        yield f"endpoint.address: {address} is outside fabric.subnet {subnet}, where keepalived holds it"
    elif address == subnet.network_address:
        yield f"endpoint.address: {address} is the subnet's own (router anycast) address"


def _cni(cluster: Cluster) -> Iterator[str]:
    """Manifests where they are applied, and nowhere else."""
    cni = cluster.cni
    if cni.by == "manifests" and not cni.manifests:
        yield "cni.manifests: is missing; the files of a CNI, or directories of them, are wanted"
    elif cni.by != "manifests" and cni.manifests:
        yield f"cni.manifests: are applied with `by: manifests`, and cni.by is {cni.by}; take one of them out"


def _shared(nodes: Sequence[Node]) -> Iterator[str]:
    """What two nodes may not have in common."""
    for field in ("name", "address", "pod_subnet"):
        owners: dict[object, list[int]] = {}
        for index, node in enumerate(nodes):
            if (value := getattr(node, field)) is not None:
                owners.setdefault(value, []).append(index)
        for value, among in owners.items():
            if len(among) > 1:
                where, names = _named(nodes, among)
                yield f"{where}: {field} {value} is used twice ({names}); each node needs its own"


def _machines(cluster: Cluster) -> Iterator[str]:
    """The nodes that would be one machine, as far as the file can tell."""
    owners: dict[tuple[str, int], list[int]] = {}
    for index, node in enumerate(cluster.nodes):
        ssh = node.ssh.over(cluster.ssh)
        host = ssh.host or str(node.address)
        owners.setdefault((_canonical(host), ssh.port or 22), []).append(index)
    for (host, port), among in owners.items():
        # Nodes of one address have been told already.
        if len({str(cluster.nodes[index].address) for index in among}) > 1:
            where, names = _named(cluster.nodes, among)
            yield f"{where}: ssh.host {host}, port {port} is one machine ({names}); each node needs its own"


def _canonical(host: str) -> str:
    """A host as all ways to write it are written here."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower().rstrip(".")
    return str((isinstance(address, IPv6Address) and address.ipv4_mapped) or address)


def _named(nodes: Sequence[Node], among: Sequence[int]) -> tuple[str, str]:
    """Places and names of nodes: of the first ones, where there are many."""
    more = ", …" if len(among) > 5 else ""
    return (
        ", ".join(f"nodes[{index}]" for index in among[:5]) + more,
        ", ".join(nodes[index].name for index in among[:5]) + more,
    )


def _pod_subnet(cluster: Cluster, node: Node, where: str) -> Iterator[str]:
    prefix, subnet = cluster.pods.prefix, node.pod_subnet
    if subnet is None:
        if node.in_kubernetes:
            yield (
                f"pods.prefix: {prefix} has length /{prefix.prefixlen}; /16 to /48 is wanted, or {where}.pod_subnet "
                "and that of every other node, such as a /64 inside it"
            )
    elif subnet.prefixlen > 112:
        yield f"{where}.pod_subnet: {subnet} is too small; a /64 is usual, /112 the least"
    elif not subnet.subnet_of(prefix):
        yield f"{where}.pod_subnet: {subnet} is outside pods.prefix {prefix}"


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
        elif subnet and address == subnet.network_address:
            yield f"{where}: {address} is the subnet's own (router anycast) address"
        elif cluster.uplink and address == cluster.uplink.gateway:
            yield f"{where}: {address} is uplink.gateway, which is another machine"
        elif subnet and address not in subnet:
            yield f"{where}: {address} is outside uplink.subnet {subnet}"
        elif address in taken:
            yield f"{where}: {address} is used twice, by {taken[address]} too"
        else:
            taken[address] = node.name


def _overlaps(cluster: Cluster) -> Iterator[str]:
    subnets = [
        ("fabric.subnet", cluster.fabric.subnet),
        *([("uplink.subnet", cluster.uplink.subnet)] if cluster.uplink and cluster.uplink.subnet else []),
        ("services.subnet", cluster.services.subnet),
        ("nat64.prefix", cluster.nat64.prefix),
        *((f"pod_subnet of {node.name}", node.pod_subnet) for node in cluster.nodes if node.pod_subnet),
    ]
    # Prefixes are apart or one in the other, so in the order of their addresses each has all those around it at hand.
    order = sorted(range(len(subnets)), key=lambda each: (subnets[each][1].network_address, subnets[each][1].prefixlen))
    around: list[int] = []
    for index in order:
        while around and not subnets[index][1].subnet_of(subnets[around[-1]][1]):
            around.pop()
        subnet = subnets[index][1]
        if around and subnets[around[-1]][1] == subnet and subnets[around[-1]][0].startswith("pod_subnet"):
            continue  # another pod subnet, as what else is equal comes before; it is told as used twice
        for other in around:
            (other_name, less), (name, more) = subnets[min(index, other)], subnets[max(index, other)]
            yield f"{name}: {more} overlaps {other_name} {less}; they must be apart"
        around.append(index)
