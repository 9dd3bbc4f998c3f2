"""What depends on the version of Kubernetes. Every rule is a plain function of the version, with its source.

A version that is newer than every rule (:data:`NEWEST`) is treated as the newest that they know, and said to be.
Versions are Semantic Versioning with or without a leading ``v``; a pre-release sorts before its release, so
``1.9.0-alpha.0.ipv6.0`` is before ``1.9.0-beta.0``, and build metadata after ``+`` does not count.
"""

from __future__ import annotations

import re
from functools import cache
from ipaddress import IPv6Address, IPv6Network
from typing import Literal, NamedTuple

from semver import Version

Runtime = Literal["containerd", "docker"]
"""What runs the containers on the nodes of Kubernetes."""

KubeProxyMode = Literal["iptables", "ipvs", "nftables"]
"""By what kube-proxy brings packets for a Service to its pods."""

NEWEST = "1.37"
"""The newest minor version that the rules here were made for."""


class KubeadmApi(NamedTuple):
    """A version of kubeadm's configuration API.

    Attributes:
        name: For example ``v1beta2``.
        since: The first minor version of Kubernetes whose kubeadm reads it.
        before: The first that reads it no longer; empty while none is.
    """

    name: str
    since: str
    before: str = ""


KUBEADM_APIS = (
    KubeadmApi("v1beta4", "1.31"),
    KubeadmApi("v1beta3", "1.22", "1.37"),
    KubeadmApi("v1beta2", "1.15", "1.27"),
    KubeadmApi("v1beta1", "1.13", "1.22"),
    KubeadmApi("v1alpha3", "1.12", "1.15"),
    KubeadmApi("v1alpha2", "1.11", "1.13"),
    KubeadmApi("v1alpha1", "0.0", "1.12"),
)
"""kubeadm's configuration APIs, newest first.

Sources: the release notes of kubernetes#125029 (v1beta4), kubernetes#101129 (v1beta3, and the end of v1beta1),
kubernetes#136016 (the end of v1beta3), kubeadm#2459 (of v1beta2) and kubeadm#1296 (of v1alpha3).
"""

ARGS_AS_MAP = ("v1beta1", "v1beta2", "v1beta3")
"""The APIs whose ``extraArgs`` are a map; later ones have a list of ``name`` and ``value`` (kubernetes#125029)."""


class CertificateRenewal(NamedTuple):
    """How kubeadm renews the certificates that it has made for a control plane.

    Attributes:
        since: The first minor version of Kubernetes whose kubeadm does it so.
        commands: Its words, one command after the other; ``--config`` follows each.
        kubelet: The words by which it gives the kubelet of the control plane another certificate.
        again: Whether the commands make only what is not there, so that it has to go before.
    """

    since: str
    commands: tuple[str, ...]
    kubelet: str
    again: bool = False


CERTIFICATE_RENEWALS = (
    CertificateRenewal("1.20", ("certs renew all",), "init phase kubeconfig kubelet"),
    CertificateRenewal("1.15", ("alpha certs renew all",), "init phase kubeconfig kubelet"),
    CertificateRenewal(
        "1.13",
        ("init phase certs all", "init phase kubeconfig all"),
        "init phase kubeconfig kubelet",
        again=True,
    ),
    CertificateRenewal(
        "0.0",
        ("alpha phase certs all", "alpha phase kubeconfig all"),
        "alpha phase kubeconfig kubelet",
        again=True,
    ),
)
"""How kubeadm renews certificates, newest first."""

CONTAINERD = (("1.38", "2.0", ""), ("1.26", "1.6", ""), ("1.23", "1.5", ""), ("0.0", "1.5", "2.0"))
"""From a version of Kubernetes on, newest first: the first containerd that it works with, and the first that is not."""

CONTAINERD_CONFIGURATION = (("2.3", 4), ("2.0", 3), ("", 2))
"""From a version of containerd on, newest first: the version of its configuration."""

KUBE_PROXY_MODES: tuple[tuple[KubeProxyMode, str], ...] = (("nftables", "1.31"), ("ipvs", "1.11"), ("iptables", "0.0"))
"""What kube-proxy knows, newest first, each from a version of Kubernetes on."""

