"""What a release of upstream Kubernetes is made of, from the constants in its own tree, and its release file. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from configs.plan.versions import container_runtimes, image_name, image_tag, parse_version, reaches
from configs.render import render

CONSTANTS = "cmd/kubeadm/app/constants/constants.go"
"""Where a tree says what its kubeadm asks for besides Kubernetes itself."""
GO_VERSION = ".go-version"
"""Where a tree says which Go it is compiled with, since 1.24."""
BASE_VERSION = "staging/src/k8s.io/component-base/version/base.go"
"""Where a tree says which minor version it is of, since 1.31."""
ETCD_SERVER = "vendor/go.etcd.io/etcd/server/v3/embed/config.go"
"""Where a tree has the whole server of etcd, which its tests run, since 1.34; before that they run the program."""
ETCD_VERSION = "vendor/go.etcd.io/etcd/api/v3/version/version.go"
"""Where a tree says which etcd that is."""
KUBELET_CADVISOR = "pkg/kubelet/cadvisor/cadvisor_linux.go"
"""Where a tree says whether its kubelet can look at containers without cgo, which it could not before 2019."""
OLDEST = "1.13"
"""The first version whose kubeadm a release file can be made for: those before want kube-dns or an API not written."""

REMOTE = "https://github.com/kubernetes/kubernetes"
_PLACE = "https://dl.k8s.io/release/v{version}/bin/linux/amd64"
_REGISTRY = "registry.k8s.io"
_CNI = "1.8.0"
_CNI_URL = (
    f"https://github.com/containernetworking/plugins/releases/download/v{_CNI}/cni-plugins-linux-amd64-v{_CNI}.tgz"
)
_COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"


@dataclass(frozen=True, slots=True)
class Constants:
    """What kubeadm of a release asks for besides Kubernetes itself, and what compiles it.

    Attributes:
        etcd: Tag of etcd's image, such as ``3.6.5-0``.
        coredns: Tag of CoreDNS's, such as ``v1.12.1``.
        pause: Tag of pause's, such as ``3.10.1``.
        go: The version of Go; empty where the tree does not say.
    """

    etcd: str
    coredns: str
    pause: str
    go: str = ""


def constants_of(text: str, go: str = "") -> Constants:
    """What a tree says.

    Args:
        text: Its :data:`CONSTANTS`.
        go: Its :data:`GO_VERSION`; empty where it has none.

    Raises:
        ValueError: It does not say something; the message says what.
    """
    found = {
        name: re.search(rf'^\s*{name}\s*=\s*"({_TAG})"\s*$', text, re.MULTILINE)
        for name in ("DefaultEtcdVersion", "CoreDNSVersion", "PauseVersion")
    }
    if lacking := [name for name, match in found.items() if match is None]:
        raise ValueError(f"it says no {' and no '.join(lacking)}")
    etcd, coredns, pause = (match[1] for match in found.values() if match)
    version = go.strip().removeprefix("go")
    if version and not re.fullmatch(r"[0-9]+(\.[0-9]+)+([a-z]+[0-9]+)?", version):
        raise ValueError(f"its version of Go is {version[:40]!r}")
    return Constants(etcd, coredns, pause, version)


def vendored_etcd(server: str, version: str) -> str:
    """The version of the etcd that a tree has whole, so that its program can be compiled; empty where it has not.

    Args:
        server: Its :data:`ETCD_SERVER`. That of etcd 3.6 declares the options of the program; before, the program did.
        version: Its :data:`ETCD_VERSION`.
    """
    found = re.search(r'^\s*Version\s*=\s*"([0-9]+\.[0-9]+\.[0-9]+)"\s*$', version, re.MULTILINE)
    return found[1] if found and "func (cfg *Config) AddFlags(" in server else ""


def kubelet_wants_cgo(cadvisor: str) -> bool:
    """Whether a tree's kubelet, compiled without cgo, ends at once as it cannot look at containers.

    Args:
        cadvisor: The tree's :data:`KUBELET_CADVISOR`.
    """
    return re.search(r"^//\s*(\+build|go:build)\s.*\bcgo\b", cadvisor, re.MULTILINE) is not None


def minor_of(text: str) -> str:
    """The minor version of Kubernetes that a tree is of, such as ``1.34``; empty where it does not say.

    Args:
        text: Its :data:`BASE_VERSION`.
    """
    found = re.search(r'^\s*DefaultKubeBinaryVersion\s*=\s*"([0-9]+\.[0-9]+)"', text, re.MULTILINE)
    return found[1] if found else ""


def release_version(text: str) -> str:
    """The version that a release file is made for, without its ``v``.

    Raises:
        ValueError: It is no version of Kubernetes, or one that no release file can be made for.
    """
    parsed = parse_version(text)
    version = str(parsed)
    if parsed.build:
        raise ValueError("is a build of one's own; such as 1.34.5, which upstream has tagged, is wanted")
    if not reaches(version, OLDEST):
        raise ValueError(f"is before {OLDEST}, the first that such a file can be made for")
    return version


def images(version: str, constants: Constants) -> tuple[str, ...]:
    """References of the images that kubeadm of a version asks for. CoreDNS has a directory of its own since 1.21."""
    coredns = "coredns/coredns" if constants.coredns.startswith("v") else "coredns"
    return (
        *(f"{_REGISTRY}/{image_name(name, version)}:{image_tag(version)}" for name in _COMPONENTS),
        f"{_REGISTRY}/etcd:{constants.etcd}",
        f"{_REGISTRY}/{coredns}:{constants.coredns}",
        f"{_REGISTRY}/pause:{constants.pause}",
    )


def release_text(version: str, constants: Constants, series: str = "") -> str:
    """The release file of an upstream release.

    Args:
        version: Without its ``v``.
        constants: What its tree says.
        series: What its ``build`` names; empty for one that can only be fetched.
    """
    return render(
        "release.yaml",
        name=f"v{version}",
        version=version,
        minor=".".join(version.split(".")[:2]),
        runtime=container_runtimes(version)[0],
        constants=constants,
        go=".".join(constants.go.split(".")[:2]),
        series=series,
        binaries=("kubeadm", "kubectl", "kubelet"),
        place=_PLACE.format(version=version),
        images=images(version, constants),
        cni=_CNI,
        cni_url=_CNI_URL,
    )


def series_text(version: str, commit: str, url: str = REMOTE) -> str:
    """The series of an upstream release: its tag, and nothing on top.

    Args:
        version: Without its ``v``.
        commit: Id of the commit that the tag leads to.
        url: Where the repository is.
    """
    return render("series.yaml", version=version, commit=commit, url=url)
