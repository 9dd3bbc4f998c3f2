"""The tools that configure interfaces, and what stands against one of them configuring ours."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

from configs.derived import Derived
from configs.networking import ifupdown, netplan, network_scripts, networkd, networkmanager
from configs.networking.links import Configured, Link
from configs.schema.cluster import Cluster, Node
from configs.systems import Claim, Machine, Networking, networking_of

TOOLS: dict[Networking, Callable[[Derived, Node, tuple[Link, ...]], Configured]] = {
    "networkd": networkd.configured,
    "ifupdown": ifupdown.configured,
    "netplan": netplan.configured,
    "network-scripts": network_scripts.configured,
    "networkmanager": networkmanager.configured,
}


def problems(cluster: Cluster, machine: Machine) -> tuple[str, ...]:
    """Why a machine's own network configuration does not go with what is to be configured there. Pure.

    Args:
        cluster: The topology.
        machine: What the machine says of itself.

    Returns:
        One text for each reason, with what was seen and what would be right.

    Raises:
        ConfigError: Nobody knows the machine's operating system.
    """
    tool = networking_of(machine)
    named = {"fabric.interface": cluster.fabric.interface}
    if cluster.uplink:
        named["uplink.interface"] = cluster.uplink.interface
    interfaces = list(named.values())
    there = sorted(name for name in machine.interfaces if name != "lo" and not name.startswith("veth"))
    found = [
        f"it has no interface {interface}, it has {', '.join(there) or 'none'}: name the right one as {field} in the "
        "cluster file"
        for field, interface in named.items()
        if machine.interfaces and interface not in machine.interfaces
    ]
    found += [
        f"{claim.path} configures {interface} already: take {interface} out of it, what it has set now stays"
        for interface in interfaces
        for claim in machine.claims
        if _contends(tool, claim, interface)
    ]
    if machine.ssh_ipv4 in interfaces and tool != "ifupdown":  # which knows a stanza for each family
        found.append(
            f"SSH comes in by an IPv4 address on {machine.ssh_ipv4}, which would have IPv6 addresses alone: reach it "
            "by its IPv6 address or over another interface"
        )
    return tuple(found)


def _contends(tool: Networking, claim: Claim, interface: str) -> bool:
    """Whether a file and ours would both configure an interface."""
    if not fnmatchcase(interface, claim.interface):
        return False
    name = claim.path.rpartition("/")[2]
    match tool:
        case "networkd":  # goes by the first file alone
            return claim.path.endswith(".network") and name < f"10-kubev6-{interface}.network"
        case "ifupdown":
            return claim.path.startswith("/etc/network/") and claim.family == "inet6"
        case "netplan":
            return claim.path.endswith(".yaml")
        case "network-scripts":  # the one of the usual name is replaced
            return name.startswith("ifcfg-") and name != f"ifcfg-{interface}"
        case "networkmanager":  # whose profiles may be in the network scripts' files too
            return claim.path.endswith(".nmconnection") or name.startswith("ifcfg-")
