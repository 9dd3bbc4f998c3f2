"""The tools that configure interfaces, and what stands against one of them configuring ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from configs.plan.derived import Derived
from configs.plan.interfaces import Claim, Interface
from configs.plan.networking import ifupdown, netplan, network_scripts, networkd, networkmanager
from configs.plan.networking.links import Configured, Link
from configs.plan.systems import Machine, Networking, networking_of
from configs.schema.cluster import Cluster, Node

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
    there = sorted(name for name in machine.interfaces if name != "lo" and not name.startswith("veth"))
    found = [
        f"it has no interface {interface}, it has {', '.join(there) or 'none'}: name the right one as {field} in the "
        "cluster file"
        for field, interface in named.items()
        if machine.interfaces and interface not in machine.interfaces
    ]
    for field, name in named.items():
        found += _of_interface(tool, machine, machine.interface(name), field)
    if "ifupdown" in (tool, *machine.beside):
        found += [
            f"{claim.path}: `{claim.by}` has the kernel take no router advertisements from the next start on, as this "
            f"machine will forward, and {claim.interface} needs them: write `accept_ra 2` below that line"
            for claim in machine.not_listening
            if claim.interface in machine.advertised and claim.interface not in named.values()
        ]
    if machine.ssh_ipv4 in named.values() and tool != "ifupdown":  # which knows a stanza for each family
        found.append(
            f"SSH comes in by an IPv4 address on {machine.ssh_ipv4}, which would have IPv6 addresses alone: reach it "
            "by its IPv6 address or over another interface"
        )
    return tuple(found)


def _of_interface(tool: Networking, machine: Machine, interface: Interface, field: str) -> Iterator[str]:
    """What stands against a tool configuring one interface of a machine."""
    name, kind = interface.name, interface.kind
    if interface.port_of:
        yield f"{name} is a port of {interface.port_of}: name {interface.port_of} as {field} in the cluster file"
        return
    if tool == "networkmanager" and name in machine.unmanaged:
        yield (
            f"NetworkManager leaves {name} unmanaged: take it out of `unmanaged-devices`, `managed=0`, "
            f"NM_CONTROLLED=no or the rule of udev's that says so, until `nmcli device` tells another state of {name}"
        )
        return
    for claim in machine.renames:
        if claim.interface == name:
            yield (
                f"{claim.path} renames {name} at the next start, by {claim.by}: start the machine again and name the "
                f"new one as {field} in the cluster file, or take that line out"
            )
            return
    about = [claim for claim in machine.claims if claim.interface == name]
    if kind and (seen := _unmade(tool, interface, about)):
        yield f"{name} is a {kind}, and {seen}"
        return
    for claim in about:
        if not _contends(tool, machine, claim):
            continue
        if kind and not claim.by and tool != "networkd":
            yield (
                f"{claim.path} makes {name} and configures it too: leave in it what makes the {kind}, and take "
                "addresses and DHCP out of it; what it has set now stays"
            )
        elif claim.by:
            first = f", or give it a name that sorts behind {_file_of(tool, name)}" * claim.path.endswith(".network")
            yield (
                f"{claim.path} configures {name} already, by {claim.by}: write it so that it leaves {name} out{first}; "
                "what it has set now stays"
            )
        else:
            yield f"{claim.path} configures {name} already: take {name} out of it, what it has set now stays"


def _unmade(tool: Networking, interface: Interface, about: list[Claim]) -> str:
    """Why an interface that is made by software would not be made any more, or not be configured; empty when it is."""
    name, kind = interface.name, interface.kind
    match tool:
        case "networkmanager":
            return (
                "kubev6 writes profiles of NetworkManager's for cards alone: name a card in the cluster file, or let "
                "another tool configure this machine"
            )
        case "netplan" if not any(claim.path.endswith(".yaml") for claim in about):
            return "no file of netplan's makes it: define it in one, without addresses"
        case "ifupdown" if not any(_is_stanza(claim.path) for claim in about):
            return f"no stanza makes it: write one, `iface {name} inet manual` with what makes the {kind}"
        case "network-scripts" if not interface.kept:
            return f"no ifcfg-{name} makes it: call the file so that does, or write one"
        case _:
            return ""


def _contends(tool: Networking, machine: Machine, claim: Claim) -> bool:
    """Whether a file and ours would both configure an interface."""
    path, interface = claim.path, claim.interface
    name = path.rpartition("/")[2]
    profile = _is_profile(path)
    if "networkd" in machine.beside and path.endswith(".network"):
        return True
    # NetworkManager leaves what has a stanza alone, whatever else runs (NetworkManager.conf(5), ifupdown).
    if _is_stanza(path) and (tool == "networkmanager" or (tool != "ifupdown" and "ifupdown" in machine.beside)):
        return tool == "networkmanager" or not claim.only_makes
    match tool:
        case "networkd":  # goes by the first file alone
            return path.endswith(".network") and name < _file_of(tool, interface)
        case "ifupdown":  # knows a stanza for each family
            return _is_stanza(path) and claim.family != "inet" and not claim.only_makes
        case "netplan":  # and what it writes for
            if path.endswith(".network"):
                return "-netplan-" not in name and name < _file_of(tool, interface)
            if profile:
                return machine.networkmanager and not name.startswith("netplan-")
            return path.endswith(".yaml") and not claim.only_makes
        case "network-scripts":  # the one of the usual name is replaced
            return name.startswith("ifcfg-") and name != f"ifcfg-{interface}"
        case "networkmanager":  # whose profiles may be in the network scripts' files too
            return profile and (not claim.by or claim.priority >= networkmanager.PRIORITY)


def _is_profile(path: str) -> bool:
    """Whether NetworkManager reads a file: its own profiles, and network scripts."""
    return "/NetworkManager/" in path or path.rpartition("/")[2].startswith("ifcfg-")


def _is_stanza(path: str) -> bool:
    """Whether ifupdown reads a file, which may be anywhere: one that says so is read."""
    return not (_is_profile(path) or path.endswith((".network", ".yaml")))


def _file_of(tool: Networking, interface: str) -> str:
    """The name of the file by which networkd would configure an interface; netplan writes it as it is called there."""
    return f"10-netplan-{interface}.network" if tool == "netplan" else f"10-kubev6-{interface}.network"
