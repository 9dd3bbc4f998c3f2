"""An image of which only the program is another one: its last layer made anew, the rest as it is.

The engine would make all of it again, and give the layers below other bytes, which then had to go to every node.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from configs.manifest import ImageEntry
from tasks import bounded
from tasks.bounded import Bound
from tasks.release.docker_archive import LARGEST_UNPACKED, described, packed, put_together
from tasks.release.image_layout import LAYER_TYPE
from tasks.release.store import Store
from tasks.release.tar_archive import UNREADABLE


def with_program(image: ImageEntry, tag: str, program: Path, store: Store) -> ImageEntry | None:
    """The same image with another program, in the store.

    Args:
        image: The image, which the store has whole.
        tag: The tag that the new one gets.
        program: The program; in the image it has the same name.
        store: Where they are kept.

    Returns:
        It; None when the last layer of the image is not that one program.
    """
    try:
        manifest = json.loads(bounded.content(store.blob(image.digest)))
        config = json.loads(bounded.content(store.blob(manifest["config"]["digest"])))
        with tempfile.TemporaryFile() as layer:
            if not _write(layer, store.blob(manifest["layers"][-1]["digest"]), program):
                return None
            layer.seek(0)
            diff_id = f"sha256:{hashlib.file_digest(layer, 'sha256').hexdigest()}"
            layer.seek(0)
            kept = store.add_stream(packed(layer, diff_id, Bound(LARGEST_UNPACKED, program.name)))
        config["rootfs"]["diff_ids"][-1] = diff_id
    except (*UNREADABLE, OSError, IndexError, TypeError):
        return None
    layers = [*manifest["layers"][:-1], described(LAYER_TYPE, kept)]
    digest, size = put_together(json.dumps(config).encode(), layers, store.add_stream)
    return image.model_copy(update={"tag": tag, "digest": digest, "size": size})


def _write(layer: IO[bytes], before: Path, program: Path) -> bool:
    """Write a layer like another one, whose only file is the program. Returns whether it is one."""
    with gzip.open(before) as plain, tarfile.open(fileobj=plain, mode="r:") as old:
        entries = old.getmembers()
    files = [entry for entry in entries if not entry.isdir()]
    if [Path(entry.name).name for entry in files] != [program.name] or not files[0].isreg():
        return False
    with tarfile.open(fileobj=layer, mode="w") as new, program.open("rb") as content:
        for entry in entries:
            if entry.isdir():
                new.addfile(entry)
                continue
            entry.size = program.stat().st_size
            new.addfile(entry, content)
    return True
