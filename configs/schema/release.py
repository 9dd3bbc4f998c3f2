"""The typed form of a release: what to build it from or where to fetch it, and how it wants to be configured."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from configs.manifest import SHA256
from configs.plan.versions import Runtime
from configs.schema.field_types import (
    FilePath,
    ImageReference,
    KubernetesVersion,
    Model,
    Url,
)

_SHA256 = "f04339a21b8edf76d415e7f17b620e63b8f37a76b2f706671587ab6464411f2d"


class DebianSource(Model):
    """A source package of the machine's own Debian archive.

    Attributes:
        package: Source package name.
        version: Exact version; the newest that the archive offers when absent.
    """

    package: str = Field(examples=["kubernetes"], pattern=r"^[a-z0-9][a-z0-9+.-]{1,127}$")  # Debian Policy, 5.6.1
    version: str | None = Field(default=None, examples=["1.20.2-1"], pattern=r"^[0-9A-Za-z][0-9A-Za-z.+:~-]*$")


class Source(Model):
    """Where the source tree comes from, for a series that does not name remotes of its own.

    Attributes:
        debian: A source package of the machine's own Debian archive.
    """

    debian: DebianSource


class GoToolchain(Model):
    """What compiles: one of these.

    Attributes:
        image: An image with Go, and with bash, gcc and make, which Kubernetes' makefiles call: its name and tag, such
            as ``golang:1.8.3``; pulled when the engine does not hold it.
        go: A minor version of Go, such as ``1.24``, which comes from Debian's packages beside Debian 12's own.
    """

    image: ImageReference | None = Field(default=None, examples=["golang:1.8.3"])
    go: str | None = Field(default=None, pattern=r"^1\.[0-9]{1,3}$", examples=["1.24"])

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if self.image and self.go:
            raise ValueError("names both image and go; one of them is wanted")
        return self


class Build(Model):
    """What a release is compiled from, a tree and the series of patches picked onto it, and what compiles it.

    Attributes:
        series: Name of a file in ``build/series``, or a path; a relative one begins at the directory of this file. That
            of a directory stands for the working tree which is there, as it is when the release is built.
        source: Which version of the series' source package; absent for the newest that the archive offers, and for
            a series of commits, whose file names its base and its remotes.
        toolchain: What compiles; absent for the oldest Go of Debian's that the tree's own ``.go-version`` lets compile
            it, which is that of Debian 12 for a tree that has none.
    """

    series: FilePath = Field(examples=["debian-1.20"])
    source: Source | None = None
    toolchain: GoToolchain | None = None


class Download(Model):
    """A file to download, and what says that it came whole.

    Without ``sha256`` and ``sha256_url`` its publisher gives none: the one of the first download is recorded, and
    enforced from then on.

    Attributes:
        url: Its address.
        sha256: The checksum that it must have.
        sha256_url: Where its publisher gives that checksum.
    """

    url: Url
    sha256: str | None = Field(default=None, pattern=SHA256, examples=[_SHA256])
    sha256_url: Url | None = Field(
        default=None, examples=["https://dl.k8s.io/release/v1.34.2/bin/linux/amd64/kubeadm.sha256"]
    )

    @model_validator(mode="after")
    def _one_checksum(self) -> Self:
        if self.sha256 and self.sha256_url:
            raise ValueError("names both sha256 and sha256_url; the first alone is wanted, it is the stronger")
        return self


class CniPlugins(Download):
    """The archive of CNI plugins as their project publishes it.

    Attributes:
        version: Their version, on which depends what they can do.
    """

    version: str = Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$", examples=["1.8.0"])


BinaryName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class Fetch(Model):
    """Where a prebuilt release is downloaded from.

    Attributes:
        binaries: Its executables, by name.
        images: References of its images, with their tags; a name without a registry is one of ``docker.io``. A release
            that is built takes from here those that do not come from Kubernetes' own tree.
    """

    binaries: dict[BinaryName, Download] = Field(min_length=1)
    images: tuple[ImageReference, ...] = ()


class ReleaseImages(Model):
    """Images that are not part of Kubernetes itself.

    Attributes:
        coredns: Tag of CoreDNS's own image, where a build needs it; absent where the release brings kube-dns, or has
            CoreDNS among the images that it is fetched with.
    """

    coredns: str | None = Field(default=None, examples=["1.7.0"], pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")


class Release(Model):
    """A Kubernetes release: what to build it from, or where to fetch it, and how it wants to be configured.

    One of the first two at least is given.

    Attributes:
        name: Name of the file and of the release in the store.
        description: For a person.
        kubernetes: The version.
        runtime: What runs the containers on its nodes.
        build: What it is built from.
        fetch: Where it is published.
        cni: The CNI plugins it wants; those that the nodes' own packages bring when absent.
        images: Images that are not part of Kubernetes itself.
    """

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["build"]}, {"required": ["fetch"]}]})

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$", examples=["debian-1.20"])
    description: str = Field(default="", examples=["Kubernetes 1.20 compiled from Debian's source package"])
    kubernetes: KubernetesVersion
    runtime: Runtime = "containerd"
    build: Build | None = None
    fetch: Fetch | None = None
    cni: CniPlugins | None = None
    images: ReleaseImages = ReleaseImages()
