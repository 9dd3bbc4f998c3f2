"""Addresses that no machine, pod or Service can have, or that reach none. Pure.

Where it says nothing of a range, a range may be used: those for documentation (RFC 3849, 9637) and for measurements
(RFC 5180, RFC 2544) are routed like any other, and a network of one's own may be made of them; so may what is not
handed out yet, which RFC 4291, 2.4, has treated as unicast.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

TRANSLATION = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
"""What stands for IPv4 addresses: everywhere (RFC 6052, 2.1), and within a network (RFC 8215)."""
_IPV6 = {
    IPv6Network("::/8"): "reserved: IPv4-mapped, loopback, unspecified and translated addresses are there "
    "(RFC 4291, 2.4 and 2.5)",
    IPv6Network("100::/32"): "for discarding and for dummy addresses (RFC 6666, 9780)",
    IPv6Network("2001::/32"): "Teredo's (RFC 4380)",
    IPv6Network("2001:10::/28"): "for identifiers of hosts and not for addresses (ORCHID, RFC 4843)",
    IPv6Network("2001:20::/28"): "for identifiers of hosts and not for addresses (ORCHIDv2, RFC 7343)",
    IPv6Network("2001:30::/28"): "for identifiers of drones (RFC 9374)",
    IPv6Network("2002::/16"): "6to4's, which is withdrawn (RFC 7526)",
    IPv6Network("5f00::/16"): "for segments of SRv6 and not for hosts (RFC 9602)",
    IPv6Network("fe80::/10"): "link-local, so nothing is routed there (RFC 4291, 2.5.6)",
    IPv6Network("fec0::/10"): "site-local, which is withdrawn (RFC 3879)",
    IPv6Network("ff00::/8"): "multicast (RFC 4291, 2.7)",
}
"""https://www.iana.org/assignments/iana-ipv6-special-registry and -ipv6-address-space."""
_IPV4 = {
    IPv4Network("0.0.0.0/8"): "this network (RFC 1122, 3.2.1.3)",
    IPv4Network("127.0.0.0/8"): "loopback (RFC 1122, 3.2.1.3)",
    IPv4Network("169.254.0.0/16"): "link-local (RFC 3927)",
    IPv4Network("224.0.0.0/4"): "multicast (RFC 1112)",
    IPv4Network("240.0.0.0/4"): "reserved (RFC 1112, 4)",
}
"""https://www.iana.org/assignments/iana-ipv4-special-registry."""


def unusable(what: IPv6Network | IPv6Address) -> str:
    """Why a prefix or an address cannot be one of a network's own; empty when it can.

    Returns:
        Words to be read after the address, such as ``is in ff00::/8, multicast (RFC 4291, 2.7)``.
    """
    network = IPv6Network(what)
    for special, about in _IPV6.items():
        if network.overlaps(special):
            return f"{'is in' if special.supernet_of(network) else 'holds'} {special}, {about}"
    return ""


def unusable_ipv4(what: IPv4Network | IPv4Address) -> str:
    """The same of an IPv4 prefix or address."""
    network = IPv4Network(what)
    for special, about in _IPV4.items():
        if network.overlaps(special):
            return f"{'is in' if special.supernet_of(network) else 'holds'} {special}, {about}"
    return ""
