"""An image of which only the program is another one: the rest keeps its bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from configs.manifest import ImageEntry
from tasks.release.image_program import with_program
from tasks.release.store import Store
from tests.unit.test_store import layer, saved

BELOW = layer(b"what the program calls")


def packed(**files: bytes) -> bytes:
    """A layer with some files, in a directory."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        directory = tarfile.TarInfo("bin")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(directory)
        for name, content in files.items():
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def image_of(store: Store, *layers: bytes) -> ImageEntry:
    digest, size = store.add_docker_image(saved([*layers]))
    return ImageEntry(name="tool", tag="1", digest=digest, size=size, stand_in_for="another")


def program(tmp_path: Path, content: bytes = b"the new one, which is longer") -> Path:
    path = tmp_path / "tool"
    path.write_bytes(content)
    return path


def test_only_the_layer_of_the_program_is_another_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    old = image_of(store, BELOW, packed(tool=b"old"))
    new = with_program(old, "2", program(tmp_path), store)
    assert new
    assert (new.name, new.tag, new.stand_in_for) == ("tool", "2", "another")
    assert store.has_image(new.digest)
    (before, *_), (config, below, last) = store.image_blobs(old.digest)[1:], store.image_blobs(new.digest)
    assert below == before
    assert new.size == sum(size for _, size in (config, below, last)) + store.blob(new.digest).stat().st_size
    unpacked = gzip.decompress(store.blob(last[0]).read_bytes())
    assert unpacked == packed(tool=b"the new one, which is longer")
    diff_ids = json.loads(store.blob(config[0]).read_text())["rootfs"]["diff_ids"]
    assert diff_ids == [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in (BELOW, unpacked)]
    assert with_program(new, "1", program(tmp_path, b"old"), store) == old, "the same program gives the same bytes"


@pytest.mark.parametrize("last", [packed(tool=b"old", other=b""), packed(other=b""), packed(), b""])
def test_an_image_whose_last_layer_is_not_the_program_is_left_to_the_engine(tmp_path: Path, last: bytes) -> None:
    store = Store(tmp_path / "data")
    assert with_program(image_of(store, BELOW, last), "2", program(tmp_path), store) is None
