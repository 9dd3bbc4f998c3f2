"""Compatibility checks: whether a machine can become what the topology says. Pure, told from its host facts.

Each rule is a function of a :class:`Candidate` and stands in one of two lists: those of :data:`PROBLEMS` refuse the
machine before any is changed, those of :data:`WARNINGS` are only told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from configs.errors import ConfigError
from configs.manifest import Manifest
from configs.plan import sysctls, translation, upgrade, versions
from configs.plan.derived import container_runtime, etcd_problem, own_cni_version, takes_cgroup_v1
from configs.plan.jool import mismatch
from configs.plan.networking import tools
from configs.plan.packet_filter import UFW_WITHOUT_IPV6, Packet
from configs.plan.stages.network import IPVS
from configs.plan.stages.runtime import BRIDGE
from configs.plan.systems import Machine, networking_of, runtime_version, system_of
from configs.plan.versions import (
    Runtime,
    cni_shows_ipv6,
    container_runtimes,
    containerd_to_come,
    containerd_versions,
    docker_hides_ipv6,
    kernel_runs_nftables_proxy,
    kube_proxy_finds_iptables,
    numbers,
    refuses_cgroup_v1,
    supports_cgroup_v2,
)
from configs.schema.cluster import Cluster, Node
from configs.schema.release import Release
from tasks.node import membership

PROCESSOR = "x86_64"
"""What the releases' binaries are compiled for."""
CONTROL_PLANE_MEMORY = 1700 << 20
"""Bytes; kubeadm's own figure (``ControlPlaneMem``), compared like there with what the kernel does not keep."""
WITHOUT_MODULE = {
    "br_netfilter": "without which packets between pods of one node pass by the rules of Services",
    "overlay": "without which no image can be unpacked",
}
"""Modules that a node of Kubernetes cannot do without, and why."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A machine that is to become a node.

    Attributes:
        cluster: The topology.
        release: The release that is to run there.
        node: The node.
        machine: What its machine says of itself.
        manifest: What the release holds; None when that is not known yet.
    """

    cluster: Cluster
    release: Release
    node: Node
    machine: Machine
    manifest: Manifest | None = None

    @property
    def version(self) -> str:
        """The version of Kubernetes."""
        return kubernetes_version(self.release, self.manifest)

    @property
    def runtime(self) -> Runtime:
        """What is to run the containers there."""
        return container_runtime(self.cluster, self.release, self.version)

    @property
    def runtime_version(self) -> str:
        """Version of that runtime: what is installed, else what would be; empty when neither is known."""
        known = self.machine.runtime or self.machine.packages
        return runtime_version(self.machine, self.runtime) if known else ""


Rule = Callable[[Candidate], Iterable[str]]
"""Gives one text for each reason, with what was seen and what would be right; none when all is well.

It may raise a ConfigError, which is one more reason.
"""


def problems(candidate: Candidate) -> tuple[str, ...]:
    """Why a machine cannot become what the topology says, every reason; none when it can."""
    found: list[str] = []
    for rule in PROBLEMS:
        try:
            found += rule(candidate)
        except ConfigError as error:
            found.append("; ".join(filter(None, (error.message, error.todo))))
    return tuple(dict.fromkeys(found))


def warnings(candidate: Candidate) -> tuple[str, ...]:
    """What works, but perhaps not as its author thinks."""
    return tuple(text for rule in WARNINGS for text in rule(candidate))


def kubernetes_version(release: Release, manifest: Manifest | None) -> str:
    """The version of Kubernetes: the release's exact one when that is known."""
    return manifest.version if manifest else f"v{release.kubernetes.removeprefix('v')}"


def operating_system(it: Candidate) -> Iterable[str]:
    """Nothing can be planned for a system that nobody knows (``configs/systems``)."""
    system_of(it.machine)
    return ()


def network_configuration(it: Candidate) -> Iterable[str]:
    """Two files that configure one interface, or one that is not there (:mod:`configs.plan.networking.tools`)."""
    return tools.problems(it.cluster, it.machine)


