"""What follows from a cluster and a release for every stage, derived once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv6Address, IPv6Network

from configs.errors import ConfigError
from configs.manifest import Manifest, name_of
from configs.plan import versions
from configs.plan.state import Certificate
from configs.plan.systems import Machine, System, runtime_version, system_of
from configs.plan.versions import Runtime
from configs.render import render
from configs.schema.cluster import Cluster
from configs.schema.release import Release

CNI_BIN_DIR = "/opt/cni/bin"
"""Where a release's own CNI plugins go, as in the how-to."""
REGISTRY_CERTIFICATE = "/etc/kubev6/registry.pem"
"""On the support node: what the registry shows, and its key."""
NOT_MADE_YET = "# The certificate of the registry, which the support node makes.\n"
"""What stands on a node in a plan that is made before it."""


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
        runtime: What runs the containers.
        api: kubeadm's configuration API.
        node_ip: Whether the kubelet takes an IPv6 ``--node-ip``.
        cluster_dns: Service address of cluster DNS.
        registry: The registry's name in image references.
        cgroup_driver: ``cgroupfs`` or ``systemd``.
        cri_socket: The container runtime's socket, as kubeadm wants it written.
        containerd: Version of containerd there, such as ``1.6``; empty where it is not known.
        own_cni: Whether the CNI plugins are the release's own.
        image_repository: Where kubeadm takes its images from.
        registry_certificate: What the registry has to show, as PEM.
        images: Reference of each image of the release, by name.
    """

    cluster: Cluster
    release: Release
    manifest: Manifest | None
    machine: Machine
    system: System
    version: str
    runtime: Runtime
    api: str
    node_ip: bool
    cluster_dns: IPv6Address
    registry: str
    cgroup_driver: str
    cri_socket: str
    containerd: str
    own_cni: bool
    image_repository: str
    images: dict[str, str]
    registry_certificate: str

    @property
    def v1alpha1(self) -> bool:
        """Whether kubeadm is of the age of the how-to's release."""
        return self.api == "v1alpha1"

    @property
    def links_cni_plugins(self) -> bool:
        """Whether the system's CNI plugins are linked to where a CNI of one's own puts its, as one directory counts."""
        several = self.runtime == "containerd" and versions.containerd_lists_cni_directories(self.containerd)
        return self.cluster.cni.by != "bridge" and not self.own_cni and not several

    @property
    def cni_bin_dirs(self) -> tuple[str, ...]:
        """Directories of the CNI plugins: the usual one for the release's and a CNI's own, and that of the system's."""
        packaged = self.system.paths["cni"]
        if self.own_cni or self.links_cni_plugins:
            return (CNI_BIN_DIR,)
        return (packaged,) if self.cluster.cni.by == "bridge" else (CNI_BIN_DIR, packaged)

    @property
    def registry_certificate_path(self) -> str:
        """Where the container runtime looks for what its registry has to show."""
        return certificate_path(self.runtime, self.registry)

    @property
    def pause_image(self) -> str:
        """Reference of the image that holds a pod's network."""
        name = versions.image_name("pause", self.version)
        return self.images.get(name, f"{self.registry}/{name}:{'3.0' if self.v1alpha1 else 'latest'}")

    @property
    def etcd_image(self) -> str:
        """Reference of etcd's image, which kubeadm of the how-to's age wants whole."""
        return self.images.get("etcd-amd64", f"{self.registry}/etcd-amd64:3.0.17")

    def image_tag(self, name: str) -> str:
        """The tag of one of the release's images; empty when it has none of that name."""
        return self.images.get(name, "").rpartition(":")[2]

    @cached_property
    def _values(self) -> dict[str, object]:
        """What every template knows."""
        properties = ("v1alpha1", "cni_bin_dirs", "registry_certificate_path", "pause_image", "etcd_image")
        return {name: getattr(self, name) for name in (*self.__dataclass_fields__, *properties)}

    def render(self, template: str, **more: object) -> str:
        """The text of one file: a template that knows everything here, and ``more``."""
        return render(template, **{**self._values, **more})


def derive(
    cluster: Cluster, release: Release, manifest: Manifest | None, machine: Machine, certificate: str = ""
) -> Derived:
    """Derive what the stages of a machine speak of.

    Raises:
        ConfigError: Nobody knows the machine's operating system; or this Kubernetes does not work with the container
            runtime, has no such mode of kube-proxy, its kubeadm is of an age that nobody speaks to here or has no
            address for cluster DNS in the Service subnet, or its images are not to be had upstream.
    """
    version = manifest.version if manifest else f"v{release.kubernetes.removeprefix('v')}"
    runtime = container_runtime(cluster, release, version)
    refuse_kube_proxy_mode(cluster, version)
    refuse_endpoint(cluster, version)
    return Derived(
        cluster=cluster,
        release=release,
        manifest=manifest,
        machine=machine,
        system=system_of(machine),
        version=version,
        runtime=runtime,
        api=kubeadm_api(version),
        node_ip=versions.takes_ipv6_node_ip(version),
        cluster_dns=cluster_dns_address(cluster, version),
        registry=registry_name(cluster),
        cgroup_driver=cgroup_driver(cluster),
        cri_socket=versions.cri_endpoint(runtime_socket(runtime), version),
        containerd=containerd_version(machine, runtime),
        own_cni=bool(own_cni_version(cluster, release, manifest)),
        image_repository=image_repository(cluster, release, manifest),
        images=image_references(cluster, release, manifest),
        registry_certificate=certificate or NOT_MADE_YET,
    )