OLDEST_ETCD = (("1.36", "3.6.0"), ("1.31", "3.5.11"), ("1.13", "3.2.18"), ("1.11", "3.1.12"), ("0.0", "3.0.14"))
"""From a version of Kubernetes on, newest first: the oldest etcd that its kubeadm can run."""


@cache
def parse_version(text: str) -> Version:
    """A version as a value that can be compared.

    Args:
        text: For example ``v1.20.2+kubev6.3f2a1b7`` or ``1.9.0-alpha.0.ipv6.0``.

    Raises:
        ValueError: It is no semantic version.
    """
    try:
        return Version.parse(text.removeprefix("v"))
    except ValueError:
        raise ValueError("is no version; such as 1.20.2 or 1.9.0-alpha.0.ipv6.0 is wanted") from None


def is_stamped(seen: str, version: str) -> bool:
    """Whether what a program says of itself is the version of its release.

    What is built here says just that. A published pre-release says what its author's tree was called when it was
    compiled (the how-to's shows ``v1.9.0-alpha.0.705+8e957e8443c820-dirty``), so there only the version that it goes
    before has to agree.

    Args:
        seen: What the program says.
        version: The version of the release.
    """
    wanted = parse_version(version)
    if seen == version or not wanted.prerelease or wanted.build:
        return seen == version
    try:
        return parse_version(seen).finalize_version() == wanted.finalize_version()
    except ValueError:
        return False


def reaches(version: str, minor: str) -> bool:
    """Whether a version is of a minor version or of a newer one; its first pre-release is already.

    Args:
        version: Of Kubernetes.
        minor: For example ``1.31``.
    """
    parsed = parse_version(version)
    return (parsed.major, parsed.minor) >= numbers(minor)


def is_same_minor(one: str, other: str) -> bool:
    """Whether two versions, or the tags of images that name them, are of one minor version."""
    return numbers(one)[:2] == numbers(other)[:2]


def is_next_minor(one: str, other: str) -> bool:
    """Whether the second of two versions, or of tags that name them, is of the minor version after the first's."""
    (major, minor), (its_major, its_minor) = numbers(one)[:2], numbers(other)[:2]
    return major == its_major and its_minor == minor + 1


def newer_than_rules(version: str) -> str:
    """What is to be said of a version that is newer than every rule here; empty of one that is not.

    Args:
        version: Of Kubernetes.
    """
    parsed = parse_version(version)
    if (parsed.major, parsed.minor) <= numbers(NEWEST):
        return ""
    return f"Kubernetes {version} is newer than what is known here, and is configured as {NEWEST} would be"


def kubeadm_apis(version: str) -> tuple[str, ...]:
    """The configuration APIs that kubeadm of a version reads, newest first (:data:`KUBEADM_APIS`)."""
    return tuple(
        api.name
        for api in KUBEADM_APIS
        if reaches(version, api.since) and not (api.before and reaches(version, api.before))
    )


def kubeadm_api(version: str) -> str:
    """The kubeadm configuration API to write for ``version``, for example ``v1beta2``: the newest that it reads."""
    return kubeadm_apis(version)[0]


def certificate_renewal(version: str) -> CertificateRenewal:
    """How kubeadm of a version renews the certificates of a control plane, without asking its API server.

    ``kubeadm certs`` is there since 1.20 (kubernetes#94938), and was ``kubeadm alpha certs`` before, which is gone
    since 1.21 (kubernetes#97706). Only since 1.15 it renews those inside kubeconfigs too (kubernetes#77180,
    kubeadm#1361); before, what is gone is made again by the phases of init, which were below ``alpha`` before 1.13
    (kubeadm#1163).

    Args:
        version: Of kubeadm.
    """
    return next(each for each in CERTIFICATE_RENEWALS if reaches(version, each.since))


def extra_args_are_listed(api: str) -> bool:
    """Whether ``extraArgs`` are a list of ``name`` and ``value`` in an API of kubeadm (:data:`ARGS_AS_MAP`)."""
    return api not in ARGS_AS_MAP


def takes_no_dns(api: str) -> bool:
    """Whether kubeadm's document can say that CoreDNS is not wanted (``dns.disabled``): from v1beta4 on."""
    return api not in ARGS_AS_MAP


