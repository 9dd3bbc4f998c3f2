"""Reading what the Docker engine gives out for one image (``docker save``)."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from configs.errors import KubeV6Error
from tasks.image_layout import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE

CHUNK = 1 << 20
Add = Callable[[Iterable[bytes]], tuple[str, int]]
"""Keeps a blob and gives its sha256 and size, see :meth:`tasks.store.Store.add_stream`."""


class ArchiveError(KubeV6Error):
    """An image archive that holds no image, or a damaged one."""


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
        with tarfile.open(fileobj=archive, mode="r:") as tar:
            (listed,) = json.loads(_member(tar, "manifest.json").read())
            config = _member(tar, listed["Config"]).read()
            diff_ids = json.loads(config)["rootfs"]["diff_ids"]
            layers = [
                _described(LAYER_TYPE, add(_packed(_member(tar, name), diff_id)))
                for name, diff_id in zip(listed["Layers"], diff_ids, strict=True)
            ]
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, KeyError, TypeError, ValueError, EOFError) as error:
        raise ArchiveError(f"the image archive cannot be read: {error}") from None
    parts = [_described(CONFIG_TYPE, add([config])), *layers]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": parts[0], "layers": layers}
    digest, size = add([json.dumps(manifest, indent=1).encode()])
    return f"sha256:{digest}", size + sum(part["size"] for part in parts)


def _described(media_type: str, kept: tuple[str, int]) -> dict[str, Any]:
    sha256, size = kept
    return {"mediaType": media_type, "size": size, "digest": f"sha256:{sha256}"}


def _packed(layer: IO[bytes], diff_id: str) -> Iterator[bytes]:
    """One layer, compressed. Level 1: most of the gain for a tenth of the time of the default.

    Raises:
        ValueError: At its end, that it is another one than its config says.
    """
    opened: Any = gzip.open(layer) if layer.read(2) == b"\x1f\x8b" else layer  # noqa: SIM115
    layer.seek(0)
    plain, written = hashlib.sha256(), io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=written, mtime=0) as packed:
        while chunk := opened.read(CHUNK):
            plain.update(chunk)
            packed.write(chunk)
            yield written.getvalue()
            written.seek(0)
            written.truncate()
    if f"sha256:{plain.hexdigest()}" != diff_id:
        raise ValueError(f"a layer is sha256:{plain.hexdigest()}, its config says {diff_id}")
    yield written.getvalue()


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file")
    return file
