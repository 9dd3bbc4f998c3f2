"""The proof's own image with releases that come without it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from configs.errors import KubeV6Error
from configs.manifest import BinaryEntry, ImageEntry, Manifest
from configs.schema.loading import load_release
from tasks.docker import toolchain
from tasks.recipes import program_tag
from tasks.release import images
from tasks.release.fetch import mirror_directory
from tasks.release.fetch.mirror import Mirror
from tasks.release.image_layout import CONFIG_TYPE, MANIFEST_TYPE
from tasks.release.probe_image import with_probe
from tasks.release.store import Store
from tests.fakes import substitute
from tests.unit.sample import manifest

TAG = program_tag("probe")


def release(store: Store, name: str, *held: ImageEntry) -> Manifest:
    """A release in the store with these images and one small executable."""
    sha256, size = store.add_stream([name.encode()])
    made = manifest().model_copy(
        update={
            "name": name,
            "key": hashlib.sha256(name.encode()).hexdigest(),
            "binaries": (BinaryEntry(name="kubectl", sha256=sha256, size=size),),
            "images": held,
        }
    )
    store.write(made)
    return made


def probe(store: Store, tag: str) -> ImageEntry:
    """An image without layers, kept as the store keeps images."""
    config, config_size = store.add_stream([b'{"rootfs": {"diff_ids": []}}'])
    described = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "size": config_size, "digest": f"sha256:{config}"},
        "layers": [],
    }
    digest, _size = store.add_stream([json.dumps(described, indent=1).encode()])
    return ImageEntry(name="probe", tag=tag, digest=f"sha256:{digest}", size=1)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images that were built."""
    names: list[str] = []

    def build_program(name: str, _tools: object, store: Store) -> ImageEntry:
        names.append(name)
        return probe(store, TAG)

    substitute(monkeypatch, toolchain, "ready", lambda: None)
    substitute(monkeypatch, images, "build_program", build_program)
    return names


def test_a_release_that_has_it_is_left_as_it_is(tmp_path: Path, built: list[str]) -> None:
    store = Store(tmp_path)
    own = release(store, "own", probe(store, TAG))
    assert with_probe(own, store) == own
    assert built == []


def test_one_of_an_earlier_kubev6_is_replaced(tmp_path: Path, built: list[str]) -> None:
    store = Store(tmp_path)
    whole = with_probe(release(store, "own", probe(store, "old")), store)
    assert [image.tag for image in whole.images] == [TAG]
    assert store.current("own") == whole
    assert built == ["probe"]


def test_one_of_an_earlier_kubev6_is_better_than_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_engine() -> None:
        raise KubeV6Error("Docker does not answer")

    substitute(monkeypatch, toolchain, "ready", no_engine)
    store = Store(tmp_path)
    own = release(store, "own", probe(store, "old"))
    assert with_probe(own, store) == own
    assert "an earlier one is taken: Docker does not answer" in caplog.text
    with pytest.raises(KubeV6Error, match="Docker does not answer"):
        with_probe(release(store, "fetched"), store)


def test_another_release_of_the_store_lends_it(tmp_path: Path, built: list[str]) -> None:
    store = Store(tmp_path)
    release(store, "other", probe(store, TAG))
    fetched = with_probe(release(store, "fetched"), store)
    assert [image.name for image in fetched.images] == ["probe"]
    assert store.current("fetched") == fetched
    assert built == []


def test_one_of_other_sources_is_none_and_it_is_built_once(tmp_path: Path, built: list[str]) -> None:
    store = Store(tmp_path)
    release(store, "other", probe(store, "000000000000"))
    fetched = with_probe(release(store, "fetched"), store)
    assert store.current("fetched") == fetched
    assert with_probe(fetched, store) == fetched
    assert built == ["probe"]


def test_one_that_is_damaged_is_none(tmp_path: Path, built: list[str]) -> None:
    store = Store(tmp_path)
    lent = probe(store, TAG)
    release(store, "other", lent)
    own = release(store, "fetched")
    store.blob(lent.digest).unlink()
    with_probe(own, store)
    assert built == ["probe"]


def test_a_site_that_cannot_build_has_it_from_the_mirror_that_was_written_for_it(
    tmp_path: Path, built: list[str]
) -> None:
    there, here = Store(tmp_path / "there"), Store(tmp_path / "here")
    whole = release(there, "fetched", probe(there, TAG))
    mirror_directory.write(load_release("debian-1.20"), whole, there, tmp_path / "mirror", None)
    assert (tmp_path / "mirror" / "localhost" / "kubev6" / "probe" / f"{TAG}.tar").is_file()
    come = with_probe(release(here, "fetched"), here, Mirror(str(tmp_path / "mirror")))
    assert [image.digest for image in come.images] == [whole.images[0].digest]
    assert built == []


def test_where_the_mirror_lacks_it_too_it_is_built(tmp_path: Path, built: list[str]) -> None:
    (tmp_path / "mirror").mkdir()
    store = Store(tmp_path / "store")
    with_probe(release(store, "fetched"), store, Mirror(str(tmp_path / "mirror")))
    assert built == ["probe"]
