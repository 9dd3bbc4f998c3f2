"""Whether a machine can become what the topology says, told from its survey before any machine is changed."""

from __future__ import annotations

from collections.abc import Iterator

from configs.errors import ConfigError, NodeError
from configs.jool import mismatch
from configs.kernel import Kernel
from configs.networking import tools
from configs.schema.cluster import Cluster, Node
from configs.schema.release import Release
from configs.systems import Machine, system_of
from configs.versions import needs_cgroup_v2, supports_cgroup_v2

PROCESSOR = "x86_64"
"""What the releases' binaries are compiled for."""
CONTROL_PLANE_MEMORY = 1700 << 20
"""Bytes; kubeadm's own figure (``ControlPlaneMem``), compared like there with what the kernel does not keep."""
WITHOUT_MODULE = {
    "br_netfilter": "without which packets between pods of one node pass by the rules of Services",
    "overlay": "without which no image can be unpacked",
}
"""Modules that a node of Kubernetes cannot do without, and why."""


def check(cluster: Cluster, release: Release, node: Node, machine: Machine) -> None:
    """Refuse a machine that cannot become what the topology says, or that nobody can plan a state for.

    Args:
        cluster: The topology.
        release: The release that is to run there.
        node: The node.
        machine: What its machine says of itself.

    Raises:
        NodeError: It cannot; the one line names every reason.
    """
    try:
        system_of(machine)
        found = problems(cluster, release, node, machine)
    except ConfigError as error:
        raise NodeError(
            node.name, "preflight", error.message, todo=f"{error.todo}; nothing was changed there"
        ) from None
    if found:
        raise NodeError(node.name, "preflight", "; ".join(found), todo="nothing was changed there")


def problems(cluster: Cluster, release: Release, node: Node, machine: Machine) -> tuple[str, ...]:
    """Why a machine cannot become what the topology says. Pure.

    Args:
        cluster: The topology.
        release: The release that is to run there.
        node: The node.
        machine: What its machine says of itself.

    Returns:
        One text for each reason, with what was seen and what would be right; none when it can.

    Raises:
        ConfigError: Nobody knows its operating system.
    """
    found = list(tools.problems(cluster, machine))
    if "support" in node.roles and cluster.nat64.by == "jool" and (jool := mismatch(machine.jool)):
        found.append(jool)
    if "support" in node.roles and cluster.nat64.by == "tayga" and "tun" in machine.kernel.lacking:
        found.append(
            "it has no /dev/net/tun, by which tayga translates: install what its distribution packages of the kernel's "
            "modules, or give it that device if this machine is a container"
        )
    if not machine.kernel.ipv6:
        found.append("its kernel runs without IPv6: take ipv6.disable=1 from the kernel's command line")
    if node.in_kubernetes:
        found += _problems_in_kubernetes(cluster, release, machine.kernel)
    if "control-plane" in node.roles and machine.kernel.memory < CONTROL_PLANE_MEMORY:
        has, needs = machine.kernel.memory >> 20, CONTROL_PLANE_MEMORY >> 20
        found.append(f"it has {has} MB of memory, and a control plane needs {needs} MB")
    return tuple(found)


def _problems_in_kubernetes(cluster: Cluster, release: Release, kernel: Kernel) -> Iterator[str]:
    if kernel.processor != PROCESSOR:
        yield f"its processor is {kernel.processor}, and the release's binaries are for {PROCESSOR}"
    if kernel.cgroup == 2 and not supports_cgroup_v2(release.kubernetes):
        yield (
            f"it runs cgroup v2, and Kubernetes {release.kubernetes} knows only v1: "
            "boot it with systemd.unified_cgroup_hierarchy=0, or deploy a newer release"
        )
    if kernel.cgroup == 1 and needs_cgroup_v2(release.kubernetes):
        yield (
            f"it runs cgroup v1, and Kubernetes {release.kubernetes} knows only v2: "
            "boot it with systemd.unified_cgroup_hierarchy=1, or deploy an older release"
        )
    for module, why in WITHOUT_MODULE.items():
        if module in kernel.lacking:
            yield (
                f"its kernel has no module {module}, {why}: install what its distribution packages of the kernel's "
                "modules, or load it on the host if this machine is a container"
            )
    if cluster.lab is None and (zram := [device for device in kernel.swaps if "/zram" in device]):
        yield (
            f"its swap on {', '.join(zram)} comes back at every start, and the kubelet refuses to run with it: "
            "remove zram-generator or zram-tools there"
        )
