"""Cluster + release -> what each node must look like.

Everything that follows from the topology is derived here, once: pod subnets, static routes, the content of every
file. Pure: no machine is asked, so the same arguments always give the same states.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import Any

from configs import versions
from configs.manifest import BINARY_REPOSITORY, NODE_BINARIES, Manifest
from configs.render import render
from configs.schema import Cluster, Node, Release
from configs.state import Address, Binary, File, NodeState, Route, Service, StageState, Sysctl

CNI_BIN_DIR = "/usr/lib/cni"
"""Where Debian's containernetworking-plugins puts bridge, host-local and loopback."""

KUBEADM_CONFIG = "/etc/kubernetes/kubev6-kubeadm.yaml"


def plan(
    cluster: Cluster, release: Release, manifest: Manifest | None = None, *, resolvers: Sequence[str] = ()
) -> dict[str, NodeState]:
    """What each node of ``cluster`` must look like.

    Args:
        cluster: The topology.
        release: The release's configuration.
        manifest: What the release holds; without it the states lack digests and the exact version.
        resolvers: Resolvers of the support node's own, used as DNS64's forwarders when the topology names none.

    Returns:
        The state of every node, by name, in the order of the topology.
    """
    facts = _facts(cluster, release, manifest, resolvers)
    return {node.name: NodeState(node.name, _stages(node, facts)) for node in cluster.nodes}


def plan_node(
    cluster: Cluster, release: Release, manifest: Manifest | None, name: str, *, resolvers: Sequence[str] = ()
) -> NodeState:
    """What the node called ``name`` must look like: :func:`plan` for it alone.

    With a hundred nodes, each of which asks for its own state, planning all of them every time takes ten seconds.

    Raises:
        ConfigError: There is no such node.
    """
    node = cluster.node(name)
    return NodeState(name, _stages(node, _facts(cluster, release, manifest, resolvers)))


def routes(cluster: Cluster, node: Node, version: str) -> tuple[Route, ...]:
    """The static routes of a node, as in the how-to's table for its role.

    The support node routes the pod subnets back; every node of Kubernetes routes the NAT64 prefix to the support
    node, the other nodes' pod subnets to these nodes, and the Service subnet: a packet of the node itself is routed
    before its destination becomes a pod's, so without that route (or a default route) no ClusterIP can be reached.

    Args:
        cluster: The topology.
        node: The node whose routes are wanted.
        version: The version of Kubernetes; the 1.9 pre-releases also want a default route on the fabric.
    """
    interface = cluster.fabric.interface
    support = str(cluster.support.address)
    found: list[Route] = []
    if node.in_kubernetes:
        found.append(Route(str(cluster.nat64.prefix), support, interface))
    found += [
        Route(str(other.pod_subnet), str(other.address), interface)
        for other in cluster.kubernetes_nodes
        if other.pod_subnet and other.name != node.name
    ]
    if node.in_kubernetes:
        # On the control plane itself there is nobody to send it to; on-link is enough for the lookup.
        via = "" if node.name == cluster.control_plane.name else str(cluster.control_plane.address)
        found.append(Route(str(cluster.services.subnet), via, interface))
        if not versions.takes_ipv6_node_ip(version):
            found.append(Route("::/0", support, interface))
    return tuple(found)


def registry_name(cluster: Cluster) -> str:
    """The registry's name in image references: a host name, since these cannot hold an IPv6 address."""
    return f"{cluster.support.name}:{cluster.registry.port}"


def cgroup_driver(cluster: Cluster) -> str:
    """``cgroupfs`` in a lab, whose nodes share the host's cgroups with other managers; else ``systemd``."""
    return "cgroupfs" if cluster.lab else "systemd"


def cri_socket(release: Release) -> str:
    """Path of the container runtime's socket."""
    return "/run/containerd/containerd.sock" if release.runtime == "containerd" else "/var/run/dockershim.sock"


def join_config(cluster: Cluster, release: Release, version: str, node: Node, token: str, ca_hash: str) -> str:
    """The document for ``kubeadm join``.

    Args:
        cluster: The topology.
        release: The release's configuration.
        version: The version of Kubernetes.
        node: The node that joins.
        token: A bootstrap token; the document is as secret as it is.
        ca_hash: ``sha256:...`` of the cluster's certificate authority.
    """
    return render(
        "kubeadm-join.yaml",
        api=versions.kubeadm_api(version),
        cluster=cluster,
        node=node,
        token=token,
        ca_hash=ca_hash,
        cri_socket=cri_socket(release),
    )


