"""The rules of NAT64 and DNS64 (RFC 6052, 6146 and 6147) that a topology is checked against. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from configs.schema.cluster import Cluster

PREFIX_LENGTHS = (32, 40, 48, 56, 64, 96)
"""Prefix lengths that can embed an IPv4 address (RFC 6052, section 2.2)."""
WELL_KNOWN_PREFIX = IPv6Network("64:ff9b::/96")
"""The prefix that everybody may use, but for global IPv4 addresses only (RFC 6052, section 3.1)."""
NOBODYS_NAME = "ipv4only.arpa"
"""The name by which hosts learn a network's prefix."""
PODS_ON_A_NODE = 30
"""What a well-filled node runs; the figure that Kubernetes' own scalability goals count with."""
ANY_ULA = "take a prefix of your own such as fd00:64:ff9b::/96"


def embed(prefix: IPv6Network, address: IPv4Address) -> IPv6Address:
    """The IPv6 address that stands for an IPv4 address (RFC 6052, section 2.2).

    Args:
        prefix: The translation prefix.
        address: The IPv4 address, whose bits follow the prefix but leave out bits 64 to 71, which stay zero.
    """
    bits = int(prefix.network_address)
    place = prefix.prefixlen
    for byte in address.packed:
        if place == 64:
            place += 8
        bits |= byte << (120 - place)
        place += 8
    return IPv6Address(bits)


def embedded(prefix: IPv6Network, address: IPv6Address) -> IPv4Address:
    """The inverse of :func:`embed`."""
    place = prefix.prefixlen
    found = 0
    for _ in range(4):
        if place == 64:
            place += 8
        found = found << 8 | (int(address) >> (120 - place)) & 0xFF
        place += 8
    return IPv4Address(found)


def may_stand_for(prefix: IPv6Network, address: IPv4Address) -> bool:
    """Whether addresses of ``prefix`` may embed ``address``: the well-known prefix only global ones."""
    return prefix != WELL_KNOWN_PREFIX or address.is_global


def problems(cluster: Cluster) -> list[str]:
    """Why translation as the topology wants it cannot work. Each text names the field and what would be right."""
    return [*_prefix(cluster), *_pool(cluster), *_servers(cluster), *_forwarders(cluster), *_outside(cluster)]


def warnings(cluster: Cluster, resolvers: Iterable[str] = ()) -> tuple[str, ...]:
    """What works, but perhaps not as its author thinks.

    Args:
        cluster: The topology.
        resolvers: The support node's own resolvers, which DNS64 asks when the topology names none.
    """
    return tuple(_warnings(cluster, tuple(cluster.dns64.forwarders or resolvers)))


def _prefix(cluster: Cluster) -> Iterator[str]:
    prefix = cluster.nat64.prefix
    if prefix.prefixlen not in PREFIX_LENGTHS:
        allowed = ", ".join(f"/{length}" for length in PREFIX_LENGTHS)
        yield f"nat64.prefix: {prefix} has length /{prefix.prefixlen}; one of {allowed} is wanted (RFC 6052)"
    elif prefix.network_address.packed[8]:
        yield f"nat64.prefix: {prefix} has other bits than zeros in its ninth byte, which RFC 6052 keeps; {ANY_ULA}"
    elif prefix != WELL_KNOWN_PREFIX and prefix.overlaps(WELL_KNOWN_PREFIX):
        yield (
            f"nat64.prefix: {prefix} is the well-known prefix with a length that it does not have; it is "
            f"{WELL_KNOWN_PREFIX} (RFC 6052, 2.1)"
        )
    if cluster.lab and prefix == WELL_KNOWN_PREFIX:
        yield (
            f"nat64.prefix: {prefix} in a lab, where all that is outside has private IPv4 addresses, which this prefix "
            f"must not carry (RFC 6052, 3.1); {ANY_ULA}"
        )


def _pool(cluster: Cluster) -> Iterator[str]:
    nat64 = cluster.nat64
    if nat64.by != "tayga":
        if "pool" in nat64.model_fields_set:
            yield f"nat64.pool: is tayga's, and nat64.by is {nat64.by}; take it out"
        return
    # Every node and something on it, and as many again for what is on its way out: tayga keeps an address for two
    # hours after its source was last heard.
    least = 2 * (len(cluster.nodes) + 2)
    if nat64.pool.num_addresses < least:
        yield (
            f"nat64.pool: {nat64.pool} has too few addresses, {nat64.pool.num_addresses}; tayga needs one for every "
            f"source, so take a /{_length_for(least)} or a larger one, or let nat64.by be jool, which shares addresses"
        )
    own, subnet = tayga_address(cluster), cluster.fabric.subnet
    if own not in subnet:
        yield f"fabric.subnet: {subnet} has no room for tayga's own address, {own}; a /64 is usual, /104 the least"
    for index, node in enumerate(cluster.nodes):
        if node.address == own:
            yield f"nodes[{index}] ({node.name}).address: {own} is tayga's own; take another"


