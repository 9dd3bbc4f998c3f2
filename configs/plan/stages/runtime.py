"""The runtime stage: the container runtime and the CNI bridge."""

from __future__ import annotations

from configs.plan import versions
from configs.plan.derived import CNI_BIN_DIR, Derived
from configs.plan.interfaces import ETHERNET_MTU
from configs.plan.state import File, Reload, Service, StageState
from configs.schema.cluster import Node

CNI_DIRECTORY = "/etc/cni/net.d"
BRIDGE = "10-bridge-v6.conflist"
"""The file there that configures the bridge."""
CNI_LINKS = "/etc/tmpfiles.d/kubev6-cni.conf"
"""Links to plugins where a CNI puts its own (tmpfiles.d(5)): not in place of what is there."""
PACKAGED_PLUGINS = ("bandwidth", "bridge", "firewall", "host-local", "loopback", "portmap", "ptp", "tuning")
"""Those of the system's package that a CNI may count on."""


def runtime(derived: Derived, node: Node) -> StageState:
    """The runtime stage of a node of Kubernetes."""
    system = derived.system
    files = _docker(derived) if derived.runtime == "docker" else _containerd(derived)
    bridged = derived.cluster.cni.by == "bridge"
    cni = _bridge(derived, node) if bridged else _links(derived)
    packages = ["iptables", "conntrack", "ethtool", "socat", "ebtables"]
    if derived.cluster.kube_proxy.mode == "nftables":
        packages.append("nftables")  # by which a reset takes kube-proxy's tables away
    if not derived.own_cni:
        packages.append("cni")
    return StageState(
        name="runtime",
        packages=system.packages_of(*packages, derived.runtime),
        files=(*files, *cni),
        # The first by name is the one that counts.
        only_files_in=(CNI_DIRECTORY,) if bridged else (),
        shared_directories=() if bridged else (CNI_DIRECTORY, CNI_BIN_DIR),
        reloads=() if bridged else tuple(_linked(file) for file in cni),
        services=(Service(system.units[derived.runtime], restart_on=tuple(file.path for file in files)),),
    )


def _bridge(derived: Derived, node: Node) -> tuple[File, ...]:
    """The configuration of the bridge that pods are plugged into; they send no larger packets than the fabric takes."""
    fabric = derived.cluster.fabric
    mtu = fabric.mtu or derived.machine.interface(fabric.interface).mtu
    text = derived.render("cni-bridge.conflist", node=node, mtu=0 if mtu == ETHERNET_MTU else mtu)
    return (File(f"{CNI_DIRECTORY}/{BRIDGE}", text),)


def _links(derived: Derived) -> tuple[File, ...]:
    """The plugins of the system's package where somebody else's CNI looks for them."""
    if not derived.links_cni_plugins:
        return ()
    packaged = derived.system.paths["cni"]
    text = derived.render("cni-plugins.tmpfiles", own=CNI_BIN_DIR, packaged=packaged, plugins=PACKAGED_PLUGINS)
    return (File(CNI_LINKS, text),)


def _linked(file: File) -> Reload:
    return Reload(("systemd-tmpfiles", "--create", file.path), when=(file.path,))


def _containerd(derived: Derived) -> tuple[File, ...]:
    """What configures containerd."""
    settings = derived.render(
        "containerd.toml",
        configuration=versions.containerd_configuration(derived.containerd),
        lists_directories=versions.containerd_lists_cni_directories(derived.containerd),
    )
    hosts = f"/etc/containerd/certs.d/{derived.registry}/hosts.toml"
    return (
        File("/etc/containerd/config.toml", settings),
        File(hosts, derived.render("registry-hosts.toml")),
        *_unconfined(derived, "containerd"),
    )


def _docker(derived: Derived) -> tuple[File, ...]:
    """What configures Docker, and the containerd below it.

    Docker keeps its hands off the network: the pods' is the CNI bridge's business, and with rules of its own it would
    also set the policy of forwarding to DROP. What is an option on its command line may not stand in its file too, so
    where the system's package has options of its own there, it keeps them.
    """
    return (
        File("/etc/docker/daemon.json", derived.render("docker-daemon.json")),
        *_unconfined(derived, "containerd", "docker"),
    )


def _unconfined(derived: Derived, *runtimes: str) -> tuple[File, ...]:
    """Drop-ins for a lab, whose machines may not give a unit what they have not themselves."""
    if derived.cluster.lab is None:
        return ()
    text = derived.render("runtime.service-dropin")
    units = (derived.system.units[name] for name in runtimes)
    return tuple(File(f"/etc/systemd/system/{unit}.d/20-kubev6.conf", text) for unit in units)