def refuse_misfit(cluster: Cluster, release: Release) -> None:
    """Refuse what a topology asks of a release and cannot get, before the release is made or anything is touched.

    Raises:
        ConfigError: As :func:`derive`.
    """
    version = f"v{release.kubernetes.removeprefix('v')}"
    kubeadm_api(version)
    refuse_kube_proxy_mode(cluster, version)
    refuse_endpoint(cluster, version)
    cluster_dns_address(cluster, version)
    container_runtime(cluster, release, version)
    image_references(cluster, release, None)
    if problem := etcd_problem(release, None):
        raise ConfigError(problem)


def kubeadm_api(version: str) -> str:
    """kubeadm's configuration API.

    Raises:
        ConfigError: It is one of the two that lived for one version each, which nobody speaks here.
    """
    api = versions.kubeadm_api(version)
    if api in ("v1alpha2", "v1alpha3"):
        raise ConfigError(
            f"Kubernetes {version}: the configuration of its kubeadm ({api}) is not written here",
            todo="choose a release before 1.11, or from 1.13 on",
        )
    return api


def cluster_dns_address(cluster: Cluster, version: str) -> IPv6Address:
    """The Service address that kubeadm gives cluster DNS.

    Raises:
        ConfigError: This version of kubeadm finds none in the Service subnet.
    """
    subnet = cluster.services.subnet
    try:
        return versions.cluster_dns_address(subnet, version)
    except ValueError as error:
        right = IPv6Network((int(subnet.network_address) >> 16 << 16, subnet.prefixlen))
        raise ConfigError(
            f"cluster {cluster.name}: services.subnet: kubeadm {version} gives cluster DNS the first Service's address "
            f"with a 0 written behind it, and {error}",
            todo=f"take a subnet whose last 16 bits are zero, such as {right}",
        ) from None


def registry_name(cluster: Cluster) -> str:
    """The registry's name in image references: a host name, since these cannot hold an IPv6 address."""
    return f"{cluster.support.name}:{cluster.registry.port}"


def registry_certificate(cluster: Cluster) -> Certificate:
    """What the registry shows to those who read it. Its unit is the machine's own, see :mod:`configs.plan.systems`."""
    return Certificate(REGISTRY_CERTIFICATE, cluster.support.name, str(cluster.support.address))


def certificate_path(runtime: Runtime, registry: str) -> str:
    """Where a container runtime looks for what a registry has to show (certs.d of Docker and of containerd)."""
    return f"/etc/{runtime}/certs.d/{registry}/ca.crt"


def registry_url(cluster: Cluster) -> str:
    """Where the registry is on the fabric."""
    return f"https://[{cluster.support.address}]:{cluster.registry.port}"


def cgroup_driver(cluster: Cluster) -> str:
    """``cgroupfs`` in a lab, whose nodes share the host's cgroups with other managers; else ``systemd``."""
    return "cgroupfs" if cluster.lab else "systemd"


def container_runtime(cluster: Cluster, release: Release, version: str) -> Runtime:
    """What runs the containers: what the topology says, else what the release is used to.

    Raises:
        ConfigError: This version of Kubernetes does not work with it.
    """
    wanted = cluster.runtime or release.runtime
    possible = versions.container_runtimes(version)
    if wanted not in possible:
        raise ConfigError(
            f"cluster {cluster.name}: runtime: Kubernetes {version} does not work with {wanted}",
            todo=f"write `runtime: {possible[0]}` into the cluster's file, or choose another release",
        )
    return wanted


def refuse_kube_proxy_mode(cluster: Cluster, version: str) -> None:
    """Refuse a mode that kube-proxy of a version does not have.

    Raises:
        ConfigError: It has not.
    """
    wanted, possible = cluster.kube_proxy.mode, versions.kube_proxy_modes(version)
    if wanted not in possible:
        raise ConfigError(
            f"cluster {cluster.name}: kube_proxy.mode: kube-proxy of Kubernetes {version} has no mode {wanted}",
            todo=f"write {' or '.join(possible)}, or choose a newer release",
        )