def tayga_address(cluster: Cluster) -> IPv6Address:
    """tayga's own IPv6 address, which it needs where its prefix may not embed its (private) IPv4 one."""
    return IPv6Address(int(cluster.fabric.subnet.network_address) | 0x64_0064)


def _servers(cluster: Cluster) -> Iterator[str]:
    for field, server in (("nat64", cluster.nat64), ("dns64", cluster.dns64)):
        if server.by == "existing" and server.address is None:
            yield f"{field}.address: is missing; an existing server needs one"
        elif server.by != "existing" and server.address is not None:
            yield f"{field}.address: {server.address} is of an existing server, and {field}.by is {server.by}; say one"
        for node in cluster.kubernetes_nodes:
            if server.address == node.address:
                yield f"{field}.address: {server.address} is {node.name}'s, which is a node of Kubernetes"
        if server.address and (why := _no_machine(cluster, server.address)):
            yield f"{field}.address: {server.address} {why}"
    hop, subnet = cluster.nat64.address, cluster.fabric.subnet
    if hop is not None and hop not in subnet:
        yield f"nat64.address: {hop} is outside fabric.subnet {subnet}, where the next hop to the prefix must be"


def _forwarders(cluster: Cluster) -> Iterator[str]:
    dns64 = cluster.dns64
    if dns64.by == "existing":
        for field in ("exclude_any", "forwarders"):
            if field in dns64.model_fields_set:
                yield f"dns64.{field}: is a setting of our own server, and dns64.by is existing; take it out"
        return
    for index, forwarder in enumerate(dns64.forwarders):
        if asks_itself(cluster, forwarder):
            yield f"dns64.forwarders[{index}]: {forwarder} is DNS64 itself, which would ask itself; name another"
        elif ":" in forwarder and ip_address(forwarder).is_link_local and "%" not in forwarder:
            yield f"dns64.forwarders[{index}]: {forwarder} is link-local; say by which interface: {forwarder}%INTERFACE"
        elif ":" in forwarder and (why := _no_machine(cluster, IPv6Address(forwarder))):
            yield f"dns64.forwarders[{index}]: {forwarder} {why}"


def _no_machine(cluster: Cluster, address: IPv6Address) -> str:
    """Why an address is that of no machine that the support node reaches; empty when it may be one."""
    inside = {"services.subnet": cluster.services.subnet} | {
        f"pod_subnet of {node.name}": node.pod_subnet for node in cluster.nodes if node.pod_subnet
    }
    for name, subnet in inside.items():
        if address in subnet:
            return f"is in {name} {subnet}; a machine's own address is wanted"
    if address == cluster.fabric.subnet.network_address:
        return "is the subnet's own (router anycast) address"
    return ""


def asks_itself(cluster: Cluster, resolver: str) -> bool:
    """Whether a resolver is the DNS64 on the support node, which listens on its loopback too."""
    own = [each for node in cluster.nodes if "support" in node.roles for each in (node.address, node.uplink_address)]
    return ip_address(resolver) in (ip_address("127.0.0.1"), ip_address("::1"), *own)


def _outside(cluster: Cluster) -> Iterator[str]:
    host = urlsplit(cluster.verify.outside).hostname or ""
    if _is_address(host):
        yield f"verify.outside: {host} is an address; a name is wanted that has an IPv4 address only, for DNS64 to show"
    elif host == NOBODYS_NAME:
        yield f"verify.outside: {host} has addresses that belong to nobody (RFC 7050), so no page; name a real one"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _warnings(cluster: Cluster, forwarders: tuple[str, ...]) -> Iterator[str]:
    nat64 = cluster.nat64
    private = [each for each in map(ip_address, forwarders) if isinstance(each, IPv4Address) and not each.is_global]
    if private and cluster.dns64.by != "existing" and nat64.prefix == WELL_KNOWN_PREFIX:
        yield (
            f"DNS64 asks {private[0]}, which is private: names that have private IPv4 addresses there are out of "
            f"reach, because {nat64.prefix} must not carry these (RFC 6052, 3.1); if you need them, {ANY_ULA}"
        )
    # Pods behind their node's address are no sources of their own.
    sources = len(cluster.kubernetes_nodes) * (1 + (0 if cluster.pods.masquerade else PODS_ON_A_NODE))
    if nat64.by == "tayga" and nat64.pool.num_addresses < sources + 2:
        yield (
            f"nat64.pool {nat64.pool} has {nat64.pool.num_addresses} addresses, and with {PODS_ON_A_NODE} pods on "
            f"every node there are {sources} sources: those that come last get out only when others fall silent; a "
            f"/{_length_for(sources + 2)} has room for all"
        )


def _length_for(addresses: int) -> int:
    """Length of the smallest IPv4 prefix with as many addresses."""
    return 32 - (addresses - 1).bit_length()
