"""The release store: what goes in comes out whole, and what is damaged is noticed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import resource
import tarfile
import tempfile
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from configs.errors import KubeV6Error
from configs.manifest import BinaryEntry, ImageEntry, Manifest, SourceEntry
from tasks.release import docker_archive, verified
from tasks.release.docker_archive import ArchiveError
from tasks.release.store import ChecksumError, Store
from tests.fakes import substitute
from tests.waiting import eventually


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


def layer(content: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        entry = tarfile.TarInfo("program")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def saved(
    layers: list[bytes],
    diff_ids: list[str] | None = None,
    called: Sequence[str] | None = ("x:y",),
    architecture: str = "amd64",
) -> Iterator[bytes]:
    """An archive as ``docker save`` writes it, in pieces."""
    known = diff_ids or [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in layers]
    rootfs = {"type": "layers", "diff_ids": known}
    config = json.dumps({"os": "linux", "architecture": architecture, "rootfs": rootfs}).encode()
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    listed = json.dumps([{"Config": "config.json", "RepoTags": called, "Layers": names}]).encode()
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in [
            *zip(names, layers, strict=True),
            ("config.json", config),
            ("manifest.json", listed),
        ]:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    whole = made.getvalue()
    return (whole[at : at + 700] for at in range(0, len(whole), 700))


def release(store: Store, key: str = "a" * 64, content: bytes = b"kubeadm") -> Manifest:
    sha256, size = store.add_stream([content])
    digest, image_size = store.add_docker_image(saved([layer(content)]))
    return Manifest(
        name="test",
        version="v1.20.2",
        key=key,
        created="2026-01-01T00:00:00+00:00",
        source=SourceEntry(kind="built", origin="test"),
        binaries=(BinaryEntry(name="kubeadm", sha256=sha256, size=size),),
        images=(ImageEntry(name="pause", tag="3.2", digest=digest, size=image_size),),
    )


def files_in(store: Store) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file()]


def test_a_release_is_read_as_it_was_written(store: Store) -> None:
    manifest = release(store)

    store.write(manifest)

    assert store.current("test") == manifest
    assert store.list() == (manifest,)
    assert store.check(manifest) == ()


def test_a_manifest_reaches_the_disk_after_all_that_it_names(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power failure could leave a release that is current and not whole."""
    written, sync = list[tuple[Path, bool]](), os.fsync
    manifest = release(store)
    link = store.root / "releases" / manifest.name / "current"

    def synced(fd: int) -> None:
        sync(fd)
        written.append((Path(f"/proc/self/fd/{fd}").readlink(), link.is_symlink()))

    substitute(monkeypatch, os, "fsync", synced)
    store.write(manifest)

    before = [path for path, current in written if not current]
    blobs = {store.blob(digest) for _, digest, _ in store.blobs(manifest)}
    assert set(before[:-1]) == {*blobs, store.blob("a").parent}
    assert before[-1].parent.name == "unfinished"
    after = [path for path, current in written if current]
    assert after[:2] == [link.parent / manifest.key[:12], link.parent]


def test_builds_of_one_release_are_kept_and_the_last_written_is_current(store: Store) -> None:
    first, second = release(store, "a" * 64), release(store, "b" * 64, b"other")
    store.write(first)
    store.write(second)

    assert store.current("test") == second
    assert store.find("test", first.key) == first
    assert store.find("test", "c" * 64) is None

    store.write(first)

    assert store.current("test") == first


