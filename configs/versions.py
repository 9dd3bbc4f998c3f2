"""What depends on the version of Kubernetes. Every rule is a plain function of the version.

Versions are Semantic Versioning with or without a leading ``v``; a pre-release sorts before its release, so
``1.9.0-alpha.0.ipv6.0`` is before ``1.9.0-beta.0``, and build metadata after ``+`` does not count.
"""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

from semver import Version

KUBEADM_APIS = (
    ("v1beta4", "1.31.0"),
    ("v1beta3", "1.22.0"),
    ("v1beta2", "1.15.0"),
    ("v1beta1", "1.13.0"),
    ("v1alpha3", "1.12.0"),
    ("v1alpha2", "1.11.0"),
    ("v1alpha1", "0.0.0"),
)
"""kubeadm's configuration APIs, newest first, with the first version that speaks each."""


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


def kubeadm_api(version: str) -> str:
    """The kubeadm configuration API to write for ``version``, for example ``v1beta2``."""
    parsed = parse_version(version).finalize_version()
    return next(api for api, since in KUBEADM_APIS if parsed >= Version.parse(since))


def cluster_dns_address(services: IPv6Network, version: str) -> IPv6Address:
    """The Service address that kubeadm gives cluster DNS.

    Before 1.9.0-beta kubeadm appended the character ``0`` to the text of the ``kubernetes`` Service's address,
    so ``fd00:1234::1`` gave ``fd00:1234::10``; from then on it is the tenth address, ``fd00:1234::a``.

    Args:
        services: The Service subnet.
        version: The version of kubeadm.
    """
    first = services.network_address + 1
    if parse_version(version) < Version.parse("1.9.0-beta"):
        return IPv6Address(f"{first}0")
    return services.network_address + 10


def takes_ipv6_node_ip(version: str) -> bool:
    """Whether the kubelet accepts ``--node-ip`` with an IPv6 address.

    The 1.9 pre-releases refuse it ("nodeIP must be IPv4 address") and take the address of the interface that
    holds the default route instead, so there the fabric needs a default route.
    """
    return parse_version(version) >= Version.parse("1.9.0")


def supports_cgroup_v2(version: str) -> bool:
    """Whether the kubelet runs on a machine with cgroup v2: since 1.19; an older one hangs there."""
    return parse_version(version) >= Version.parse("1.19.0-0")


def image_name(component: str, version: str) -> str:
    """The name under which kubeadm asks for an image: until 1.12 it ends in the architecture."""
    return component if parse_version(version) >= Version.parse("1.12.0-0") else f"{component}-amd64"


def image_tag(version: str) -> str:
    """The image tag for a version: with its ``v``, and ``_`` for the ``+`` that a tag may not hold."""
    return "v" + version.removeprefix("v").replace("+", "_")
