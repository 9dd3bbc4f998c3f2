"""What makes a directory of blobs an OCI image layout (OCI image-spec 1.1, image-layout.md). Pure.

Every registry tool reads it: ``skopeo copy oci:STORE:NAME:TAG docker://...``.

An image is kept and handed to the nodes with a Docker manifest (schema 2), because Docker 1.13 and docker-distribution
2.6, which are CentOS 7's, know no other. Tools want an OCI manifest in a layout; it names the same config and layers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from pydantic import BaseModel, Field

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
OCI_TYPES = {
    MANIFEST_TYPE: OCI_MANIFEST_TYPE,
    CONFIG_TYPE: "application/vnd.oci.image.config.v1+json",
    LAYER_TYPE: "application/vnd.oci.image.layer.v1.tar+gzip",
}
"""What OCI calls what Docker calls otherwise; the bytes of a config and a layer are the same (media-types.md)."""
REFERENCE = "org.opencontainers.image.ref.name"
LAYOUT = json.dumps({"imageLayoutVersion": "1.0.0"})
"""The content of the file ``oci-layout``."""


class _Part(BaseModel):
    mediaType: str  # noqa: N815 - as it is written there
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    size: int = Field(ge=0)


class _Image(BaseModel):
    """What is read here of an image's manifest."""

    mediaType: str  # noqa: N815
    config: _Part
    layers: tuple[_Part, ...]


def oci_manifest(manifest: bytes) -> bytes:
    """The OCI manifest of an image. The same image gives the same bytes.

    Args:
        manifest: Its Docker manifest, schema 2.

    Raises:
        ValueError: It is no such manifest.
    """
    parts_of(manifest)
    described = json.loads(manifest)
    for part in (described, described["config"], *described["layers"]):
        if part["mediaType"] not in OCI_TYPES:
            raise ValueError(f"{part['mediaType']} is not of Docker's schema 2")
        part["mediaType"] = OCI_TYPES[part["mediaType"]]
    return json.dumps(described, indent=1).encode()


def parts_of(manifest: bytes) -> tuple[tuple[str, int], ...]:
    """Digest and size of the config and the layers of an image.

    Args:
        manifest: Its manifest, of Docker or OCI.

    Raises:
        ValueError: It is no such manifest.
    """
    found = _Image.model_validate_json(manifest)
    return tuple((part.digest, part.size) for part in (found.config, *found.layers))


def digest_of(content: bytes) -> str:
    """The digest of a blob, ``sha256:...``."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def index(manifests: Mapping[str, bytes]) -> str:
    """The content of ``index.json``.

    Args:
        manifests: The OCI manifest of each image, by its name and tag: ``kube-proxy:v1.20.2``.
    """
    descriptors = [
        {
            "mediaType": OCI_MANIFEST_TYPE,
            "digest": digest_of(manifest),
            "size": len(manifest),
            "annotations": {REFERENCE: reference},
        }
        for reference, manifest in sorted(manifests.items())
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX_TYPE, "manifests": descriptors}, indent=1)