def fabric_mtu(it: Candidate) -> Iterator[str]:
    """What a machine sends that another one of the link does not take is lost, without a word (RFC 4861, 4.6.4)."""
    fabric = it.cluster.fabric
    if not fabric.mtu or fabric.interface not in it.machine.interfaces:
        return
    if (mtu := it.machine.interface(fabric.interface).mtu) != fabric.mtu:
        yield (
            f"{fabric.interface} has an MTU of {mtu}, and `fabric.mtu` says {fabric.mtu}: set it there, now and in the "
            "file that configures the interface, or take `fabric.mtu` out of the cluster file"
        )


def jool_versions(it: Candidate) -> Iterator[str]:
    """Jool's module answers only a command of its own version (:func:`configs.plan.jool.mismatch`)."""
    if "support" in it.node.roles and it.cluster.nat64.by == "jool" and (found := mismatch(it.machine.jool)):
        yield found


def tun_device(it: Candidate) -> Iterator[str]:
    """tayga translates in user space, between what it reads from and writes to a TUN device (tayga(8))."""
    if "support" in it.node.roles and it.cluster.nat64.by == "tayga" and "tun" in it.machine.kernel.lacking:
        yield (
            "it has no /dev/net/tun, by which tayga translates: install what its distribution packages of the kernel's "
            "modules, or give it that device if this machine is a container"
        )


def kernel_ipv6(it: Candidate) -> Iterator[str]:
    """``ipv6.disable=1`` keeps the kernel from having any IPv6 (Documentation/networking/ipv6.rst)."""
    off = ", ".join(it.machine.kernel.ipv6_off)
    if not it.machine.kernel.ipv6:
        yield f"its kernel runs without IPv6: take away {off or 'ipv6.disable=1 from its command line'}, and restart it"
    elif off:
        yield f"its kernel would run without IPv6 from the next start on: take away {off}"


def ipv6_disabled(it: Candidate) -> Iterator[str]:
    """Where ``disable_ipv6`` is 1 an interface takes no IPv6 address (:func:`configs.plan.sysctls.without_ipv6`)."""
    for key, place in sysctls.without_ipv6(it.cluster, it.machine) if it.machine.kernel.ipv6 else ():
        yield (
            f"{key} is 1, and the cluster needs IPv6 there: set it to 0 in {place or 'the file that does so, if any'}, "
            f"and now by `sysctl -w {key}=0`"
        )


def resolver_scripts(it: Candidate) -> Iterator[str]:
    """ifup-post puts the resolvers that a network script names in the place of the cluster's, at every start."""
    ours = {f"ifcfg-{each.interface}" for each in (it.cluster.fabric, it.cluster.uplink) if each}
    uses = "network-scripts" in (networking_of(it.machine), *it.machine.beside)
    for path in it.machine.resolver_scripts if it.node.in_kubernetes and uses else ():
        if path.rpartition("/")[2] not in ours:
            yield (
                f"{path} has its resolvers written into /etc/resolv.conf at every start, and every name is to be asked "
                "of the cluster's DNS64: take DNS1 and the like out of it, or write PEERDNS=no and RESOLV_MODS=no there"
            )


def names_by_user_data(it: Candidate) -> Iterator[str]:
    """What user data say of ``manage_etc_hosts`` goes before every file of cloud-init's."""
    if "user-data" in it.machine.writers:
        yield (
            "the user data of its cloud-init have /etc/hosts written anew at every start (manage_etc_hosts), without "
            "the cluster's names: take that out of them, or `touch /etc/cloud/cloud-init.disabled`"
        )


def sysctl_files(it: Candidate) -> Iterator[str]:
    """Of several files that set one key the last one counts (:func:`configs.plan.sysctls.contrary`)."""
    for line in sysctls.contrary(it.cluster, it.node, it.machine):
        yield (
            f"{line.path}:{line.number} sets {line.key} = {line.value}, and is read after {sysctls.FILE}, which needs "
            "it otherwise: take that line away"
        )