def cluster_dns_address(services: IPv6Network, version: str) -> IPv6Address:
    """The Service address that kubeadm gives cluster DNS.

    Before 1.9.0-beta kubeadm appended the character ``0`` to the text of the ``kubernetes`` Service's address,
    so ``fd00:1234::1`` gave ``fd00:1234::10``; from then on it is the tenth address, ``fd00:1234::a``.

    Args:
        services: The Service subnet.
        version: The version of kubeadm.

    Raises:
        ValueError: The longer text is no address of the subnet. It is one where the last 16 bits of the subnet are
            zero, so that its last group is 1 and becomes 10.
    """
    if parse_version(version) >= Version.parse("1.9.0-beta"):
        return services.network_address + 10
    text = f"{services.network_address + 1}0"
    if int(services.network_address) & 0xFFFF:
        raise ValueError(f"{text} is no address of {services}")
    return IPv6Address(text)


def takes_ipv6_node_ip(version: str) -> bool:
    """Whether the kubelet accepts ``--node-ip`` with an IPv6 address.

    The 1.9 pre-releases refuse it ("nodeIP must be IPv4 address") and take the address of the interface that
    holds the default route instead, so there the fabric needs a default route.
    """
    return parse_version(version) >= Version.parse("1.9.0")


def supports_cgroup_v2(version: str) -> bool:
    """Whether the kubelet runs on a machine with cgroup v2: since 1.19; an older one hangs there."""
    return parse_version(version) >= Version.parse("1.19.0-0")


def containerd_versions(version: str) -> tuple[str, str]:
    """Which containerd this Kubernetes works with: from the first of the two on, and before the second if there is one.

    The kubelet speaks version v1 of the Container Runtime Interface since 1.23 and nothing else since 1.26, and
    containerd since 1.6; that in turn forgot the older v1alpha2 with 2.0. From 1.38 on the kubelet leaves it to the
    runtime to say how cgroups are driven, which only containerd 2 can; that was first meant for 1.36, then for 1.37
    (KEP 4033, kubernetes#139121). Before 1.5 containerd passes over ``config_path`` (its docs/cri/registry.md) and so
    does not know the certificate of the cluster's registry.
    """
    return next((least, before) for since, least, before in CONTAINERD if reaches(version, since))


def containerd_to_come(version: str) -> tuple[str, str]:
    """What the next versions of Kubernetes want of containerd, where it is more: the version that does, and the first.

    kubeadm warns of it in 1.36 and 1.37 (kubernetes#139122), and so it is told here.

    Args:
        version: Of Kubernetes.

    Returns:
        For example ``("1.38", "2.0")``; both empty where nothing is to come.
    """
    since, least, _ = CONTAINERD[0]
    warned = reaches(version, "1.36") and not reaches(version, since)
    return (since, least) if warned else ("", "")


def containerd_configuration(version: str) -> int:
    """The version of containerd's configuration file: 2 for 1.x, 3 from 2.0 on, 4 from 2.3 on.

    Those from 2.0 on read the older ones too and convert them (containerd's docs/cri/config.md). From 3 on the CRI is
    two plugins, ``io.containerd.cri.v1.images`` and ``.runtime`` (docs/PLUGINS.md); 4 moved nothing of these
    (gardener#14856).

    Args:
        version: Of containerd, such as ``1.6``; empty where it is not known, which gives the one that all read.
    """
    return next(found for since, found in CONTAINERD_CONFIGURATION if numbers(version) >= numbers(since))


def containerd_lists_cni_directories(version: str) -> bool:
    """Whether containerd has a list of directories of CNI plugins (``bin_dirs``): since 2.1, where ``bin_dir`` is old.

    Args:
        version: Of containerd.
    """
    return numbers(version) >= (2, 1)


def oldest_etcd(version: str) -> str:
    """The oldest etcd that kubeadm of a version can run.

    From 1.36 on it writes options that etcd has since 3.6 only; seen, as it chose by etcd's version before. From 1.31
    on it asks ``/livez`` and ``/readyz`` of it, which are there since 3.5.11 (kubernetes#124465). For the versions
    before it is what kubeadm calls the oldest that it supports (``MinExternalEtcdVersion``).
    """
    return next(etcd for since, etcd in OLDEST_ETCD if reaches(version, since))


