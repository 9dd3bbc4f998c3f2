"""Whether a machine can become what the topology says, told from its facts before anything on it is changed."""

from __future__ import annotations

from configs.errors import NodeError
from configs.schema import Cluster, Node, Release
from configs.versions import supports_cgroup_v2
from tasks.facts import Facts

SYSTEMS = ("debian",)
"""``ID`` of os-release(5) of the systems whose package and service names the plan knows."""
MACHINE = "x86_64"
"""What the releases' binaries are compiled for."""
CONTROL_PLANE_MEMORY = 1700 << 20
"""Bytes; kubeadm's own figure (``ControlPlaneMem``), compared like there with what the kernel does not keep."""
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
    if system.os not in SYSTEMS:
        seen = f"{system.os} {system.os_version}".strip() or "unknown"
        found.append(f"its operating system is {seen}, and only {' and '.join(SYSTEMS)} is known here: install that")
    if node.in_kubernetes and system.machine != MACHINE:
        found.append(f"its processor is {system.machine}, and the release's binaries are for {MACHINE}")
    if cluster.fabric.interface not in facts.interfaces:
        real = (name for name in facts.interfaces if name != "lo" and not name.startswith("veth"))
        there = ", ".join(sorted(real)) or "none"
        wanted = f"it has no interface {cluster.fabric.interface}, it has {there}"
        found.append(f"{wanted}: name the right one as fabric.interface in the cluster file")
    if facts.sysctls.get(IPV6, "") is None:
        found.append("its kernel runs without IPv6: take ipv6.disable=1 from the kernel's command line")
    if node.in_kubernetes and system.cgroup == 2 and not supports_cgroup_v2(release.kubernetes):
        found.append(
            f"it runs cgroup v2, and Kubernetes {release.kubernetes} knows only v1: "
            "boot it with systemd.unified_cgroup_hierarchy=0, or deploy a newer release"
        )
    if "control-plane" in node.roles and system.memory < CONTROL_PLANE_MEMORY:
        has, needs = system.memory >> 20, CONTROL_PLANE_MEMORY >> 20
        found.append(f"it has {has} MB of memory, and a control plane needs {needs} MB")
    return tuple(found)