def advertised_ssh(it: Candidate) -> Iterator[str]:
    """An interface with a fixed address listens to no router (:func:`configs.plan.sysctls.static_interfaces`)."""
    uplink, here = it.cluster.uplink, it.machine.ssh_advertised
    if here in sysctls.static_interfaces(it.cluster) and not (uplink and uplink.gateway and uplink.interface == here):
        yield (
            f"SSH comes in over {here} by an address or a route that a router advertises, and the cluster gives that "
            "interface a fixed address alone: reach it over another interface, or by an address and a route of its own"
        )


def packet_filter(it: Candidate) -> Iterator[str]:
    """What its own packet filters drop of Kubernetes' "Ports and Protocols", and of what goes by the support node."""
    fabric = it.cluster.fabric
    for each in it.machine.filters:
        dropped = [str(packet) for packet in _needed(it) if packet.source.version == each.family and each.drops(packet)]
        if not dropped:
            continue
        allow = f"let everything of {fabric.interface} and {_behind(it)} pass"
        if each.name.startswith("ufw"):
            pairs = f"`ufw route allow in on {fabric.interface}`, `ufw route allow in on {_behind(it)}`"
            allow = f"`ufw allow in on {fabric.interface}`, `ufw allow in on {_behind(it)}`, {pairs}"
        if each.name == UFW_WITHOUT_IPV6:
            allow = f"write IPV6=yes into /etc/default/ufw, then {allow}"
        yield f"its packet filter, {each.name}, drops {', '.join(dropped)}: {allow}, or let these pass"


def firewalld_zones(it: Candidate) -> Iterator[str]:
    """firewalld goes back to what its packages say, and drops all else, where two zones have one interface."""
    for path, interface in it.machine.zones if it.machine.firewalld else ():
        if interface in (it.cluster.fabric.interface, _behind(it)):
            zone = path.rpartition("/")[2].removesuffix(".xml")
            yield (
                f"{path} has {interface} in it, which is to be in a zone of kubev6's that lets everything pass: take "
                f"it out by `firewall-cmd --permanent --zone={zone} --remove-interface={interface}`"
            )


def _behind(it: Candidate) -> str:
    """The interface behind the fabric: the CNI bridge, or tayga's device."""
    return "cbr0" if it.node.in_kubernetes else "nat64"


def _needed(it: Candidate) -> Iterator[Packet]:
    cluster, node, fabric, behind = it.cluster, it.node, it.cluster.fabric.interface, _behind(it)
    peers = cluster.fabric.subnet
    yield Packet("input", "icmpv6", come=fabric, source=peers)
    ports = [("tcp", 6443)] * ("control-plane" in node.roles) + [("tcp", 10250)] * node.in_kubernetes
    if cluster.endpoint and "control-plane" in node.roles:
        ports += [("tcp", 2379), ("tcp", 2380)]  # etcd's members of one another
        if cluster.endpoint.by == "keepalived":
            ports += [("vrrp", 0)]
    if "support" in node.roles:
        ports += [("tcp", cluster.registry.port)]
        ports += [("udp", 53), ("tcp", 53)] * ("DNS64" not in cluster.existing_servers)
    yield from (Packet("input", protocol, port, come=fabric, source=peers) for protocol, port in ports)
    needs = [("tcp", 6443), ("tcp", cluster.registry.port), ("udp", 53)] if node.in_kubernetes else []
    yield from (Packet("output", protocol, port, goes=fabric, source=peers) for protocol, port in needs)
    if node.in_kubernetes or cluster.nat64.by == "tayga":
        yield Packet("forward", come=fabric, goes=behind, source=peers)
        yield Packet("forward", come=behind, goes=fabric, source=node.pod_subnet or peers)
    if not node.in_kubernetes and cluster.nat64.by == "tayga":
        yield Packet("forward", come=behind, source=cluster.nat64.pool)