def cluster_dns_manifest(cluster: Cluster, version: str, image: str) -> str:
    """The Kubernetes objects of the cluster DNS stand-in.

    Args:
        cluster: The topology.
        version: The version of Kubernetes.
        image: The stand-in's image reference.
    """
    address = versions.cluster_dns_address(cluster.services.subnet, version)
    return render("cluster-dns.yaml", cluster=cluster, cluster_dns=address, image=image)


def image_reference(cluster: Cluster, manifest: Manifest, name: str) -> str:
    """The reference under which nodes pull an image of the release, by digest."""
    return f"{registry_name(cluster)}/{name}@{manifest.image(name).digest}"


def _facts(cluster: Cluster, release: Release, manifest: Manifest | None, resolvers: Sequence[str]) -> dict[str, Any]:
    """Everything the templates speak of, derived once."""
    version = manifest.version if manifest else f"v{release.kubernetes.removeprefix('v')}"
    registry = registry_name(cluster)
    v1alpha1 = versions.kubeadm_api(version) == "v1alpha1"
    pool = cluster.nat64.pool
    tags = {image.name: image.tag for image in manifest.images} if manifest else {}
    return {
        "cluster": cluster,
        "release": release,
        "manifest": manifest,
        "version": version,
        "api": versions.kubeadm_api(version),
        "v1alpha1": v1alpha1,
        "node_ip": versions.takes_ipv6_node_ip(version),
        "cluster_dns": versions.cluster_dns_address(cluster.services.subnet, version),
        "registry": registry,
        "pause_image": _reference(
            registry, versions.image_name("pause", version), tags, "3.0" if v1alpha1 else "latest"
        ),
        "etcd_image": f"etcd-amd64:{tags.get('etcd-amd64', '3.0.17')}",
        "etcd_tag": tags.get("etcd", ""),
        "coredns_tag": tags.get("coredns", ""),
        "cri_socket": cri_socket(release),
        "cni_bin_dir": CNI_BIN_DIR,
        "cgroup_driver": cgroup_driver(cluster),
        "runtime_unit": f"{release.runtime}.service",
        "tayga_ipv4": pool.network_address + 1,
        # tayga needs an IPv6 address of its own outside its prefix when that may not embed its (private) IPv4 one.
        "tayga_ipv6": IPv6Address(int(cluster.fabric.subnet.network_address) | 0x64_0064),
        "forwarders": cluster.dns64.forwarders or tuple(resolvers),
        "pod_subnets": [node.pod_subnet for node in cluster.kubernetes_nodes if node.pod_subnet],
    }


def _reference(registry: str, name: str, tags: dict[str, str], default: str) -> str:
    return f"{registry}/{name}:{tags.get(name, default)}"


def _stages(node: Node, facts: dict[str, Any]) -> tuple[StageState, ...]:
    stages = [_network(node, facts)]
    if "support" in node.roles:
        stages.append(_support(facts))
    if node.in_kubernetes:
        stages += [_runtime(node, facts), _kubernetes(node, facts)]
    return tuple(stages)


