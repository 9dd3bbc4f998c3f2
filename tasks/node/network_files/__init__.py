"""The files that configure a machine's interfaces, as it tells of them: which are about which interface. Pure.

What a machine tells of a tool's files is for each of them a line with its path, and its lines below that, each behind a
space.
"""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import basename

from configs.plan.interfaces import Claim, Interface
from configs.plan.systems import Networking, Unasked
from tasks.node.network_files import ifupdown, netplan, network_scripts, networkd, networkmanager
from tasks.node.network_files.links import Link


def claims(said: Mapping[str, str], links: tuple[Link, ...], networking: Networking | Unasked) -> tuple[Claim, ...]:
    """The files that are about an interface of the machine, ours left out.

    Args:
        said: What it told, by the names of the tools.
        links: Its interfaces.
        networking: What configures them.
    """
    found = (
        *netplan.claims(said.get("netplan", ""), links),
        *networkd.claims(said.get("networkd", ""), links),
        *ifupdown.claims(said.get("ifupdown", ""), links),
        *network_scripts.claims(said.get("network-scripts", ""), links, any_without=networking == "networkmanager"),
        *networkmanager.claims(said.get("networkmanager", ""), links),
    )
    return tuple(dict.fromkeys(claim for claim in found if "kubev6" not in basename(claim.path)))


def interfaces(
    said: Mapping[str, str], links: tuple[Link, ...], networking: Networking | Unasked
) -> tuple[Interface, ...]:
    """The interfaces of which more is to be known than the name."""
    kept = {"networkd": networkd.kept, "network-scripts": network_scripts.kept}.get(networking)
    found = (
        Interface(
            link.name,
            link.kind or "",
            link.port_of,
            kept(said.get(networking, ""), links, link.name) if kept else (),
            link.mtu,
        )
        for link in links
    )
    return tuple(each for each in found if each != Interface(each.name))
