"""The network stage: addresses, routes, names and kernel settings of a machine."""

from __future__ import annotations

from functools import lru_cache

from configs.plan.derived import Derived
from configs.plan.networking.links import links
from configs.plan.networking.tools import TOOLS
from configs.plan.networking.zone import zone
from configs.plan.state import Address, File, Reload, Service, StageState
from configs.plan.sysctls import FILE as SYSCTLS
from configs.plan.sysctls import sysctls
from configs.plan.systems import networking_of
from configs.render import render
from configs.same import Same
from configs.schema.cluster import Cluster, Node

IPV6_ONLY = "/usr/local/sbin/kubev6-ipv6-only"
REPOSITORIES = "/etc/yum.repos.d/kubev6.repo"
"""Where yum is told of packages that the system does not bring."""
CLOUD_INIT = "/etc/cloud/cloud.cfg.d/zz-kubev6.cfg"
"""Of the files there the last by name counts."""
HOOKS = {
    "dhcpcd": ("/etc/dhcpcd.enter-hook", "dhcpcd-hook", True, 0o644),
    "openresolv": ("/etc/resolvconf.conf", "resolvconf.conf", True, 0o644),
    "rdnssd": ("/etc/rdnssd/merge-hook", "rdnssd-hook", False, 0o755),
}
"""What keeps programs from writing resolv.conf: file, template, whether others have lines there too, and mode."""
IPVS = ("ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_sh", "nf_conntrack")
"""The modules that kube-proxy's mode for IPVS asks for (its README, "Prerequisite")."""


def network(derived: Derived, node: Node) -> StageState:
    """The network stage of a node."""
    cluster, fabric = derived.cluster, derived.cluster.fabric.interface
    node_links = links(derived, node)
    by_tool = TOOLS[networking_of(derived.machine)](derived, node, node_links)
    settings = sysctls(cluster, node, derived.machine)
    modules: tuple[str, ...] = ()
    if node.in_kubernetes:
        modules = ("br_netfilter", "overlay", *(IPVS if cluster.kube_proxy.mode == "ipvs" else ()))
    files = [
        *by_tool.files,
        File("/etc/hosts", _hosts(Same(cluster)), block=True),
        File(SYSCTLS, derived.render("sysctl.conf", sysctls=settings)),
    ]
    if "cloud-init" in derived.machine.writers:
        files.append(File(CLOUD_INIT, derived.render("cloud-init.cfg")))
    if derived.system.repositories:
        files.append(File(REPOSITORIES, derived.render("yum.repo")))
    if modules:
        files.append(File("/etc/modules-load.d/kubev6.conf", derived.render("modules.conf", modules=modules)))
    reloads, services = list(by_tool.reloads), list(by_tool.services)
    if guarded := zone(derived, node):
        # First: what configures the interface names the zone.
        files.append(guarded[0])
        reloads.insert(0, guarded[1])
    if node.in_kubernetes:
        more_files, more_reloads, more_services = _resolver(derived)
        files += more_files
        reloads += more_reloads
        services += more_services
    if node.in_kubernetes or cluster.lab:
        files += [
            File(IPV6_ONLY, derived.render("ipv6-only.sh", node=node), mode=0o755),
            File("/etc/systemd/system/kubev6-ipv6-only.service", derived.render("ipv6-only.service")),
        ]
        services.append(Service("kubev6-ipv6-only.service", restart_on=(IPV6_ONLY,)))
    return StageState(
        name="network",
        packages=derived.system.packages_of("ip"),
        modules=modules,
        files=tuple(files),
        swap_off=node.in_kubernetes and cluster.lab is None,
        selinux_permissive=node.in_kubernetes,
        no_ipv4_names=(node.name,) if node.in_kubernetes else (),
        sysctls=settings,
        links_up=tuple(link.interface for link in node_links if link.autoconf),
        addresses=tuple(Address(link.interface, link.address) for link in node_links if not link.autoconf),
        # Docker gives every interface of a lab's machine an IPv4 address. Elsewhere it may be the way in for SSH.
        no_ipv4_on=(fabric,) if cluster.lab else (),
        no_ipv4_default_route=node.in_kubernetes,
        routes=tuple(route for link in node_links for route in link.routes),
        reloads=tuple(reloads),
        services=tuple(services),
        trial=by_tool.trial,
    )


@lru_cache(maxsize=4)
def _hosts(cluster: Same[Cluster]) -> str:
    """The names of all nodes, which all nodes have alike."""
    return render("hosts", cluster=cluster.value)


def _resolver(derived: Derived) -> tuple[list[File], list[Reload], list[Service]]:
    """The cluster's DNS64 for every name, and nobody who writes another one into resolv.conf.

    dhclient is kept from it by its hook, netplan and networkd by their own files, resolvconf by resolv.conf being no
    link, and who writes there without asking by a hook of its own, where it is installed.
    """
    machine = derived.machine
    files = [
        File("/etc/resolv.conf", derived.render("resolv.conf")),
        # Some dhclient scripts only read a hook that may be run.
        File(derived.system.paths["dhclient_hook"], derived.render("dhclient-hook"), mode=0o755),
    ]
    for path, template, block, mode in (hook for name, hook in HOOKS.items() if name in machine.writers):
        files.append(File(path, derived.render(template), mode=mode, block=block))
    reloads, services = [], []
    if machine.networkmanager or networking_of(machine) == "networkmanager":
        own = File("/etc/NetworkManager/conf.d/90-kubev6.conf", derived.render("networkmanager.conf"))
        files.append(own)
        reloads.append(Reload(("systemctl", "reload", "NetworkManager.service"), when=(own.path,)))
    if machine.resolved:
        own = File("/etc/systemd/resolved.conf.d/90-kubev6.conf", derived.render("resolved.conf"))
        files.append(own)
        services.append(Service("systemd-resolved.service", restart_on=(own.path,)))
    return files, reloads, services