def processor(it: Candidate) -> Iterator[str]:
    """The releases' binaries are compiled for one kind of processor."""
    if it.node.in_kubernetes and it.machine.kernel.processor != PROCESSOR:
        yield f"its processor is {it.machine.kernel.processor}, and the release's binaries are for {PROCESSOR}"


def cgroup_version(it: Candidate) -> Iterator[str]:
    """The kubelet knows v2 since 1.19 and refuses v1 since 1.35 unless told (:mod:`configs.plan.versions`)."""
    wanted, cgroup = it.release.kubernetes, it.machine.kernel.cgroup
    if not it.node.in_kubernetes:
        return
    if cgroup == 2 and not supports_cgroup_v2(wanted):
        yield (
            f"it runs cgroup v2, and Kubernetes {wanted} knows only v1: "
            "boot it with systemd.unified_cgroup_hierarchy=0, or deploy a newer release"
        )
    if cgroup == 1 and refuses_cgroup_v1(wanted) and not takes_cgroup_v1(it.cluster):
        yield (
            f"it runs cgroup v1, which Kubernetes {wanted} refuses: boot it with systemd.unified_cgroup_hierarchy=1, "
            "write `cgroup_v1: true` into the cluster's file to have kubelets run there all the same, or deploy a "
            "release before 1.35"
        )


def kernel_modules(it: Candidate) -> Iterator[str]:
    """Modules that kubeadm and the container runtimes ask for (Kubernetes' "Container Runtimes": prerequisites)."""
    for module, why in WITHOUT_MODULE.items():
        if it.node.in_kubernetes and module in it.machine.kernel.lacking:
            yield (
                f"its kernel has no module {module}, {why}: install what its distribution packages of the kernel's "
                "modules, or load it on the host if this machine is a container"
            )


def kube_proxy_mode(it: Candidate) -> Iterator[str]:
    """What kube-proxy's mode wants of the kernel (:func:`kernel_runs_nftables_proxy`; its modules for IPVS)."""
    mode, kernel = it.cluster.kube_proxy.mode, it.machine.kernel
    if not it.node.in_kubernetes:
        return
    if mode == "nftables" and not kernel_runs_nftables_proxy(kernel.release):
        yield (
            f"its kernel is {kernel.release}, and kube-proxy's mode nftables wants 5.13 or newer: give it a newer one, "
            "or write `kube_proxy: {mode: iptables}` into the cluster's file"
        )
    if mode == "ipvs" and (lacking := [module for module in IPVS if module in kernel.lacking]):
        yield (
            f"its kernel has no module {' and no '.join(lacking)}, by which kube-proxy's mode ipvs works: install what "
            "its distribution packages of the kernel's modules, or write `kube_proxy: {mode: iptables}` into the "
            "cluster's file"
        )


def ipvs_to_replace(it: Candidate) -> Iterator[str]:
    """A mode that Kubernetes will do without is warned of (:func:`configs.plan.versions.ipvs_is_to_go`)."""
    if "control-plane" in it.node.roles and it.cluster.kube_proxy.mode == "ipvs" and versions.ipvs_is_to_go(it.version):
        yield f"kube-proxy's mode ipvs is deprecated in Kubernetes {it.version}: nftables is to take its place"


def even_control_planes(it: Candidate) -> Iterator[str]:
    """An even number of etcd's members bears no more losses than one less (etcd's FAQ, "Why an odd number")."""
    number = len(it.cluster.control_planes)
    if it.node == it.cluster.control_plane and number % 2 == 0:
        yield (
            f"{number} control planes bear the loss of {(number - 1) // 2}, as {number - 1} would, and any of {number} "
            "may be lost: an odd number is wanted"
        )


def swap_on_zram(it: Candidate) -> Iterator[str]:
    """The kubelet refuses to run with swap (``failSwapOn``), and no line of fstab(5) makes a zram device."""
    zram = [device for device in it.machine.kernel.swaps if "/zram" in device]
    if it.node.in_kubernetes and it.cluster.lab is None and zram:
        yield (
            f"its swap on {', '.join(zram)} comes back at every start, and the kubelet refuses to run with it: "
            "remove zram-generator or zram-tools there"
        )