def test_an_image_is_kept_as_a_registry_holds_it(store: Store) -> None:
    layers = [layer(b"one" * 1000), layer(b"two")]

    digest, size = store.add_docker_image(saved(layers))

    described = json.loads(store.blob(digest).read_bytes())
    assert described["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    for part, content in zip(described["layers"], layers, strict=True):
        packed = store.blob(part["digest"]).read_bytes()
        assert len(packed) == part["size"]
        assert f"sha256:{hashlib.sha256(packed).hexdigest()}" == part["digest"]
        assert gzip.decompress(packed) == content
    parts = [described["config"], *described["layers"]]
    assert size == len(store.blob(digest).read_bytes()) + sum(part["size"] for part in parts)


def test_the_same_image_has_the_same_digest_every_time(tmp_path: Path) -> None:
    first, second = (Store(tmp_path / name).add_docker_image(saved([layer(b"x")])) for name in "ab")

    assert first == second


def test_layers_that_come_compressed_are_understood(store: Store) -> None:
    content = layer(b"x")
    plain = f"sha256:{hashlib.sha256(content).hexdigest()}"

    digest, _ = store.add_docker_image(saved([gzip.compress(content)], [plain]))

    (_, (packed, _size)) = store.image_blobs(digest)
    assert gzip.decompress(store.blob(packed).read_bytes()) == content


def tar_of(*entries: tuple[str, bytes | str]) -> bytes:
    """An archive of files, and of links where a text is given."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def with_a_size_below_zero(archive: bytes) -> bytes:
    """The archive, whose first entry says that it has -512 bytes, with the checksum that goes with that."""
    head = bytearray(archive[:512])
    head[124:136] = b"\xff" * 10 + (65536 - 512).to_bytes(2, "big")
    head[148:156] = b" " * 8
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    return bytes(head) + archive[512:]


def with_headers(*headers: tuple[bytes, bytes], size: int = 0) -> bytes:
    """Archives whose entries have headers before them: the type of each, and what it holds or says that it holds."""
    out = io.BytesIO()
    for kind, content in headers:
        entry = tarfile.TarInfo("header")
        entry.type, entry.size = kind, size or len(content)
        out.write(entry.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512))
    return out.getvalue()


def pax(**records: str) -> bytes:
    """What a pax header holds."""
    out = b""
    for name, value in records.items():
        rest = f" {name.replace('__', '.')}={value}\n".encode()
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length = len(str(length)) + len(rest)
        out += str(length).encode() + rest
    return out


def device(kind: bytes, name: str = "manifest.json") -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type, entry.devmajor, entry.devminor = kind, 1, 5
    return entry.tobuf() + bytes(1024)


LIST = tar_of(("manifest.json", b"[]"))
GLOBAL, EXTENDED = tarfile.XGLTYPE, tarfile.XHDTYPE
MANY_HEADERS = b"".join(
    with_headers((GLOBAL, pax(**{f"k{number}": "v" * 60_000}))) + tar_of(("a", b""))[:512] for number in range(300)
)
HOSTILE = {
    "a million entries": tar_of(("a", b"")).rstrip(b"\0").ljust(512, b"\0") * 30_000,
    "a header of a gigabyte": with_headers((EXTENDED, b"x" * 512), size=1 << 30) + LIST,
    "a long name of a gigabyte": with_headers((tarfile.GNUTYPE_LONGNAME, b"x" * 512), size=1 << 30) + LIST,
    "headers of headers": with_headers(*[(EXTENDED, pax(a="b"))] * 20_000) + LIST,
    "many large headers": MANY_HEADERS + LIST,
    "a sparse file": with_headers((tarfile.GNUTYPE_SPARSE, b"")) + LIST,
    "a sparse file by its header": with_headers((EXTENDED, pax(GNU__sparse__map="0,1", GNU__sparse__size="9"))) + LIST,
    "a sparse file of another kind": with_headers((EXTENDED, pax(GNU__sparse__major="1", GNU__sparse__minor="0")))
    + LIST,
    "a size of a thousand digits": with_headers((EXTENDED, pax(size="9" * 1000))) + LIST,
    "a size below zero in a header": with_headers((EXTENDED, pax(size="-512"))) + LIST,
    "a header that is none": with_headers((EXTENDED, b"99999999999 a=b\n")) + LIST,
    "a device": device(tarfile.CHRTYPE),
    "a pipe": device(tarfile.FIFOTYPE),
    "a directory": device(tarfile.DIRTYPE),
    "a link to what is above": tar_of(("manifest.json", "../../../../etc/passwd")),
    "a config that is above": tar_of(("manifest.json", b'[{"Config": "../../etc/passwd", "Layers": []}]')),
    "a layer that is elsewhere": tar_of(
        ("manifest.json", b'[{"Config": "c", "Layers": ["/etc/passwd"]}]'),
        ("c", b'{"rootfs": {"diff_ids": ["sha256:0"]}}'),
    ),
    "more layers than there are": tar_of(
        ("manifest.json", b'[{"Config": "c", "Layers": [' + b",".join([b'"c"'] * 5000) + b"]}]"), ("c", b"{}")
    ),
    "an empty list": LIST,
    "cut off within an entry": tar_of(("manifest.json", b"[" + b" " * 5000))[:2000],
}
SAYS = {
    "a million entries": "it has more than 20000 entries",
    "a header of a gigabyte": "an entry has a header of 1073741824 bytes",
    "a long name of a gigabyte": "an entry has a header of 1073741824 bytes",
    "headers of headers": "headers or links in it lead to one another",
    "many large headers": "what stands before its entries has more than 16 MiB",
    "a sparse file": "an entry has holes",
    "a sparse file by its header": "an entry has holes",
    "a sparse file of another kind": "an entry has holes",
    "a size of a thousand digits": "int",
    "a size below zero in a header": "an entry has a size below zero",
    "a header that is none": "invalid header",
    "a device": "manifest.json is no file",
    "a pipe": "manifest.json is no file",
    "a directory": "manifest.json is no file",
    "a link to what is above": "'../../../../etc/passwd' not found",
    "a config that is above": "'../../etc/passwd' not found",
    "a layer that is elsewhere": "'/etc/passwd' not found",
    "more layers than there are": "at most 1000 items",
    "an empty list": "it holds 0 images",
    "cut off within an entry": "unexpected end of data",
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_image_archive_is_refused_and_fills_neither_memory_nor_disk(store: Store, hostile: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="the image archive cannot be read: ") as raised:
            store.add_docker_image([HOSTILE[hostile]])
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert SAYS[hostile] in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400
    assert files_in(store) == []


@pytest.mark.parametrize("layers", [[b"\0" * 3000], [b"\0" * 900] * 3], ids=["one layer", "all layers together"])
@pytest.mark.parametrize("packed", [False, True])
def test_layers_that_come_to_too_much_are_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch, layers: list[bytes], packed: bool
) -> None:
    substitute(monkeypatch, docker_archive, "LARGEST_UNPACKED", 2048)
    known = [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in layers]
    archive = saved([gzip.compress(one) if packed else one for one in layers], known)
    with pytest.raises(ArchiveError, match=r"what its layers hold has more than 2 KiB"):
        store.add_docker_image(archive)


def test_a_layer_that_is_a_bomb_costs_no_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, docker_archive, "LARGEST_UNPACKED", 200 << 20)
    bomb = gzip.compress(bytes(256 << 20), 1)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match=r"what its layers hold has more than 200 MiB"):
            store.add_docker_image(saved([bomb], ["sha256:0"]))
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


PACKED = gzip.compress(layer(b"x"))


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        b"no archive at all",
        b"".join(saved([layer(b"x")]))[:2000],
        b"".join(saved([b"x"], ["sha256:0"])),
        b"".join(saved([PACKED[:-30]])),
        b"".join(saved([PACKED[:20] + bytes([PACKED[20] ^ 255]) + PACKED[21:]])),
        b"".join(saved([PACKED[:-8] + bytes(8)])),
        b"".join(saved([b"\x1f\x8b" + PACKED[3:]])),
        tar_of(("manifest.json", b"5")),
        tar_of(("manifest.json", b"[5]")),
        tar_of(("manifest.json", b'[{"Config": 7, "Layers": []}]')),
        tar_of(("manifest.json", b'[{"Config": "c", "Layers": null}]'), ("c", b"{}")),
        tar_of(("manifest.json", b'[{"Config": "c", "Layers": []}]'), ("c", b'{"rootfs": null}')),
        tar_of(("manifest.json", b'[{"Config": "c", "Layers": []}]'), ("c", b"[]")),
        tar_of(("manifest.json", b"[" * 100_000 + b"]" * 100_000)),
        tar_of(("manifest.json", "a"), ("a", "manifest.json")),
        tar_of(("manifest.json", "/etc/passwd")),
        tar_of(("manifest.json", b" " * (9 << 20))),
        with_a_size_below_zero(tar_of(("manifest.json", b"[]"))),
    ],
    ids=[
        *("empty", "no tar", "cut off", "other layer", "cut layer", "damaged layer", "layer with another sum"),
        *(
            "damaged gzip",
            "a number",
            "a list of numbers",
            "config a number",
            "no layers",
            "no rootfs",
            "config a list",
        ),
        *("deep", "links in a circle", "a link out of it", "too large", "a size below zero"),
    ],
)
def test_a_damaged_image_archive_is_refused_and_leaves_nothing(store: Store, archive: bytes) -> None:
    with pytest.raises(ArchiveError, match="cannot be read") as raised:
        store.add_docker_image([archive])

    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400

    assert files_in(store) == []


def test_a_stream_that_breaks_off_leaves_nothing(store: Store) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises((ConnectionResetError, KubeV6Error)):
        store.add_stream(breaking())

    assert files_in(store) == []


def test_a_wrong_checksum_is_refused_and_nothing_kept(store: Store) -> None:
    with pytest.raises(KubeV6Error, match="wrong checksum"):
        store.add_stream([b"evil"], expected="0" * 64)

    assert files_in(store) == []


def test_damage_is_found(store: Store) -> None:
    manifest = release(store)
    store.write(manifest)
    binary = store.blob(manifest.binaries[0].sha256)

    binary.write_bytes(b"KUBEADM")
    assert [damage.of for damage in store.check(manifest)] == ["kubeadm"]

    binary.write_bytes(b"kube")
    assert "has 4 bytes instead of 7" in store.check(manifest)[0].seen

    binary.unlink()
    store.blob(manifest.images[0].digest).unlink()
    assert {(damage.of, damage.seen) for damage in store.check(manifest)} == {
        ("kubeadm", "missing"),
        ("pause", "missing"),
    }
    with pytest.raises(KubeV6Error, match="missing"):
        store.write(manifest)


def test_what_was_found_right_is_only_read_again_when_it_was_touched(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = release(store)
    store.write(manifest)
    substitute(monkeypatch, verified, "TICK", 0)
    assert store.check(manifest) == ()
    binary = store.blob(manifest.binaries[0].sha256)

    with monkeypatch.context() as patched:
        substitute(patched, hashlib, "file_digest", lambda *_: pytest.fail("it was read again"))
        assert Store(store.root).check(manifest) == ()

    # Of the same size, and with the times that it had.
    before = binary.stat()
    eventually(lambda: changed(binary, b"KUBEADM") > before.st_ctime_ns)
    os.utime(binary, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [damage.of for damage in Store(store.root).check(manifest)] == ["kubeadm"]


def changed(path: Path, content: bytes) -> int:
    """Write a file. Gives the time at which it was changed."""
    path.write_bytes(content)
    return path.stat().st_ctime_ns


@pytest.mark.parametrize("damage", ["", "[]", "[1]", '{"a": 1}'])
def test_a_damaged_note_of_what_was_read_costs_nothing_but_time(store: Store, damage: str) -> None:
    manifest = release(store)
    store.write(manifest)
    (store.root / "verified.json").write_text(damage)

    assert Store(store.root).check(manifest) == ()


def test_a_build_whose_manifest_is_damaged_is_none(store: Store) -> None:
    manifest = release(store)
    store.write(manifest)
    (store.root / "releases" / "test" / "current" / "manifest.json").write_text("{")

    assert store.find("test", manifest.key) is None
    store.write(manifest)
    assert store.find("test", manifest.key) == manifest


def test_a_damaged_manifest_hides_no_other_release(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    kept = release(store)
    store.write(kept)
    path = store.root / "releases" / "damaged" / "current" / "manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")

    assert store.list() == (kept,)
    assert f"{path}: is no release manifest" in caplog.text
    with pytest.raises(KubeV6Error, match=r"damaged/current/manifest.json: is no release manifest"):
        store.current("damaged")
    assert store.current("other") is None


def test_what_another_run_finishes_meanwhile_is_no_error(store: Store) -> None:
    kept = release(store)
    store.write(kept)
    waiting = store.root / "blobs" / "unfinished"
    (waiting / "gone").symlink_to(waiting / "renamed")
    (waiting / "left").touch()
    os.utime(waiting / "left", (0, 0))

    store.write(kept)

    assert not (waiting / "left").exists()


def test_a_manifest_that_is_none_is_named(store: Store) -> None:
    store.write(release(store))
    path = store.root / "releases" / "test" / "current" / "manifest.json"
    path.write_text('{"name": 1}')

    with pytest.raises(KubeV6Error, match=r"manifest\.json: is no release manifest"):
        store.current("test")


def test_cni_plugins_are_blobs_of_a_release(store: Store) -> None:
    sha256, size = store.add_stream([b"bridge"])
    plugins = (BinaryEntry(name="bridge", sha256=sha256, size=size),)
    manifest = release(store).model_copy(update={"cni": plugins, "cni_version": "0.6.0"})
    store.write(manifest)

    assert store.current("test") == manifest
    store.blob(sha256).unlink()
    assert [(damage.of, damage.seen) for damage in store.check(manifest)] == [("bridge", "missing")]


def test_a_manifest_of_before_there_were_cni_plugins_is_read(store: Store) -> None:
    manifest = release(store)
    store.write(manifest)
    path = store.root / "releases" / "test" / "current" / "manifest.json"
    old = json.loads(path.read_text())
    del old["cni"], old["cni_version"], old["binaries"][0]["checked"], old["images"][0]["checked"]
    path.write_text(json.dumps(old))

    assert store.current("test") == manifest


def test_a_file_is_taken_by_moving_it(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "downloaded"
    file.write_bytes(b"kubeadm")
    with pytest.raises(ChecksumError, match="wrong checksum"):
        store.take_file(file, expected="0" * 64)
    assert file.exists()

    sha256, size = store.take_file(file, expected=hashlib.sha256(b"kubeadm").hexdigest())

    assert size == 7
    assert store.blob(sha256).read_bytes() == b"kubeadm"
    assert not file.exists()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system")
def test_a_file_is_taken_from_another_file_system(store: Store) -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm", delete=False) as file:
        file.write(b"kubeadm")
    sha256, _ = store.take_file(Path(file.name))

    assert store.blob(sha256).read_bytes() == b"kubeadm"
    assert not Path(file.name).exists()


def test_an_image_is_whole_or_not_there(store: Store) -> None:
    digest, _ = store.add_docker_image(saved([layer(b"x")]))
    assert store.has_image(digest)
    assert not store.has_image(f"sha256:{'0' * 64}")

    layer_blob = store.blob(store.image_blobs(digest)[1][0])
    whole = layer_blob.read_bytes()
    layer_blob.write_bytes(b"cut")
    assert not store.has_image(digest)
    layer_blob.write_bytes(bytes(len(whole)))
    assert not store.has_image(digest), "of the same size"


def test_what_cannot_be_read_now_is_neither_removed_nor_called_damaged(store: Store) -> None:
    manifest = release(store)
    blob = store.blob(manifest.binaries[0].sha256)
    aside = blob.rename(blob.with_name("aside"))
    blob.symlink_to(blob.name)  # a loop
    for look in (lambda: store.drop_damaged(blob.name), lambda: store.fault(blob.name), lambda: store.check(manifest)):
        with pytest.raises(KubeV6Error, match=r"cannot be read: Too many levels of symbolic links; ") as raised:
            look()
        assert str(raised.value).startswith(str(blob))
    assert blob.is_symlink()
    blob.unlink()
    aside.rename(blob)
    assert store.check(manifest) == ()


def test_too_many_open_files_are_no_damage(store: Store) -> None:
    manifest = release(store)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with tempfile.TemporaryFile() as last:
        resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno() + 1, before[1]))
        try:
            with pytest.raises(KubeV6Error, match=r"cannot be read: Too many open files; .* need not be made"):
                store.drop_damaged(manifest.binaries[0].sha256)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert not store.drop_damaged(manifest.binaries[0].sha256)
