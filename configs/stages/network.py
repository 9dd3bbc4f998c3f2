"""The network stage: addresses, routes, names and kernel settings of a machine."""

from __future__ import annotations

from configs.derived import Derived
from configs.routes import routes
from configs.schema import Node
from configs.state import Address, File, Service, StageState, Sysctl

IPV6_ONLY = "/usr/local/sbin/kubev6-ipv6-only"


def network(derived: Derived, node: Node) -> StageState:
    """The network stage of a node."""
    cluster = derived.cluster
    interface = cluster.fabric.interface
    node_routes = routes(cluster, node, derived.version)
    sysctls = [
        Sysctl("net.ipv6.conf.all.forwarding", "1"),
        Sysctl("net.ipv4.ip_forward", "1"),
        # A machine that comes back with another link-layer address tells its neighbours (a dot in an interface's name
        # is a slash in a key, sysctl.d(5)).
        Sysctl(f"net.ipv6.conf.{interface.replace('.', '/')}.ndisc_notify", "1"),
    ]
    modules: tuple[str, ...] = ()
    if node.in_kubernetes:
        modules = ("br_netfilter", "overlay")
        # kubeadm of the how-to's release also insists on the IPv4 one; both exist only with br_netfilter loaded.
        sysctls += [
            Sysctl("net.bridge.bridge-nf-call-ip6tables", "1"),
            Sysctl("net.bridge.bridge-nf-call-iptables", "1"),
        ]
    network_file = f"/etc/systemd/network/10-kubev6-{interface}.network"
    files = [
        File(network_file, derived.render("fabric.network", node=node, routes=node_routes)),
        File("/etc/hosts", derived.render("hosts"), block=True),
        File("/etc/sysctl.d/90-kubev6.conf", derived.render("sysctl.conf", sysctls=sysctls)),
    ]
    services = [Service("systemd-networkd.service", restart_on=(network_file,))]
    if node.in_kubernetes or cluster.lab:
        files += [
            File(IPV6_ONLY, derived.render("ipv6-only.sh", node=node), mode=0o755),
            File("/etc/systemd/system/kubev6-ipv6-only.service", derived.render("ipv6-only.service")),
        ]
        services.append(Service("kubev6-ipv6-only.service", restart_on=(IPV6_ONLY,)))
    if node.in_kubernetes:
        files += [
            File("/etc/modules-load.d/kubev6.conf", derived.render("modules.conf", modules=modules)),
            File("/etc/resolv.conf", derived.render("resolv.conf")),
            File("/etc/dhcp/dhclient-enter-hooks.d/kubev6", derived.render("dhclient-hook")),
        ]
    return StageState(
        name="network",
        packages=derived.system.packages_of("ip"),
        modules=modules,
        files=tuple(files),
        swap_off=node.in_kubernetes and cluster.lab is None,
        sysctls=tuple(sysctls),
        addresses=(Address(interface, f"{node.address}/{cluster.fabric.subnet.prefixlen}"),),
        # Docker gives every interface of a lab's machine an IPv4 address. Elsewhere it may be the way in for SSH.
        no_ipv4_on=(interface,) if cluster.lab else (),
        no_ipv4_default_route=node.in_kubernetes,
        routes=node_routes,
        services=tuple(services),
    )
