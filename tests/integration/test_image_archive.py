"""Images of the store as archives: read back to the same image, and taken by the real Docker engine."""

from __future__ import annotations

import io
from pathlib import Path

from configs.manifest import ImageEntry
from tasks.docker import container_engine
from tasks.release.fetch import image_archive
from tasks.release.store import Store
from tests.unit.test_store import layer, saved

REFERENCE = "kubev6.test/archive:1"


def image(store: Store) -> ImageEntry:
    digest, size = store.add_docker_image(saved([layer(b"one" * 5000), layer(b"two"), layer(b"two")]))
    return ImageEntry(name="archive", tag="1", digest=digest, size=size)


def written(entry: ImageEntry, store: Store) -> bytes:
    file = io.BytesIO()
    image_archive.write(entry, REFERENCE, store, file)
    return file.getvalue()


def test_an_archive_is_read_back_to_the_same_image(tmp_path: Path) -> None:
    store, far = Store(tmp_path / "here"), Store(tmp_path / "far")
    entry = image(store)

    archive = written(entry, store)

    assert far.add_docker_image([archive]) == (entry.digest, entry.size)
    assert far.has_image(entry.digest)
    assert written(entry, far) == archive


def test_the_docker_engine_takes_an_archive_for_the_same_image(tmp_path: Path) -> None:
    store, client = Store(tmp_path), container_engine.client()
    entry = image(store)
    try:
        (loaded,) = client.images.load(written(entry, store))

        assert REFERENCE in loaded.tags
        config, *layers = store.image_blobs(entry.digest)
        assert loaded.id == config[0]
        assert len(loaded.attrs["RootFS"]["Layers"]) == len(layers) == 3
        again, _ = store.add_docker_image(loaded.save(chunk_size=1 << 20))
        assert again == entry.digest
    finally:
        client.images.remove(REFERENCE, force=True)
