"""Settings of the kernel that every node needs, and lines in a machine's own files that stand against them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from configs.plan.state import Sysctl
from configs.plan.systems import Machine, SysctlLine, networking_of
from configs.schema.cluster import Cluster, Node

FILE = "/etc/sysctl.d/zz-kubev6.conf"
"""Files are read in the order of their names, and the last one that sets a key counts (sysctl.d(5))."""
NOT_ZERO = re.compile(r"[-+]?(0x)?[0-9a-f]*[1-9a-f][0-9a-f]*", re.IGNORECASE)
"""A number that the kernel takes for "yes"."""
KERNEL_LISTENS = ("ifupdown", "network-scripts")
"""What leaves it to the kernel to listen to router advertisements; the others listen themselves."""


def sysctls(cluster: Cluster, node: Node, machine: Machine) -> tuple[Sysctl, ...]:
    """The settings of a node, in the order in which they are set.

    Forwarding makes the kernel forget what routers advertised, and listen to them no longer, but where ``accept_ra``
    is 2 (ip-sysctl: ``accept_ra``). That is set before it, so an address or a default route that came that way stays.

    Raises:
        ConfigError: Nobody knows the machine's operating system.
    """
    listening = [each for each in machine.advertised if each not in static_interfaces(cluster)]
    if cluster.uplink and not cluster.uplink.subnet and networking_of(machine) in KERNEL_LISTENS:
        listening.append(cluster.uplink.interface)
    found = [Sysctl(_disable(each), "0") for each in _interfaces(cluster) if _switches_ipv6(machine)]
    found += [Sysctl(f"net.ipv6.conf.{key(interface)}.accept_ra", "2") for interface in dict.fromkeys(listening)]
    found += [
        Sysctl("net.ipv6.conf.all.forwarding", "1"),
        Sysctl("net.ipv4.ip_forward", "1"),
        # A machine that comes back with another link-layer address tells its neighbours.
        Sysctl(f"net.ipv6.conf.{key(cluster.fabric.interface)}.ndisc_notify", "1"),
    ]
    if node.in_kubernetes:
        # Packets on the CNI bridge pass ip6tables; kubeadm of the how-to's release asks for the IPv4 one too. Both
        # exist only with br_netfilter loaded.
        found += [Sysctl(f"net.bridge.bridge-nf-call-{tool}", "1") for tool in ("ip6tables", "iptables")]
    return tuple(found)


def static_interfaces(cluster: Cluster) -> tuple[str, ...]:
    """The interfaces that get a fixed address, and listen to no router advertisements."""
    uplink = (cluster.uplink.interface,) if cluster.uplink and cluster.uplink.subnet else ()
    return (cluster.fabric.interface, *uplink)


def key(interface: str) -> str:
    """An interface's name inside a setting's key, where a slash stands for a dot (sysctl.d(5))."""
    return interface.replace(".", "/")


def contrary(cluster: Cluster, node: Node, machine: Machine) -> Iterator[SysctlLine]:
    """The lines of a machine's own files that would win over a node's settings at its next start.

    Raises:
        ConfigError: Nobody knows the machine's operating system.
    """
    wanted = {each.key: each.value for each in sysctls(cluster, node, machine)}
    # What one interface, or one that is made later, does with a packet is no business of `all` any longer.
    forwards = [f"net.ipv6.conf.{each}.forwarding" for each in ("default", *_interfaces(cluster))]
    wanted |= dict.fromkeys((*forwards, "net.ipv4.conf.all.forwarding"), "1")
    last = {name: line for name in wanted for line in machine.sysctl_lines if line.wins and _sets(line, name)}
    return (line for name, line in last.items() if line.value != wanted[name])


def without_ipv6(cluster: Cluster, machine: Machine) -> Iterator[tuple[str, str]]:
    """The settings that keep IPv6 from an interface that a node needs it on, now or from the next start on.

    ``all`` is every interface, ``default`` those that are made later, such as the CNI bridge (ip-sysctl:
    ``disable_ipv6``).

    Returns:
        The key of each, and the file and line that sets it; empty where none is known.
    """
    disabled: dict[str, SysctlLine] = {}
    names = ("all", "default", *_interfaces(cluster))
    for line in machine.sysctl_lines:
        everything = _sets(line, _disable("all"))
        disabled |= {name: line for name in names if everything or _sets(line, _disable(name))}
    for name in names:
        last = disabled.get(name)
        place = f"{last.path}:{last.number}" if last and NOT_ZERO.fullmatch(last.value) else ""
        switched = _switches_ipv6(machine) and name in _interfaces(cluster)
        if place or (name in machine.kernel.without_ipv6 and not switched):
            yield _disable(name), place
            if name == "all":
                return


def _switches_ipv6(machine: Machine) -> bool:
    """Whether IPv6 is on or off on an interface as the profile says that is up there, which will be ours.

    NetworkManager switches it off where a profile's ``method`` is ``disabled`` (nm-settings(5), ``ipv6.method``).
    """
    tool = networking_of(machine)
    return tool == "networkmanager" or (tool == "netplan" and machine.networkmanager)


def _interfaces(cluster: Cluster) -> tuple[str, ...]:
    uplink = (key(cluster.uplink.interface),) if cluster.uplink else ()
    return (key(cluster.fabric.interface), *uplink)


def _disable(name: str) -> str:
    return f"net.ipv6.conf.{name}.disable_ipv6"


def _sets(line: SysctlLine, name: str) -> bool:
    return fnmatchcase(name, line.key)
