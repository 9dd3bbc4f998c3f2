"""What follows from a cluster and a release for every stage, derived once."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

from configs import versions
from configs.manifest import Manifest
from configs.render import render
from configs.schema import Cluster, Release
from configs.systems import Machine, System, system_of


@dataclass(frozen=True)
class Derived:
    """Everything that the stages of a node speak of.

    Attributes:
        cluster: The topology.
        release: How the release wants to be configured.
        manifest: What the release holds; None when that is not known yet.
        machine: What the machine says of itself.
        system: Names of packages, units and paths there.
        version: The full version of Kubernetes, with its ``v``.
        api: kubeadm's configuration API.
        node_ip: Whether the kubelet takes an IPv6 ``--node-ip``.
        cluster_dns: Service address of cluster DNS.
        registry: The registry's name in image references.
        cgroup_driver: ``cgroupfs`` or ``systemd``.
        cri_socket: Path of the container runtime's socket.
        tags: Tag of each image of the release, by name.
    """

    cluster: Cluster
    release: Release
    manifest: Manifest | None
    machine: Machine
    system: System
    version: str
    api: str
    node_ip: bool
    cluster_dns: IPv6Address
    registry: str
    cgroup_driver: str
    cri_socket: str
    tags: dict[str, str]

    @property
    def v1alpha1(self) -> bool:
        """Whether kubeadm is of the age of the how-to's release."""
        return self.api == "v1alpha1"

    @property
    def pause_image(self) -> str:
        """Reference of the image that holds a pod's network."""
        name = versions.image_name("pause", self.version)
        return f"{self.registry}/{name}:{self.tags.get(name, '3.0' if self.v1alpha1 else 'latest')}"

    def render(self, template: str, **more: object) -> str:
        """The text of one file: a template that knows everything here, and ``more``."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return render(template, **{**values, "v1alpha1": self.v1alpha1, "pause_image": self.pause_image, **more})


def derive(cluster: Cluster, release: Release, manifest: Manifest | None, machine: Machine) -> Derived:
    """Derive what the stages of a machine speak of.

    Raises:
        ConfigError: Nobody knows the machine's operating system.
    """
    version = manifest.version if manifest else f"v{release.kubernetes.removeprefix('v')}"
    return Derived(
        cluster=cluster,
        release=release,
        manifest=manifest,
        machine=machine,
        system=system_of(machine),
        version=version,
        api=versions.kubeadm_api(version),
        node_ip=versions.takes_ipv6_node_ip(version),
        cluster_dns=versions.cluster_dns_address(cluster.services.subnet, version),
        registry=registry_name(cluster),
        cgroup_driver=cgroup_driver(cluster),
        cri_socket=cri_socket(release),
        tags={image.name: image.tag for image in manifest.images} if manifest else {},
    )


def registry_name(cluster: Cluster) -> str:
    """The registry's name in image references: a host name, since these cannot hold an IPv6 address."""
    return f"{cluster.support.name}:{cluster.registry.port}"


def cgroup_driver(cluster: Cluster) -> str:
    """``cgroupfs`` in a lab, whose nodes share the host's cgroups with other managers; else ``systemd``."""
    return "cgroupfs" if cluster.lab else "systemd"


def cri_socket(release: Release) -> str:
    """Path of the container runtime's socket."""
    return "/run/containerd/containerd.sock" if release.runtime == "containerd" else "/var/run/dockershim.sock"