def memory(it: Candidate) -> Iterator[str]:
    """kubeadm's own check of a control plane (:data:`CONTROL_PLANE_MEMORY`)."""
    if "control-plane" in it.node.roles and it.machine.kernel.memory < CONTROL_PLANE_MEMORY:
        has, needs = it.machine.kernel.memory >> 20, CONTROL_PLANE_MEMORY >> 20
        yield f"it has {has} MB of memory, and a control plane needs {needs} MB"


def runtime_in_use(it: Candidate) -> Iterator[str]:
    """What the kubelet of a member speaks to cannot be changed under its pods."""
    there = it.machine.runtime_in_use
    if it.node.in_kubernetes and there and there != it.runtime:
        yield (
            f"it is a node of a cluster whose containers {there} runs, not {it.runtime}: "
            "write that as `runtime` into the cluster's file, or take it out of the cluster first (kubev6 reset)"
        )


def containerd_version(it: Candidate) -> Iterator[str]:
    """Kubelet and containerd speak versions of the CRI that came and went (:func:`containerd_versions`)."""
    if not it.node.in_kubernetes or not (has := it.runtime_version) or it.runtime != "containerd":
        return
    least, before = containerd_versions(it.version)
    if not _reaches(has, least):
        other = ", or write `runtime: docker` into the cluster's file" * ("docker" in container_runtimes(it.version))
        yield (
            f"its containerd is {has}, and Kubernetes {it.version} works here with {least} and newer: upgrade it{other}"
        )
    elif before and _reaches(has, before):
        docker = "write `runtime: docker` into the cluster's file, or choose a newer release"
        yield f"its containerd is {has}, and Kubernetes {it.version} wants one before {before}: {docker}"


def containerd_to_replace(it: Candidate) -> Iterator[str]:
    """A containerd that the next versions of Kubernetes do without is warned of (:func:`containerd_to_come`)."""
    to_come, least = containerd_to_come(it.version)
    has = it.runtime_version if it.node.in_kubernetes and it.runtime == "containerd" else ""
    if least and has and not _reaches(has, least):
        yield f"its containerd is {has}, and Kubernetes {to_come} will want {least} or newer: upgrade it before that"


def newer_than_rules(it: Candidate) -> Iterator[str]:
    """What a version wants that nobody here knows of cannot be known; that of the newest is taken for it."""
    if "control-plane" in it.node.roles and (said := versions.newer_than_rules(it.version)):
        yield said


def etcd_version(it: Candidate) -> Iterable[str]:
    """kubeadm cannot run every etcd (:func:`configs.plan.versions.oldest_etcd`)."""
    return filter(None, [etcd_problem(it.release, it.manifest)] if "control-plane" in it.node.roles else [])


def docker_and_cni_plugins(it: Candidate) -> Iterator[str]:
    """Docker hides IPv6 since 17.06 from what the CNI plugins show since 0.7.0 (:mod:`configs.plan.versions`)."""
    if not it.node.in_kubernetes or not (has := it.runtime_version) or it.runtime != "docker":
        return
    cni = own_cni_version(it.cluster, it.release, it.manifest)
    if cni and docker_hides_ipv6(has) and not cni_shows_ipv6(cni):
        yield (
            f"its Docker is {has} and the release's CNI plugins are {cni}: pods would get no IPv6 address "
            '("permission denied"), because from 17.06 on Docker switches IPv6 off and only from 0.7.0 on the plugins '
            "switch it on again: write `cni: {plugins: system}` into the cluster's file to take the distribution's "
            "plugins, or where it has none deploy a copy of the release's file with newer ones under `cni:`"
        )


def other_cni(it: Candidate) -> Iterator[str]:
    """Pods keep the network that they were started with, so a node's CNI is not changed under them."""
    by, seen = it.cluster.cni.by, it.machine.membership
    if not it.node.in_kubernetes or not seen.is_node or not seen.cni or (BRIDGE in seen.cni) == (by == "bridge"):
        return
    has = "the bridge of kubev6" if BRIDGE in seen.cni else f"another CNI ({', '.join(seen.cni)})"
    yield (
        f"its pods are connected by {has}, and cni.by is {by} in the cluster's file: take that back, or `kubev6 reset` "
        "the cluster first"
    )


