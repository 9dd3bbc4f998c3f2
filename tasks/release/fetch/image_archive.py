"""An image of the store as an archive for `docker load` and :meth:`tasks.release.store.Store.add_docker_image`."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import IO

from configs.manifest import ImageEntry
from tasks.release.store import Store


def write(image: ImageEntry, reference: str, store: Store, file: IO[bytes]) -> None:
    """Write an image. The same image gives the same bytes.

    The layers stay as compressed as the store has them: whoever reads the archive tells by their first bytes.

    Args:
        image: Which; its blobs are in the store.
        reference: The name that `docker load` gives it.
        store: Where its blobs are.
        file: What is written to.
    """
    (config, _), *layers = store.image_blobs(image.digest)
    names = {config: f"{_hex(config)}.json", **{layer: f"{_hex(layer)}.tar.gz" for layer, _ in layers}}
    listed = [{"Config": names[config], "RepoTags": [reference], "Layers": [names[layer] for layer, _ in layers]}]
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for digest, name in names.items():
            _add_file(tar, name, store.blob(digest))
        content = json.dumps(listed).encode()
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))


def _add_file(tar: tarfile.TarFile, name: str, path: Path) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = path.stat().st_size
    with path.open("rb") as content:
        tar.addfile(entry, content)


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
