"""An image from an archive into the store, and what finds it there."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError, KubeV6Error
from kubev6.cli import main
from tasks.release import images
from tasks.release.fetch.fetch_image import held_image
from tasks.release.fetch.import_image import import_image
from tasks.release.fetch.mirror import chosen
from tasks.release.store import Store
from tests.unit.test_release_key import TOOLS
from tests.unit.test_store import layer, saved, tar_of

COREDNS = "coredns/coredns:1.7.0"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def archive(place: Path, *names: str, content: bytes = b"coredns") -> Path:
    path = place / "image.tar"
    path.write_bytes(b"".join(saved([layer(content)], called=names or None)))
    return path


def test_an_image_is_found_under_what_its_archive_calls_it(tmp_path: Path, store: Store) -> None:
    assert import_image(archive(tmp_path, COREDNS, "registry.example/dns:1"), store) == (
        f"docker.io/{COREDNS}",
        "registry.example/dns:1",
    )
    found = held_image(COREDNS, store)
    assert found is not None
    assert (found.name, found.tag) == ("coredns", "1.7.0")
    assert store.has_image(found.digest)
    assert held_image("registry.example/dns:1", store) is not None


def test_an_image_is_found_under_what_it_is_said_to_be_and_nothing_else(tmp_path: Path, store: Store) -> None:
    import_image(archive(tmp_path, "mirror.example/coredns:v1.7.0"), store, [COREDNS])
    assert held_image(COREDNS, store) is not None
    assert held_image("mirror.example/coredns:v1.7.0", store) is None


@pytest.mark.parametrize(
    ("names", "seen"),
    [
        ((), "it does not say what its image is called; say it by --as"),
        (("coredns",), "what it calls its image, 'coredns', is no image with its tag"),
        (("a" * 5000,), r"what it calls its image, 'a{90,98}…, is no image with its tag"),
        (("a:1", "\x1b[2J:1"), r"what it calls its image, '\\x1b\[2J:1', is no image with its tag"),
    ],
)
def test_an_image_without_a_usable_name_is_refused_and_nothing_is_kept(
    tmp_path: Path, store: Store, names: tuple[str, ...], seen: str
) -> None:
    with pytest.raises(ConfigError, match=f"image.tar: {seen}"):
        import_image(archive(tmp_path, *names), store)
    assert held_image("a:1", store) is None


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b damaged"])
def test_a_file_that_is_no_image_is_one_line_that_names_it(tmp_path: Path, store: Store, content: bytes) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(content)
    for references in ([], [COREDNS]):
        with pytest.raises(ConfigError, match=r"image.tar: the image archive cannot be read: .*`docker save`"):
            import_image(path, store, references)
    with pytest.raises(ConfigError, match=r"cannot be read: No such file or directory"):
        import_image(tmp_path / "none.tar", store)
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        import_image(tmp_path, store)


def test_an_image_for_other_machines_is_refused_and_the_right_one_taken_after_it(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "arm.tar"
    path.write_bytes(b"".join(saved([layer(b"coredns")], called=[COREDNS], architecture="arm64")))
    with pytest.raises(ConfigError, match=r"arm.tar: its image is for linux/arm64, and nodes are linux/amd64; take it"):
        import_image(path, store)
    import_image(archive(tmp_path, COREDNS), store)
    assert held_image(COREDNS, store) is not None


def test_a_config_of_another_form_is_one_line(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "odd.tar"
    config = b'{"rootfs": {"diff_ids": []}, "architecture": ["amd64"]}'
    path.write_bytes(tar_of(("manifest.json", b'[{"Config": "c", "Layers": []}]'), ("c", config)))
    with pytest.raises(ConfigError, match=r"odd.tar: its image's config: architecture: input should be a valid string"):
        import_image(path, store, [COREDNS])
    assert held_image(COREDNS, store) is None


def test_another_image_than_was_there_under_that_name_is_refused(tmp_path: Path, store: Store) -> None:
    import_image(archive(tmp_path, COREDNS), store)
    before = held_image(COREDNS, store)
    with pytest.raises(KubeV6Error, match=f"image docker.io/{COREDNS}: wrong checksum: .* when first fetched"):
        import_image(archive(tmp_path, COREDNS, content=b"another"), store)
    assert held_image(COREDNS, store) == before


@pytest.mark.usefixtures("own_data")
def test_the_command_says_what_is_there_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = archive(tmp_path, "mirror.example/coredns:v1.7.0")
    assert main(["images", "import", str(path), "--as", COREDNS, "--as", "other.example/dns:2"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"docker.io/{COREDNS} is in the store",
        "other.example/dns:2 is in the store",
    ]
    assert held_image(COREDNS, Store()) is not None


@pytest.mark.parametrize("force", [False, True])
def test_a_build_has_the_image_also_when_all_images_are_made_again_and_nobody_gives_it_out(
    tmp_path: Path, store: Store, force: bool
) -> None:
    import_image(archive(tmp_path, COREDNS), store)
    (tmp_path / "mirror").mkdir()
    mirror = chosen(str(tmp_path / "mirror"))
    assert images.cluster_dns("1.7.0", TOOLS, store, mirror, force=force) == held_image(COREDNS, store)
