"""Reading what the Docker engine gives out for one image (``docker save``)."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

from pydantic import BaseModel, Field

from configs.errors import KubeV6Error
from configs.words import shortened, visible
from tasks import bounded
from tasks.bounded import Bound
from tasks.release.image_layout import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE
from tasks.release.tar_archive import UNREADABLE, open_tar, seen_in

CHUNK = 1 << 20
MOST_LAYERS = 1000
"""An image of Docker's has at most 127."""
LARGEST_JSON = 8 << 20
"""Bytes of what describes an image."""
LARGEST_UNPACKED = 32 << 30
"""Bytes of an image's layers when they are unpacked; the largest of a release have 100 MB, those of upstream's tests
some GB."""
Add = Callable[[Iterable[bytes]], tuple[str, int]]
"""Keeps a blob and gives its sha256 and size, see :meth:`tasks.release.store.Store.add_stream`."""


class ArchiveError(KubeV6Error):
    """An image archive that holds no image, or a damaged one."""


class _Listed(BaseModel):
    """The entry of ``manifest.json``."""

    config: str = Field(alias="Config")
    layers: tuple[str, ...] = Field(alias="Layers", max_length=MOST_LAYERS)
    names: tuple[str, ...] | None = Field(alias="RepoTags", default=None, max_length=MOST_LAYERS)


class _Rootfs(BaseModel):
    diff_ids: tuple[str, ...]


class _Config(BaseModel):
    """What is read here of an image's config."""

    rootfs: _Rootfs


def keep(archive: IO[bytes], add: Add) -> tuple[str, int]:
    """Keep an image as a registry holds it: layers compressed, its config, and a schema 2 manifest.

    Args:
        archive: The archive, which is read at more than one place.
        add: Keeps each part.

    Returns:
        Digest of the image's manifest (``sha256:...``) and the sum of the sizes of its blobs in bytes.

    Raises:
        ArchiveError: It does not hold exactly one image, or a layer is not what its config says.
    """
    try:
        with open_tar(archive, "r:") as tar:
            listed = _listed(tar)
            config = _small(tar, listed.config)
            diff_ids = bounded.formed(config, _Config, "its config").rootfs.diff_ids
            unpacked = Bound(LARGEST_UNPACKED, "what its layers hold")
            layers = [
                described(LAYER_TYPE, add(packed(_member(tar, name), diff_id, unpacked)))
                for name, diff_id in zip(listed.layers, diff_ids, strict=True)
            ]
    except UNREADABLE as error:
        raise ArchiveError(f"the image archive cannot be read: {seen_in(error)}") from None
    return put_together(config, layers, add)


def put_together(config: bytes, layers: Sequence[Mapping[str, Any]], add: Add) -> tuple[str, int]:
    """Keep the config and the manifest of an image whose layers are kept. Returns what :func:`keep` does.

    Args:
        config: Its config.
        layers: The layers, as a manifest describes them.
        add: Keeps each part.
    """
    parts = [described(CONFIG_TYPE, add([config])), *layers]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": parts[0], "layers": layers}
    digest, size = add([json.dumps(manifest, indent=1).encode()])
    return f"sha256:{digest}", size + sum(part["size"] for part in parts)


def names(archive: IO[bytes]) -> tuple[str, ...]:
    """The references under which an archive has its image; none of one that was written by its id.

    Args:
        archive: The archive.

    Raises:
        ArchiveError: It does not hold exactly one image.
    """
    try:
        with open_tar(archive, "r:") as tar:
            return _listed(tar).names or ()
    except UNREADABLE as error:
        raise ArchiveError(f"the image archive cannot be read: {seen_in(error)}") from None


def _listed(tar: tarfile.TarFile) -> _Listed:
    listed = bounded.formed(_small(tar, "manifest.json"), tuple[_Listed, ...], "manifest.json")
    if len(listed) != 1:
        raise ValueError(f"it holds {len(listed)} images, and each needs an archive of its own")
    return listed[0]


def described(media_type: str, kept: tuple[str, int]) -> dict[str, Any]:
    """A part as a manifest describes it.

    Args:
        media_type: What it is.
        kept: Its sha256 and size.
    """
    sha256, size = kept
    return {"mediaType": media_type, "size": size, "digest": f"sha256:{sha256}"}


def packed(layer: IO[bytes], diff_id: str, unpacked: Bound) -> Iterator[bytes]:
    """One layer, compressed. Level 1: most of the gain for a tenth of the time of the default.

    Args:
        layer: The layer, compressed or not.
        diff_id: The digest that it has when it is not.
        unpacked: How much layers may come to.

    Raises:
        ValueError: It comes to too much; or, at its end, it is another one than its config says.
    """
    opened: Any = gzip.open(layer) if layer.read(2) == b"\x1f\x8b" else layer  # noqa: SIM115
    layer.seek(0)
    plain, written = hashlib.sha256(), io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=written, mtime=0) as packed:
        while chunk := _read(opened):
            unpacked.count(len(chunk))
            plain.update(chunk)
            packed.write(chunk)
            yield written.getvalue()
            written.seek(0)
            written.truncate()
    if f"sha256:{plain.hexdigest()}" != diff_id:
        raise ValueError(f"a layer is sha256:{plain.hexdigest()}, its config says {diff_id}")
    yield written.getvalue()


def _read(layer: IO[bytes]) -> bytes:
    try:
        return layer.read(CHUNK)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:  # the first is an OSError, as if the disk were at fault
        raise ValueError(f"a layer is damaged: {error}") from None


def _small(tar: tarfile.TarFile, name: str) -> bytes:
    content = _member(tar, name).read(LARGEST_JSON + 1)
    Bound(LARGEST_JSON, shortened(visible(name), 100)).count(len(content))
    return content


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file")
    return file