def etcd_is_too_old(tag: str, version: str) -> bool:
    """Whether kubeadm of a version cannot run an etcd.

    Args:
        tag: Of etcd's image, such as ``3.4.23`` or ``v3.6.5-0``. One that is no version says nothing.
        version: Of Kubernetes.
    """
    has = numbers(tag.partition("-")[0])
    return len(has) >= 2 and has < numbers(oldest_etcd(version))


def kubectl_applies_on_the_server(version: str) -> bool:
    """Whether kubectl and API server of a version apply objects there (``--server-side``): stable since 1.22 (KEP 555).

    Objects that are larger than an annotation may be, as some definitions of kinds are, can be applied by that alone.
    """
    return reaches(version, "1.22")


def kube_proxy_knows_bridge(version: str) -> bool:
    """Whether kube-proxy can tell pods from outsiders by the bridge that they are on: since 1.24 (kubernetes#95400).

    Without ``detectLocalMode`` and ``clusterCIDR`` it cannot tell them apart (kubernetes#87748).
    """
    return reaches(version, "1.24")


def kube_proxy_modes(version: str) -> tuple[KubeProxyMode, ...]:
    """What kube-proxy of a version can be set to, newest first.

    nftables is on without a feature gate since it is beta, 1.31, and stable since 1.33 (KEP 3866); IPVS is stable since
    1.11 (KEP 265).
    """
    return tuple(mode for mode, since in KUBE_PROXY_MODES if reaches(version, since))


def ipvs_is_to_go(version: str) -> bool:
    """Whether kube-proxy of a version warns that its mode for IPVS is deprecated: since 1.35 (KEP 5495)."""
    return reaches(version, "1.35")


def kernel_runs_nftables_proxy(kernel: str) -> bool:
    """Whether kube-proxy's mode for nftables starts on a kernel: from 5.13 on, which it looks for itself (KEP 3866).

    Args:
        kernel: As ``uname -r`` says it, such as ``6.1.0-38-amd64``.
    """
    return numbers(kernel)[:2] >= (5, 13)


def kube_proxy_finds_iptables(version: str) -> bool:
    """Whether the published kube-proxy image uses the same iptables as its node: since 1.17, by looking.

    Older ones bring the legacy one alone, whose rules the other kind (nft) does not see.
    """
    return parse_version(version) >= Version.parse("1.17.0-0")


def docker_hides_ipv6(version: str) -> bool:
    """Whether this Docker switches IPv6 off in the network of a container without an IPv6 address: since 17.06.

    Args:
        version: For example ``20.10`` or ``1.13.1``.
    """
    return numbers(version) >= (17, 6)


def cni_shows_ipv6(version: str) -> bool:
    """Whether this bridge plugin switches IPv6 on where it adds an IPv6 address: since 0.7.0.

    An older one fails there with "permission denied".

    Args:
        version: Of the CNI plugins, for example ``0.6.0``.
    """
    return numbers(version) >= (0, 7)


def numbers(version: str) -> tuple[int, ...]:
    """A version of anything as numbers to compare; what else is in it counts for nothing."""
    return tuple(map(int, re.findall(r"[0-9]+", version)))


def refuses_cgroup_v1(version: str) -> bool:
    """Whether the kubelet refuses a machine with cgroup v1 unless it is told not to: since 1.35 (kubernetes#134298).

    What tells it is ``failCgroupV1: false`` of KubeletConfiguration. cgroup v1 is in maintenance since 1.31.
    """
    return reaches(version, "1.35")


def container_runtimes(version: str) -> tuple[Runtime, ...]:
    """What can run the containers of this Kubernetes, the better one first.

    The kubelet's own adapter for Docker (dockershim) was removed in 1.24. That it is to speak to something else,
    kubeadm tells it since 1.11.
    """
    parsed = parse_version(version)
    if parsed < Version.parse("1.11.0-0"):
        return ("docker",)
    return ("containerd", "docker") if parsed < Version.parse("1.24.0-0") else ("containerd",)


def cri_endpoint(socket: str, version: str) -> str:
    """The container runtime's socket as kubeadm wants it written: with a scheme since 1.24, without one before.

    The older ones tell Docker by its very path, so for them it has to be that.
    """
    return f"unix://{socket}" if parse_version(version) >= Version.parse("1.24.0-0") else socket


