"""The store as an OCI image layout, for tools that are not ours."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from configs.manifest import Manifest
from tasks.release import image_layout, verified
from tasks.release import store as store_module
from tasks.release.store import Store, StoredBuild
from tasks.replace import write_whole
from tests.fakes import substitute
from tests.unit.test_store import layer, release, saved

REFERENCE = "org.opencontainers.image.ref.name"


def named(root: Path) -> dict[str, dict[str, Any]]:
    """The manifest of each image that the index names, which is what its descriptor says."""
    assert json.loads((root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((root / "index.json").read_text())
    assert (index["schemaVersion"], index["mediaType"]) == (2, "application/vnd.oci.image.index.v1+json")
    found = {}
    for descriptor in index["manifests"]:
        assert descriptor["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
        content = blob(root, descriptor)
        found[descriptor["annotations"][REFERENCE]] = json.loads(content)
    assert len(found) == len(index["manifests"]), "no name is there twice"
    return found


def blob(root: Path, descriptor: dict[str, Any]) -> bytes:
    algorithm, _, encoded = descriptor["digest"].partition(":")
    content: bytes = (root / "blobs" / algorithm / encoded).read_bytes()
    assert len(content) == descriptor["size"]
    assert hashlib.new(algorithm, content).hexdigest() == encoded
    return content


def with_image(manifest: Manifest, image: str, *, of: str = "test") -> Manifest:
    """The same with its image called otherwise, of another release."""
    renamed = manifest.images[0].model_copy(update={"name": image})
    return manifest.model_copy(update={"images": (renamed,), "name": of})


def test_an_image_is_named_with_the_config_and_layers_that_the_nodes_get(tmp_path: Path) -> None:
    store = Store(tmp_path)
    manifest = release(store)
    store.write(manifest)

    (image,) = named(tmp_path).values()
    assert list(named(tmp_path)) == ["pause:3.2"]
    assert image["schemaVersion"] == 2
    assert image["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert image["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    assert [each["mediaType"] for each in image["layers"]] == ["application/vnd.oci.image.layer.v1.tar+gzip"]
    assert [(each["digest"], each["size"]) for each in (image["config"], *image["layers"])] == list(
        store.image_blobs(manifest.images[0].digest)
    )
    diff_ids = json.loads(blob(tmp_path, image["config"]))["rootfs"]["diff_ids"]
    unpacked = [gzip.decompress(blob(tmp_path, each)) for each in image["layers"]]
    assert [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in unpacked] == diff_ids


def test_below_blobs_is_nothing_that_is_not_its_digest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    manifest = release(store)
    store.write(manifest)
    assert store.check(manifest) == ()

    files = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert path.parent == tmp_path / "blobs" / "sha256"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


def test_a_name_is_that_of_the_build_that_was_written_last(tmp_path: Path) -> None:
    store = Store(tmp_path)
    older, newer = release(store, "a" * 64, b"older"), release(store, "b" * 64, b"newer")
    layers = {}
    for manifest in (older, newer, older):
        store.write(manifest)
        layers[manifest.key] = named(tmp_path)["pause:3.2"]["layers"][0]["digest"]

    assert layers["a" * 64] == store.image_blobs(older.images[0].digest)[1][0]
    assert layers["b" * 64] == store.image_blobs(newer.images[0].digest)[1][0]


def test_an_older_build_s_images_keep_their_names(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(with_image(release(store, "a" * 64), "one"))
    store.write(with_image(release(store, "b" * 64, b"other"), "two"))

    assert list(named(tmp_path)) == ["one:3.2", "two:3.2"]


def test_an_image_that_is_lost_and_a_manifest_that_is_damaged_take_no_other_name_away(tmp_path: Path) -> None:
    store = Store(tmp_path)
    lost = with_image(release(store, "a" * 64), "lost", of="lost")
    store.write(lost)
    store.write(with_image(release(store, "b" * 64, b"damaged"), "damaged", of="damaged"))
    store.blob(lost.images[0].digest).unlink()
    (tmp_path / "releases" / "damaged" / "current" / "manifest.json").write_text("{")
    store.write(with_image(release(store, "c" * 64, b"whole"), "whole", of="whole"))

    assert list(named(tmp_path)) == ["whole:3.2"]


@pytest.mark.parametrize("file", ["index.json", "oci-layout"])
def test_a_file_of_the_layout_that_is_damaged_is_right_again_after_the_next_write(tmp_path: Path, file: str) -> None:
    store = Store(tmp_path)
    manifest = release(store)
    store.write(manifest)
    (tmp_path / file).write_bytes(b"\xff")
    digest = image_layout.digest_of(image_layout.oci_manifest(store.blob(manifest.images[0].digest).read_bytes()))
    store.blob(digest).write_text("{}")

    store.write(manifest)

    assert list(named(tmp_path)) == ["pause:3.2"]


def test_what_two_write_at_once_is_all_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builds = Store.builds
    looked, written = threading.Event(), threading.Event()

    def look_and_wait(self: Store) -> tuple[StoredBuild, ...]:
        found = builds(self)
        if not looked.is_set():
            looked.set()
            written.wait(0.5)  # until the other has written, unless that has to wait for this one
        return found

    def write(name: str, key: str) -> None:
        store = Store(tmp_path)
        store.write(with_image(release(store, key * 64), name, of=name))

    substitute(monkeypatch, Store, "builds", look_and_wait)
    with ThreadPoolExecutor(2) as both:
        first = both.submit(write, "first", "a")
        assert looked.wait(10)
        both.submit(write, "second", "b").result()
        written.set()
        first.result()

    assert list(named(tmp_path)) == ["first:3.2", "second:3.2"]


@pytest.fixture
def before(tmp_path: Path) -> tuple[Path, Manifest]:
    """A store as it was written when it was no image layout yet, file by file."""
    root, other = tmp_path / "before", Store(tmp_path / "other")
    manifest = release(other)
    (root / "blobs" / "sha256").mkdir(parents=True)
    (root / "blobs" / "unfinished").mkdir()
    known = {}
    for _, digest, _ in other.blobs(manifest):
        path = root / "blobs" / "sha256" / digest.removeprefix("sha256:")
        path.write_bytes(other.blob(digest).read_bytes())
        about = path.stat()
        known[path.name] = [about.st_size, about.st_ctime_ns, about.st_ino]
    (root / "blobs" / "verified.json").write_text(json.dumps(known))
    place = root / "releases" / manifest.name / manifest.key[:12]
    place.mkdir(parents=True)
    (place / "manifest.json").write_text(manifest.model_dump_json(indent=1) + "\n")
    place.with_name("current").symlink_to(place.name)
    return root, manifest


def content_of(root: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


def test_a_store_of_the_version_before_becomes_a_layout_when_it_is_opened(
    before: tuple[Path, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, manifest = before
    was = content_of(root)
    substitute(monkeypatch, verified, "TICK", 0)

    store = Store(root)

    assert list(named(root)) == ["pause:3.2"]
    now = content_of(root)
    was["verified.json"] = now["verified.json"]
    del was["blobs/verified.json"]
    image = json.loads((root / "index.json").read_text())["manifests"][0]["digest"].removeprefix("sha256:")
    assert now.keys() - was.keys() == {"index.json", "oci-layout", ".index.lock", f"blobs/sha256/{image}"}
    assert {path: now[path] for path in was} == was, "what was there is as it was"
    with monkeypatch.context() as patched:
        substitute(patched, hashlib, "file_digest", lambda *_: pytest.fail("what was found right is read again"))
        assert store.check(manifest) == ()
    assert store.current("test") == manifest
    assert store.find("test", manifest.key) == manifest

    substitute(monkeypatch, Store, "update_index", lambda _: pytest.fail("it is done again"))
    assert Store(root).list() == (manifest,)


def test_a_store_whose_change_was_cut_off_becomes_a_layout_the_next_time(
    before: tuple[Path, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, manifest = before

    def cut_off(path: Path, content: str | bytes) -> None:
        if path.name == "oci-layout":
            raise KeyboardInterrupt
        write_whole(path, content)

    with monkeypatch.context() as patched:
        substitute(patched, store_module, "write_whole", cut_off)
        with pytest.raises(KeyboardInterrupt):
            Store(root)

    assert Store(root).current("test") == manifest
    assert list(named(root)) == ["pause:3.2"]


def test_a_store_that_may_not_be_written_is_read_as_it_is(
    before: tuple[Path, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, manifest = before

    def refused(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    substitute(monkeypatch, store_module, "write_whole", refused)

    store = Store(root)

    assert store.current("test") == manifest
    assert store.check(manifest) == ()
    assert not (root / "oci-layout").exists()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system")
def test_blobs_may_be_on_another_file_system(before: tuple[Path, Manifest]) -> None:
    root, manifest = before
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        shutil.move(root / "blobs", Path(elsewhere) / "blobs")
        (root / "blobs").symlink_to(Path(elsewhere) / "blobs")

        assert Store(root).check(manifest) == ()
        assert list(named(root)) == ["pause:3.2"]


def test_an_image_s_other_manifest_is_kept_with_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    manifest = release(store)
    store.write(manifest)
    there = {f"sha256:{path.name}" for path in (tmp_path / "blobs" / "sha256").iterdir()}

    assert store.digests(manifest) == there


def test_the_same_image_has_the_same_manifest_every_time(tmp_path: Path) -> None:
    first, second = (Store(tmp_path / name) for name in "ab")
    made = [
        image_layout.oci_manifest(store.blob(store.add_docker_image(saved([layer(b"x")]))[0]).read_bytes())
        for store in (first, second)
    ]
    assert made[0] == made[1]