def _network(node: Node, facts: dict[str, Any]) -> StageState:
    cluster: Cluster = facts["cluster"]
    interface = cluster.fabric.interface
    node_routes = routes(cluster, node, facts["version"])
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
    script = "/usr/local/sbin/kubev6-ipv6-only"
    files = [
        File(network_file, render("fabric.network", cluster=cluster, node=node, routes=node_routes)),
        File("/etc/hosts", render("hosts", cluster=cluster), block=True),
        File("/etc/sysctl.d/90-kubev6.conf", render("sysctl.conf", sysctls=sysctls)),
    ]
    services = [Service("systemd-networkd.service", restart_on=(network_file,))]
    if node.in_kubernetes or cluster.lab:
        files += [
            File(script, render("ipv6-only.sh", cluster=cluster, node=node), mode=0o755),
            File("/etc/systemd/system/kubev6-ipv6-only.service", render("ipv6-only.service")),
        ]
        services.append(Service("kubev6-ipv6-only.service", restart_on=(script,)))
    if node.in_kubernetes:
        files += [
            File("/etc/modules-load.d/kubev6.conf", render("modules.conf", modules=modules)),
            File("/etc/resolv.conf", render("resolv.conf", cluster=cluster)),
            File("/etc/dhcp/dhclient-enter-hooks.d/kubev6", render("dhclient-hook")),
        ]
    return StageState(
        name="network",
        packages=("iproute2",),
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


def _support(facts: dict[str, Any]) -> StageState:
    values = {key: facts[key] for key in ("cluster", "tayga_ipv4", "tayga_ipv6", "forwarders", "pod_subnets")}
    files = (
        File("/etc/kubev6/tayga.conf", render("tayga.conf", **values)),
        File("/etc/systemd/system/kubev6-nat64.service", render("nat64.service", **values)),
        File("/etc/bind/named.conf.options", render("named.conf.options", **values)),
        File("/etc/docker/registry/config.yml", render("registry.yml", **values)),
        File(
            "/etc/systemd/system/docker-registry.service.d/20-kubev6.conf", render("registry.service-dropin", **values)
        ),
    )
    tayga, nat64_unit, named, registry, registry_unit = (file.path for file in files)
    return StageState(
        name="support",
        packages=("tayga", "bind9", "docker-registry", "iptables"),
        files=files,
        services=(
            Service("kubev6-nat64.service", restart_on=(tayga, nat64_unit)),
            Service("named.service", restart_on=(named,)),
            Service("docker-registry.service", restart_on=(registry, registry_unit)),
        ),
    )


def _runtime(node: Node, facts: dict[str, Any]) -> StageState:
    release: Release = facts["release"]
    cni = File("/etc/cni/net.d/10-bridge-v6.conf", render("cni-bridge.conf", node=node, cluster=facts["cluster"]))
    packages = ("iptables", "conntrack", "ethtool", "socat", "ebtables", "containernetworking-plugins")
    if release.runtime == "docker":
        daemon = File(
            "/etc/docker/daemon.json", render("docker-daemon.json", **_only(facts, "registry", "cgroup_driver"))
        )
        return StageState(
            name="runtime",
            packages=(*packages, "docker.io"),
            files=(daemon, cni),
            services=(Service("docker.service", restart_on=(daemon.path,)),),
        )
    values = _only(facts, "cluster", "pause_image", "cni_bin_dir", "cgroup_driver")
    files = [
        File("/etc/containerd/config.toml", render("containerd.toml", **values)),
        File(
            f"/etc/containerd/certs.d/{facts['registry']}/hosts.toml",
            render("registry-hosts.toml", registry=facts["registry"]),
        ),
    ]
    if facts["cluster"].lab:
        files.append(
            File("/etc/systemd/system/containerd.service.d/20-kubev6.conf", render("containerd.service-dropin"))
        )
    return StageState(
        name="runtime",
        packages=(*packages, "containerd"),
        files=(*files, cni),
        services=(Service("containerd.service", restart_on=tuple(file.path for file in files)),),
    )


def _kubernetes(node: Node, facts: dict[str, Any]) -> StageState:
    manifest: Manifest | None = facts["manifest"]
    blobs = f"http://{facts['registry']}/v2/{BINARY_REPOSITORY}/blobs"
    binaries = tuple(
        Binary(f"/usr/bin/{entry.name}", entry.sha256, entry.size, f"{blobs}/sha256:{entry.sha256}")
        for entry in (manifest.binaries if manifest else ())
        if entry.name in NODE_BINARIES
    )
    kubelet = _only(
        facts, "v1alpha1", "cni_bin_dir", "cgroup_driver", "cluster_dns", "pause_image", "node_ip", "cluster"
    )
    unit = render("kubelet.service", **_only(facts, "runtime_unit", "v1alpha1"))
    files = [
        File("/etc/systemd/system/kubelet.service", unit),
        File("/etc/systemd/system/kubelet.service.d/10-kubeadm.conf", render("kubelet-kubeadm.conf", **kubelet)),
        File(
            "/etc/systemd/system/kubelet.service.d/20-kubev6.conf", render("kubelet-kubev6.conf", node=node, **kubelet)
        ),
    ]
    restart_on = (*(file.path for file in files), "/usr/bin/kubelet")
    if "control-plane" in node.roles:
        files.append(File(KUBEADM_CONFIG, _kubeadm_config(node, facts)))
    return StageState(
        name="kubernetes",
        files=tuple(files),
        binaries=binaries,
        services=(Service("kubelet.service", restart_on=restart_on),),
    )


def _kubeadm_config(node: Node, facts: dict[str, Any]) -> str:
    if facts["v1alpha1"]:
        values = _only(facts, "cluster", "registry", "etcd_image", "version")
        return render("kubeadm-v1alpha1.yaml", node=node, **values)
    values = _only(
        facts, "cluster", "api", "version", "registry", "etcd_tag", "coredns_tag", "cri_socket", "cgroup_driver"
    )
    return render("kubeadm.yaml", node=node, **values)


def _only(facts: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: facts[name] for name in names}