def translation_doubts(it: Candidate) -> Iterable[str]:
    """What DNS64 may forward to and NAT64 must not carry (:func:`configs.plan.translation.warnings`)."""
    return translation.warnings(it.cluster, it.machine.resolvers) if "support" in it.node.roles else ()


def somebody_to_ask(it: Candidate) -> Iterator[str]:
    """Without forwarders our DNS64 asks the servers of the root zone, which many sites let nobody reach."""
    dns64 = it.cluster.dns64
    if "support" not in it.node.roles or dns64.by == "existing" or dns64.forwarders or not it.machine.interfaces:
        return
    if all(translation.asks_itself(it.cluster, resolver) for resolver in it.machine.resolvers):
        yield (
            "its resolv.conf names no resolver that DNS64 could ask (a link-local one needs its interface, such as "
            "fe80::1%eth0): name some as dns64.forwarders in the cluster file"
        )


def iptables_of_kube_proxy(it: Candidate) -> Iterator[str]:
    """A published kube-proxy before 1.17 brings the legacy iptables (:func:`kube_proxy_finds_iptables`)."""
    published = it.manifest.source.kind == "fetched" if it.manifest else it.release.build is None
    if not it.node.in_kubernetes or not published or it.machine.iptables != "nft":
        return
    if not kube_proxy_finds_iptables(it.version):
        yield (
            f"its iptables keeps rules in nftables, and kube-proxy of {it.version} in the older tables, where neither "
            "sees the other's: `update-alternatives --set ip6tables /usr/sbin/ip6tables-legacy` if Services do not work"
        )


def other_cluster(it: Candidate) -> Iterable[str]:
    """A machine of another cluster is left to that one (:func:`tasks.node.membership.other_cluster`)."""
    return membership.other_cluster(it.cluster, it.machine)


def other_role(it: Candidate) -> Iterable[str]:
    """A member's role is not changed in place (:func:`tasks.node.membership.other_role`)."""
    return membership.other_role(it.cluster, it.node, it.machine.membership)


def other_networks(it: Candidate) -> Iterable[str]:
    """A member's addresses and subnets are not changed in place (:func:`tasks.node.membership.other_networks`)."""
    return membership.other_networks(it.cluster, it.node, it.machine.membership)


def other_minor(it: Candidate) -> Iterator[str]:
    """Another minor version is known not to go before the release is made; another build of one is seen then."""
    there, wanted = it.machine.membership.tag, it.version
    if there and (why := upgrade.other_minor(there, wanted)):
        yield (
            f"its control plane runs {there}, and the release to deploy is {wanted}, but {why}: deploy a release of "
            "the minor version that it runs or of the next one, or `kubev6 reset` the cluster first"
        )


PROBLEMS: tuple[Rule, ...] = (
    other_cluster,
    other_role,
    other_networks,
    other_minor,
    operating_system,
    network_configuration,
    fabric_mtu,
    jool_versions,
    tun_device,
    kernel_ipv6,
    ipv6_disabled,
    sysctl_files,
    resolver_scripts,
    names_by_user_data,
    advertised_ssh,
    packet_filter,
    firewalld_zones,
    processor,
    cgroup_version,
    kernel_modules,
    kube_proxy_mode,
    swap_on_zram,
    memory,
    runtime_in_use,
    containerd_version,
    etcd_version,
    docker_and_cni_plugins,
    other_cni,
)
WARNINGS: tuple[Rule, ...] = (
    translation_doubts,
    somebody_to_ask,
    iptables_of_kube_proxy,
    containerd_to_replace,
    ipvs_to_replace,
    even_control_planes,
    newer_than_rules,
)


def _reaches(version: str, other: str) -> bool:
    return numbers(version) >= numbers(other)