def skip_preflight(verb: str, version: str) -> str:
    """The option that keeps kubeadm from running its own preflight checks.

    They ask for crictl up to 1.30, warn of its absence in 1.31, and do without it from 1.32 on (kubeadm#3064); what
    else they look at is looked at by the stages before.

    Phases can be skipped since 1.13 by ``init`` and since 1.14 by ``join``. Before, errors could be ignored, and before
    1.9 (its pre-releases included) the checks could only be left out as a whole.

    Args:
        verb: ``init`` or ``join``.
        version: The version of kubeadm.
    """
    parsed = parse_version(version)
    if parsed >= Version.parse("1.13.0-0" if verb == "init" else "1.14.0-0"):
        return "--skip-phases=preflight"
    return "--ignore-preflight-errors=all" if parsed >= Version.parse("1.9.0") else "--skip-preflight-checks"


def kubeadm_starts_kubelet(version: str) -> bool:
    """Whether kubeadm starts the kubelet when it has configured it: since 1.11.

    Before, the kubelet was to run already, ending and being started again until its configuration was there.
    """
    return parse_version(version) >= Version.parse("1.11.0-0")


def kube_proxy_takes_configuration(version: str) -> bool:
    """Whether kubeadm gives kube-proxy a configuration of its own.

    Since 1.9. Before, kube-proxy had options only; and of the releases before, only those of the how-to's author let
    one of them (``kubeProxy.bindAddress``) be set.
    """
    return parse_version(version) >= Version.parse("1.9.0")


def kubectl_waits(version: str) -> bool:
    """Whether kubectl can wait for a condition, and for the end of what it deletes: since 1.11.

    The bound on how long it waits for a roll-out came with 1.12.
    """
    return parse_version(version) >= Version.parse("1.12.0-0")


def kubectl_says_unchanged(version: str) -> bool:
    """Whether ``kubectl apply`` says of an object that it is as it was: since 1.9.0-beta.

    Before, it says of each that it was configured (apply.go of 1.9.0-alpha.1).
    """
    return parse_version(version) >= Version.parse("1.9.0-beta")


def kubectl_names_server(version: str) -> bool:
    """Whether kubectl can be told the API server's name when it reaches it by another (``--tls-server-name``).

    It could before 1.20, but that is the oldest that was seen to.
    """
    return parse_version(version) >= Version.parse("1.20.0-0")


def workloads_api(version: str) -> str:
    """The API of Deployments and DaemonSets: ``apps/v1`` since 1.9, ``apps/v1beta2`` in its pre-releases."""
    return "apps/v1" if parse_version(version) >= Version.parse("1.9.0") else "apps/v1beta2"


def joins_control_planes(version: str) -> bool:
    """Whether kubeadm joins control planes as it is done here: since 1.16.

    ``certificateKey`` came with its v1beta2 in 1.15, and with 1.16 the API server's ``/readyz``, by which it is told
    which of them answers.
    """
    return parse_version(version) >= Version.parse("1.16.0-0")


def kubeadm_patches(version: str) -> Literal["", "option", "document"]:
    """How kubeadm is told of patches to the static pods that it writes; empty where it takes none.

    By ``--experimental-patches`` since 1.19 (kubernetes#92017), and since 1.22 by ``patches.directory`` of its v1beta3
    (kubernetes#103063), in whose favour 1.23 took the option away (kubernetes#104065). From 1.16 to 1.18 it patched by
    kustomize.
    """
    parsed = parse_version(version)
    if parsed < Version.parse("1.19.0-0"):
        return ""
    return "option" if parsed < Version.parse("1.22.0-0") else "document"


def kubeadm_upgrades(version: str) -> bool:
    """Whether kubeadm brings a cluster to this version from the minor version before, as it is done here: since 1.32.

    Its checks need no crictl since then (kubeadm#3064), and its document, which has to say so before, that there is no
    CoreDNS where a stand-in does its work.
    """
    return reaches(version, "1.32")


def image_name(component: str, version: str) -> str:
    """The name under which kubeadm asks for an image: until 1.12 it ends in the architecture."""
    return component if parse_version(version) >= Version.parse("1.12.0-0") else f"{component}-amd64"


def image_tag(version: str) -> str:
    """The image tag for a version: with its ``v``, and ``_`` for the ``+`` that a tag may not hold."""
    return "v" + version.removeprefix("v").replace("+", "_")
