"""What a release holds, however it came: built here or fetched.

A manifest is the one description that the store keeps, the registry is filled from and a deploy starts from.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SHA256 = r"^[0-9a-f]{64}$"
NODE_BINARIES = ("kubeadm", "kubelet", "kubectl")
"""Executables that every node of Kubernetes gets; the rest of Kubernetes comes as images."""
CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap")
"""The CNI plugins that a node needs, of the dozen that their project publishes in one archive."""
BINARY_REPOSITORY = "kubev6/binaries"
"""Repository of a registry whose blobs are the executables: ``GET /v2/kubev6/binaries/blobs/sha256:<hex>``."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PatchEntry(_Frozen):
    """One patch of the series and what became of it.

    Attributes:
        title: First line of the commit message.
        author: ``Name <address>``.
        source: The commit id or patch file it was picked from.
        commit: The id it has in the result; empty when it was dropped.
        fate: ``applied``, or ``already upstream`` when the base holds it and it was dropped as empty.
        pull_request: Number of the pull request in which it was proposed upstream.
    """

    title: str
    author: str
    source: str
    commit: str = ""
    fate: Literal["applied", "already upstream"]
    pull_request: int | None = None


class SourceEntry(_Frozen):
    """Where the release comes from.

    Attributes:
        kind: ``built`` from source here, or ``fetched`` from its publisher.
        origin: The source package and version, the repository, or the download address.
        base: Commit id that the series was applied to; empty for a fetched release.
        series: Name of the series file; empty for a fetched release.
        commit: Commit id that was compiled.
        tree: Tree id that was compiled.
        patches: The series with the fate of each patch.
    """

    kind: Literal["built", "fetched"]
    origin: str
    base: str = ""
    series: str = ""
    commit: str = ""
    tree: str = ""
    patches: tuple[PatchEntry, ...] = ()


class BinaryEntry(_Frozen):
    """An executable for the nodes: ``kubeadm``, ``kubelet`` or ``kubectl``, or a CNI plugin.

    Attributes:
        name: Its file name.
        sha256: Its checksum, hexadecimal.
        size: In bytes.
        checked: What its download was checked against; empty for what was built here.
    """

    name: str
    sha256: str = Field(pattern=SHA256)
    size: int = Field(ge=1)
    checked: str = ""


class ImageEntry(_Frozen):
    """A container image.

    Attributes:
        name: Repository name without a registry, for example ``kube-apiserver``.
        tag: Its tag, for example ``v1.20.2_kubev6.3f2a1b7``.
        digest: ``sha256:...`` of its manifest, which is a blob of the store like its layers.
        size: Sum of the sizes of its blobs, in bytes.
        stand_in_for: What this image takes the place of, when it is not the real thing; else empty.
        checked: What its download was checked against; empty for what was built here.
    """

    name: str
    tag: str
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    size: int = Field(ge=1)
    stand_in_for: str = ""
    checked: str = ""


class Manifest(_Frozen):
    """A release.

    Attributes:
        name: Name of the release file it was made for, for example ``debian-1.20``.
        version: The full version stamp, for example ``v1.20.2+kubev6.3f2a1b7``.
        key: sha256 of everything that decides the bytes; the same key means the same release.
        created: UTC time of making, ISO 8601.
        source: Where it comes from.
        toolchain: What compiled it, for example ``go1.19.8 linux/amd64``; empty for a fetched release.
        binaries: Executables for the nodes.
        images: Container images.
        cni: CNI plugins of the release's own; empty where the nodes' packages bring them.
        cni_version: Their version.
    """

    name: str
    version: str
    key: str
    created: str
    source: SourceEntry
    toolchain: str = ""
    binaries: tuple[BinaryEntry, ...]
    images: tuple[ImageEntry, ...]
    cni: tuple[BinaryEntry, ...] = ()
    cni_version: str = ""

    def binary(self, name: str) -> BinaryEntry:
        """The executable called ``name``. Raises KeyError when the release has none."""
        for entry in self.binaries:
            if entry.name == name:
                return entry
        raise KeyError(name)

    @property
    def has_stand_in(self) -> bool:
        """Whether one of its images takes the place of CoreDNS."""
        return any(entry.stand_in_for == "CoreDNS" for entry in self.images)

    def image(self, name: str) -> ImageEntry:
        """The image called ``name``. Raises KeyError when the release has none."""
        for entry in self.images:
            if entry.name == name:
                return entry
        raise KeyError(name)


def changed_parts(before: Manifest | None, after: Manifest) -> tuple[str, ...]:
    """The names of what one release holds and another has not, or with other bytes.

    Args:
        before: The other one; None for none.
        after: The release.
    """
    others = {(each.name, each.sha256) for each in before.binaries} if before else set()
    others |= {(each.name, each.digest) for each in before.images} if before else set()
    binaries = [each.name for each in after.binaries if (each.name, each.sha256) not in others]
    return (*binaries, *(each.name for each in after.images if (each.name, each.digest) not in others))


def name_of(reference: str) -> str:
    """The name under which the store and the registry have an image: the last part of that in its reference."""
    return reference.rpartition(":")[0].rpartition("/")[2]


def tag_and_digest(reference: str) -> tuple[str, str]:
    """The tag and the digest in the reference of an image, whose registry may have a port; empty where it has none."""
    named, _, digest = reference.rpartition("/")[2].partition("@")
    return named.partition(":")[2], digest
