"""The runtime stage: the container runtime and the CNI bridge."""

from __future__ import annotations

from configs.derived import Derived
from configs.schema import Node
from configs.state import File, Service, StageState


def runtime(derived: Derived, node: Node) -> StageState:
    """The runtime stage of a node of Kubernetes."""
    system = derived.system
    cni = File("/etc/cni/net.d/10-bridge-v6.conf", derived.render("cni-bridge.conf", node=node))
    packages = system.packages_of("iptables", "conntrack", "ethtool", "socat", "ebtables", "cni")
    if derived.release.runtime == "docker":
        daemon = File("/etc/docker/daemon.json", derived.render("docker-daemon.json"))
        return StageState(
            name="runtime",
            packages=(*packages, *system.packages_of("docker")),
            files=(daemon, cni),
            services=(Service(system.units["docker"], restart_on=(daemon.path,)),),
        )
    hosts = f"/etc/containerd/certs.d/{derived.registry}/hosts.toml"
    files = [
        File("/etc/containerd/config.toml", derived.render("containerd.toml", cni_bin_dir=system.paths["cni"])),
        File(hosts, derived.render("registry-hosts.toml")),
    ]
    if derived.cluster.lab:
        dropin = f"/etc/systemd/system/{system.units['containerd']}.d/20-kubev6.conf"
        files.append(File(dropin, derived.render("containerd.service-dropin")))
    return StageState(
        name="runtime",
        packages=(*packages, *system.packages_of("containerd")),
        files=(*files, cni),
        services=(Service(system.units["containerd"], restart_on=tuple(file.path for file in files)),),
    )
