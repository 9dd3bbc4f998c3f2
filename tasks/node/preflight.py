"""Whether a machine can become what the topology says, told from its facts before anything on it is changed."""

from __future__ import annotations

from configs.errors import ConfigError, NodeError
from configs.jool import mismatch
from configs.networking import tools
from configs.schema.cluster import Cluster, Node
from configs.schema.release import Release
from configs.systems import Machine, system_of
from configs.versions import needs_cgroup_v2, supports_cgroup_v2
from tasks.node.facts import Facts

MACHINE = "x86_64"
"""What the releases' binaries are compiled for."""
CONTROL_PLANE_MEMORY = 1700 << 20
"""Bytes; kubeadm's own figure (``ControlPlaneMem``), compared like there with what the kernel does not keep."""
WITHOUT_MODULE = {
    "br_netfilter": "without which packets between pods of one node pass by the rules of Services",
    "overlay": "without which no image can be unpacked",
}
"""Modules that a node of Kubernetes cannot do without, and why."""
IPV6 = "net.ipv6.conf.all.forwarding"
"""A setting that every machine's network stage asks about and that only a kernel with IPv6 has."""


def check(cluster: Cluster, release: Release, node: Node, facts: Facts) -> None:
    """Refuse a machine that cannot become what the topology says.

    Args:
        cluster: The topology.
        release: The release that is to run there.
        node: The node.
        facts: What its machine answered.

    Raises:
        NodeError: It cannot; the one line names every reason.
    """
    if found := problems(cluster, release, node, facts):
        raise NodeError(node.name, "preflight", "; ".join(found), todo="nothing was changed there")


def check_machine(cluster: Cluster, node: Node, machine: Machine) -> None:
    """Refuse a machine that nobody can plan a state for, or that would work against it.

    Args:
        cluster: The topology.
        node: The node.
        machine: What its machine says of itself.

    Raises:
        NodeError: Its system or its network configuration is none that we can work with, or NAT64 would be by Jool
            there, whose command and module are of different versions.
    """
    try:
        system_of(machine)
        found = list(tools.problems(cluster, machine))
    except ConfigError as error:
        raise NodeError(
            node.name, "preflight", error.message, todo=f"{error.todo}; nothing was changed there"
        ) from None
    if "support" in node.roles and cluster.nat64.by == "jool" and (jool := mismatch(machine.jool)):
        found.append(jool)
    if found:
        raise NodeError(node.name, "preflight", "; ".join(found), todo="nothing was changed there")


def problems(cluster: Cluster, release: Release, node: Node, facts: Facts) -> tuple[str, ...]:
    """Why a machine cannot become what the topology says. Pure.

    Args:
        cluster: The topology.
        release: The release that is to run there.
        node: The node.
        facts: What its machine answered.

    Returns:
        One text for each reason, with what was seen and what would be right; none when it can.
    """
    system = facts.system
    found = []
    if node.in_kubernetes and system.machine != MACHINE:
        found.append(f"its processor is {system.machine}, and the release's binaries are for {MACHINE}")
    if facts.sysctls.get(IPV6, "") is None:
        found.append("its kernel runs without IPv6: take ipv6.disable=1 from the kernel's command line")
    if node.in_kubernetes and system.cgroup == 2 and not supports_cgroup_v2(release.kubernetes):
        found.append(
            f"it runs cgroup v2, and Kubernetes {release.kubernetes} knows only v1: "
            "boot it with systemd.unified_cgroup_hierarchy=0, or deploy a newer release"
        )
    if node.in_kubernetes and system.cgroup == 1 and needs_cgroup_v2(release.kubernetes):
        found.append(
            f"it runs cgroup v1, and Kubernetes {release.kubernetes} knows only v2: "
            "boot it with systemd.unified_cgroup_hierarchy=1, or deploy an older release"
        )
    found += [
        f"its kernel has no module {name}, {WITHOUT_MODULE[name]}: install what its distribution packages of the "
        "kernel's modules, or load it on the host if this machine is a container"
        for name in sorted(facts.unloadable_modules & WITHOUT_MODULE.keys())
    ]
    if node.in_kubernetes and cluster.lab is None and (zram := [name for name in facts.swaps if "/zram" in name]):
        found.append(
            f"its swap on {', '.join(zram)} comes back at every start, and the kubelet refuses to run with it: "
            "remove zram-generator or zram-tools there"
        )
    if "control-plane" in node.roles and system.memory < CONTROL_PLANE_MEMORY:
        has, needs = system.memory >> 20, CONTROL_PLANE_MEMORY >> 20
        found.append(f"it has {has} MB of memory, and a control plane needs {needs} MB")
    return tuple(found)
