"""What a machine says of its interfaces, and of the files that configure them."""

from __future__ import annotations

from dataclasses import dataclass

ETHERNET_MTU = 1500
"""Bytes of the largest packet of Ethernet, where nobody has set another (RFC 2464, section 2)."""


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface of which more is to be known than its name.

    Attributes:
        name: Its name.
        kind: What makes it, where it is no card: ``bond``, ``vlan``, ``bridge`` and so on (ip-link(8)).
        port_of: The bond, bridge or team that it is a port of.
        kept: Lines of the file that configures it which stay in ours: what makes it, and what hangs on it.
        mtu: Bytes of the largest packet that it sends.
    """

    name: str
    kind: str = ""
    port_of: str = ""
    kept: tuple[str, ...] = ()
    mtu: int = ETHERNET_MTU


@dataclass(frozen=True, slots=True)
class Claim:
    """A file of a machine that configures an interface.

    Attributes:
        path: The file.
        interface: The interface.
        family: ``inet``, ``inet6``, or empty where a file's business is both.
        by: What in the file is about the interface; empty when that is its name.
        only_makes: Whether the file makes the interface and leaves its addresses to others.
        priority: NetworkManager's, of a profile; the highest one is brought up.
    """

    path: str
    interface: str
    family: str = ""
    by: str = ""
    only_makes: bool = False
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Definition:
    """What netplan's files define.

    Attributes:
        name: Its name: that of an interface, unless it matches by something else.
        type: The key that it stands under, such as ``ethernets``; a name has the same in all files (netplan(5)).
        dhcp4: Whether it asks for IPv4 by DHCP.
        dhcp6: Whether it asks for IPv6 by DHCP.
    """

    name: str
    type: str = "ethernets"
    dhcp4: bool = False
    dhcp6: bool = False