def refuse_endpoint(cluster: Cluster, version: str) -> None:
    """Refuse an endpoint, and so several control planes, where kubeadm has no way to make them.

    Raises:
        ConfigError: It has none.
    """
    if cluster.endpoint and not versions.joins_control_planes(version):
        raise ConfigError(
            f"cluster {cluster.name}: endpoint: kubeadm {version} cannot join control planes as it is done here",
            todo="choose a release from 1.16 on, or have one control plane and no endpoint",
        )


def containerd_version(machine: Machine, runtime: Runtime) -> str:
    """Version of a machine's containerd; empty when it has none, or it is not known before the machine's first deploy.

    Where it comes from a repository that the first deploy brings, it is known only afterwards; what is written there
    must not depend on it, or a second deploy would change it.
    """
    if runtime != "containerd" or system_of(machine).repositories:
        return ""
    return runtime_version(machine, runtime)


def takes_cgroup_v1(cluster: Cluster) -> bool:
    """Whether kubelets run on machines with cgroup v1 too, where their version refuses that unless told.

    A lab's machines have the cgroups of their host, which nobody boots again for a lab.
    """
    return cluster.lab is not None or cluster.cgroup_v1


def etcd_problem(release: Release, manifest: Manifest | None) -> str:
    """Why kubeadm cannot run the etcd that a release holds or names; empty when it can, or that is not known yet."""
    version = manifest.version if manifest else f"v{release.kubernetes.removeprefix('v')}"
    if manifest:
        tags = {image.name: image.tag for image in manifest.images}
    else:
        tags = {name_of(each): each.rpartition(":")[2] for each in (release.fetch.images if release.fetch else ())}
    tag = tags.get(versions.image_name("etcd", version), "")
    if not versions.etcd_is_too_old(tag, version):
        return ""
    return (
        f"release {release.name}: its etcd is {tag}, and kubeadm {version} runs {versions.oldest_etcd(version)} and "
        "newer: name a newer image of it under `fetch.images` in the release's file"
    )


def own_cni_version(cluster: Cluster, release: Release, manifest: Manifest | None) -> str:
    """Version of the release's own CNI plugins; empty when those of the machines' distribution are used.

    The lab's Docker is that of Debian, with which plugins before 0.7.0 give no pod an IPv6 address; so unless the
    topology says otherwise, such a release gets Debian's there.
    """
    version = manifest.cni_version if manifest else (release.cni.version if release.cni else "")
    too_old = bool(version) and not versions.cni_shows_ipv6(version)
    wanted = cluster.cni.plugins or ("system" if cluster.lab and too_old else "release")
    return version if wanted == "release" else ""


def image_references(cluster: Cluster, release: Release, manifest: Manifest | None) -> dict[str, str]:
    """Reference of each image of a release, by its name without a registry.

    Raises:
        ConfigError: The topology wants them from their publishers, and these images have none.
    """
    published = {name_of(reference): reference for reference in (release.fetch.images if release.fetch else ())}
    if cluster.images == "upstream":
        if not published or (manifest is not None and manifest.source.kind == "built"):
            raise ConfigError(
                f"cluster {cluster.name}: images: upstream is wanted, and those of {release.name} were built here",
                todo="write `images: registry` into the cluster's file: the cluster's own registry has them",
            )
        return published
    registry = registry_name(cluster)
    if manifest is None:
        return {name: f"{registry}/{name}:{reference.rpartition(':')[2]}" for name, reference in published.items()}
    return {image.name: f"{registry}/{image.name}:{image.tag}" for image in manifest.images}


def pinned_images(cluster: Cluster, manifest: Manifest | None) -> dict[str, str]:
    """Reference with a digest of each image that comes from the cluster's registry, by its name.

    Whoever changes what a tag means there changes nothing that runs by such a reference. The tag stays in it for those
    who ask what a control plane runs; container runtimes go by the digest alone.
    """
    if cluster.images == "upstream" or manifest is None:
        return {}
    registry = registry_name(cluster)
    return {image.name: f"{registry}/{image.name}:{image.tag}@{image.digest}" for image in manifest.images}


def image_repository(cluster: Cluster, release: Release, manifest: Manifest | None) -> str:
    """Where kubeadm takes its images from: the cluster's registry, or their publisher's repository.

    Raises:
        ConfigError: As :func:`image_references`.
    """
    if cluster.images == "registry":
        return registry_name(cluster)
    images = image_references(cluster, release, manifest)
    return next(each.rpartition("/")[0] for name, each in images.items() if name.startswith("kube-apiserver"))


def for_registry(cluster: Cluster, release: Release, manifest: Manifest) -> Manifest:
    """A release without the images that the nodes take from their publishers: what the registry has to hold of it."""
    if cluster.images == "registry":
        return manifest
    published = image_references(cluster, release, manifest)
    return manifest.model_copy(
        update={"images": tuple(image for image in manifest.images if image.name not in published)}
    )


def runtime_socket(runtime: Runtime) -> str:
    """Path of the container runtime's socket."""
    return "/run/containerd/containerd.sock" if runtime == "containerd" else "/var/run/dockershim.sock"
