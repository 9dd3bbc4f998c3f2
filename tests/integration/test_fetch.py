"""Fetching a release from a real web server or a mirror, and what is said when it does not give it."""

from __future__ import annotations

import hashlib
import io
import json
import random
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.errors import ConfigError, KubeV6Error
from configs.manifest import CNI_PLUGINS
from configs.schema.loading import load_release
from configs.schema.release import CniPlugins, Download, Fetch, Release
from tasks.paths import cache_dir
from tasks.release.fetch import cni, download, mirror_directory
from tasks.release.fetch.fetch import fetch_release, lacking
from tasks.release.fetch.fetch_file import PUBLISHED_BYTES
from tasks.release.fetch.mirror import Mirror, chosen, full_reference, path_of_image
from tasks.release.fetch.program import HEAD, instead_of_a_program
from tasks.release.store import Store
from tests.fakes import substitute
from tests.integration.web_server import WebServer, serving
from tests.unit.test_program import elf
from tests.unit.test_store import layer, saved

pytestmark = pytest.mark.usefixtures("own_data", "impatient_downloads")
CONTENT = elf() + random.Random(9).randbytes(1 << 20)
OTHER = elf() + random.Random(8).randbytes(1 << 20)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2
IMAGE = "registry.example/team/etcd-amd64:3.0.17"


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def release(*images: str, cni: CniPlugins | None = None, **binaries: Download) -> Release:
    fetch = Fetch(binaries=binaries, images=images)
    return Release(name="old", kubernetes="1.9.0-alpha.0.ipv6.0", fetch=fetch, cni=cni)


def archive_of_plugins(names: tuple[str, ...] = CNI_PLUGINS, *, prefix: str = "./", program: bytes = elf()) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name in names:
            entry = tarfile.TarInfo(prefix + name)
            content = program + name.encode()
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def refused(wanted: Release, store: Store, mirror: Mirror | None = None) -> KubeV6Error:
    with pytest.raises(KubeV6Error) as caught:
        fetch_release(wanted, store=store, mirror=mirror)
    assert "\n" not in str(caught.value)
    return caught.value


def blobs(store: Store) -> set[str]:
    return {path.name for path in (store.root / "blobs" / "sha256").glob("*")}


# --- once, and checked -----------------------------------------------------------------------------------


def test_a_release_is_fetched_once_and_says_what_each_file_was_checked_against(server: WebServer, store: Store) -> None:
    for name in ("kubeadm", "kubectl", "kubelet"):
        server.put(f"/{name}", CONTENT + name.encode())
    published = hashlib.sha256(CONTENT + b"kubelet").hexdigest()
    server.put("/kubelet.sha256", published.encode())
    given = hashlib.sha256(CONTENT + b"kubectl").hexdigest()
    wanted = release(
        kubeadm=Download(url=f"{server.url}/kubeadm"),
        kubectl=Download(url=f"{server.url}/kubectl", sha256=given),
        kubelet=Download(url=f"{server.url}/kubelet", sha256_url=f"{server.url}/kubelet.sha256"),
    )

    manifest = fetch_release(wanted, store=store)

    assert manifest.version == "v1.9.0-alpha.0.ipv6.0"
    assert manifest.source.kind == "fetched"
    assert {binary.name: binary.checked for binary in manifest.binaries} == {
        "kubeadm": "sha256 recorded at first fetch",
        "kubectl": "sha256 given",
        "kubelet": "sha256 published",
    }
    assert store.blob(manifest.binary("kubeadm").sha256).read_bytes() == CONTENT + b"kubeadm"
    assert fetch_release(wanted, store=store) == manifest
    assert {path: len(file.asked) for path, file in server.files.items()} == dict.fromkeys(server.files, 1)


def test_another_release_with_the_same_file_does_not_fetch_it_again(server: WebServer, store: Store) -> None:
    file = server.put("/kubeadm", CONTENT)
    wanted = Download(url=f"{server.url}/kubeadm")
    fetch_release(release(kubeadm=wanted), store=store)

    again = fetch_release(release(kubeadm=wanted, kubectl=wanted), store=store)

    assert {binary.checked for binary in again.binaries} == {"sha256 as at the first fetch"}
    assert len(file.asked) == 1


def test_what_was_damaged_in_the_store_is_fetched_again(server: WebServer, store: Store) -> None:
    file = server.put("/kubeadm", CONTENT)
    wanted = release(kubeadm=Download(url=f"{server.url}/kubeadm", sha256=SHA256))
    manifest = fetch_release(wanted, store=store)
    store.blob(SHA256).write_bytes(b"cut")

    assert fetch_release(wanted, store=store).binaries == manifest.binaries

    assert store.check(manifest) == ()
    assert len(file.asked) == 2


def test_damage_that_keeps_the_size_is_noticed_too(server: WebServer, store: Store) -> None:
    file = server.put("/kubeadm", CONTENT)
    wanted = release(kubeadm=Download(url=f"{server.url}/kubeadm"))
    manifest = fetch_release(wanted, store=store)
    store.blob(SHA256).write_bytes(bytes(len(CONTENT)))

    assert fetch_release(wanted, store=store).binaries[0].sha256 == SHA256

    assert store.check(manifest) == ()
    assert len(file.asked) == 2


def test_what_is_there_is_fetched_again_when_that_is_asked_for(server: WebServer, store: Store) -> None:
    file = server.put("/kubeadm", CONTENT)
    wanted = release(kubeadm=Download(url=f"{server.url}/kubeadm", sha256=SHA256))
    manifest = fetch_release(wanted, store=store)

    assert fetch_release(wanted, store=store, force=True).binaries == manifest.binaries
    assert len(file.asked) == 2

    server.put("/kubeadm", CONTENT + b"other")
    with pytest.raises(KubeV6Error, match="wrong checksum"):
        fetch_release(wanted, store=store, force=True)
    assert store.check(manifest) == (), "what there was stays"


def test_the_checksum_of_the_first_fetch_is_enforced(server: WebServer, store: Store) -> None:
    file = server.put("/kubeadm", CONTENT)
    wanted = release(kubeadm=Download(url=f"{server.url}/kubeadm"))
    fetch_release(wanted, store=store)
    store.blob(SHA256).unlink()
    file.content = OTHER
    other = hashlib.sha256(file.content).hexdigest()

    error = refused(wanted, store)

    records = store.root / "fetched.json"
    for word in (f"kubeadm: {server.url}/kubeadm", SHA256, other, str(records), "remove its entry"):
        assert word in str(error)
    assert not error.transient
    assert other not in blobs(store)

    record = json.loads(records.read_text())
    assert set(record.pop(f"{server.url}/kubeadm")) == {"sha256", "size", "first_seen", "checked", "manifest"}
    records.write_text(json.dumps(record))
    assert fetch_release(wanted, store=store).binaries[0].sha256 == other


def test_a_checksum_that_was_given_later_takes_the_place_of_the_recorded_one(server: WebServer, store: Store) -> None:
    file = server.put("/kubeadm", CONTENT)
    fetch_release(release(kubeadm=Download(url=f"{server.url}/kubeadm")), store=store)
    file.content = CONTENT[::-1]
    sha256 = hashlib.sha256(file.content).hexdigest()

    manifest = fetch_release(release(kubeadm=Download(url=f"{server.url}/kubeadm", sha256=sha256)), store=store)

    assert (manifest.binaries[0].sha256, manifest.binaries[0].checked) == (sha256, "sha256 given")


def test_a_wrong_checksum_is_told_with_both_and_nothing_is_kept(server: WebServer, store: Store) -> None:
    server.put("/kubeadm", CONTENT)
    server.put("/kubeadm.sha256", b"0" * 64 + b"  kubeadm\n")
    url = f"{server.url}/kubeadm"
    for wanted, who in (
        (Download(url=url, sha256="0" * 64), "the release file"),
        (Download(url=url, sha256_url=f"{url}.sha256"), f"{url}.sha256"),
    ):
        error = refused(release(kubeadm=wanted), store)
        assert f"kubeadm: {url}: wrong checksum" in str(error)
        assert f"the sha256 {SHA256}, {who} says {'0' * 64}" in str(error)
        assert not error.transient
    assert blobs(store) == set()
    assert [path for path in (cache_dir() / "partial").iterdir() if path.suffix != ".lock"] == []


def test_several_files_may_have_their_checksums_in_one_place(server: WebServer, store: Store) -> None:
    sums = f"{server.url}/SHA256SUMS"
    wanted, lines = {}, b""
    for name in ("kubeadm", "kubectl", "kubelet"):
        content = CONTENT + name.encode()
        server.put(f"/{name}", content)
        lines += f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()
        wanted[name] = Download(url=f"{server.url}/{name}", sha256_url=sums)
    server.put("/SHA256SUMS", lines, seconds=0.2)

    manifest = fetch_release(Release(name="old", kubernetes="1.9.0", fetch=Fetch(binaries=wanted)), store=store)

    assert {binary.checked for binary in manifest.binaries} == {"sha256 published"}


@pytest.mark.parametrize(
    ("text", "says"),
    [(b"<html>sign in</html>", "begins with '<html>sign in</html>'"), (b"", "gives no sha256 of kubeadm")],
)
def test_what_is_no_published_checksum_is_told(server: WebServer, store: Store, text: bytes, says: str) -> None:
    server.put("/kubeadm", CONTENT)
    server.put("/kubeadm.sha256", text)
    wanted = release(kubeadm=Download(url=f"{server.url}/kubeadm", sha256_url=f"{server.url}/kubeadm.sha256"))

    assert says in str(refused(wanted, store))
    assert server.files["/kubeadm"].asked == []


@pytest.mark.parametrize("wrong", [b"hello\n", b"<!doctype html><p>Sign in</p>", b"", elf(machine=183) + CONTENT])
def test_what_is_no_program_is_not_held_for_the_first_one_seen(server: WebServer, store: Store, wrong: bytes) -> None:
    server.put("/kubeadm", wrong)
    wanted = release(kubeadm=Download(url=f"{server.url}/kubeadm"))

    error = refused(wanted, store)

    seen = instead_of_a_program(wrong[:HEAD])
    assert f"kubeadm: {server.url}/kubeadm is {seen}, and no program for x86-64" in str(error)
    assert not error.transient
    assert blobs(store) == set()
    assert [path for path in (cache_dir() / "partial").iterdir() if path.suffix != ".lock"] == []
    server.put("/kubeadm", CONTENT)
    assert fetch_release(wanted, store=store).binaries[0].sha256 == SHA256


def test_what_a_mirror_has_that_is_no_program_stays_there(store: Store, tmp_path: Path) -> None:
    there = tmp_path / "publisher.invalid" / "kubeadm"
    there.parent.mkdir()
    there.write_bytes(b"#!/bin/sh\n")
    wanted = release(kubeadm=Download(url="https://publisher.invalid/kubeadm"))

    error = refused(wanted, store, chosen(str(tmp_path)))

    assert f"kubeadm: {there} is a script, and no program for x86-64" in str(error)
    assert there.exists()


def test_what_is_there_is_not_sent_again_when_its_checksum_becomes_known(server: WebServer, store: Store) -> None:
    file = server.put("/kubeadm", CONTENT)
    sums = server.put("/kubeadm.sha256", SHA256.encode())
    url = f"{server.url}/kubeadm"
    fetch_release(release(kubeadm=Download(url=url)), store=store)
    for wanted, checked in (
        (Download(url=url, sha256_url=f"{url}.sha256"), "sha256 published"),
        (Download(url=f"{url}-elsewhere", sha256=SHA256), "sha256 given"),
    ):
        assert lacking(release(kubeadm=wanted), store) == (("kubeadm",) if wanted.sha256_url else ())
        assert fetch_release(release(kubeadm=wanted), store=store).binaries[0].checked == checked
        assert lacking(release(kubeadm=wanted), store) == ()
    assert (len(file.asked), len(sums.asked)) == (1, 1)


def test_parts_of_two_files_are_noticed_by_the_checksum_and_all_is_downloaded_again(
    server: WebServer, store: Store
) -> None:
    file = server.put("/kubeadm", CONTENT[::-1], etag="", break_at=[HALF, *[HALF] * download.ATTEMPTS])
    wanted = release(kubeadm=Download(url=f"{server.url}/kubeadm", sha256=SHA256))
    refused(wanted, store)
    file.content, file.break_at, file.sent = CONTENT, [], []

    assert fetch_release(wanted, store=store).binaries[0].sha256 == SHA256

    assert file.sent == [(HALF, len(CONTENT)), (0, len(CONTENT))]


# --- what cannot be had ----------------------------------------------------------------------------------


def test_what_failed_is_told_and_what_came_is_not_fetched_again(server: WebServer, store: Store) -> None:
    good = server.put("/kubeadm", CONTENT)
    wanted = release(
        kubeadm=Download(url=f"{server.url}/kubeadm"),
        kubectl=Download(url=f"{server.url}/no-kubectl"),
        kubelet=Download(url=f"{server.url}/no-kubelet"),
    )

    error = refused(wanted, store)

    assert f"kubectl: {server.url}/no-kubectl answered 404 Not Found" in str(error)
    assert not error.transient
    server.put("/no-kubectl", elf() + b"kubectl")
    server.put("/no-kubelet", elf() + b"kubelet")
    fetch_release(wanted, store=store)
    assert len(good.asked) == 1


def test_no_network_is_one_line(store: Store) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/kubeadm"

    error = refused(release(kubeadm=Download(url=url)), store)

    assert f"kubeadm: {url} cannot be downloaded" in str(error)
    assert error.transient


def test_an_image_that_no_registry_gives_is_named(server: WebServer, store: Store) -> None:
    server.put("/kubeadm", CONTENT)
    wanted = release("127.0.0.1:9/kube-proxy:v1", kubeadm=Download(url=f"{server.url}/kubeadm"))

    assert "the image 127.0.0.1:9/kube-proxy:v1 cannot be pulled" in str(refused(wanted, store))
    assert store.list() == ()


def test_records_that_cannot_be_read_are_named(server: WebServer, store: Store) -> None:
    server.put("/kubeadm", CONTENT)
    store.root.mkdir()
    (store.root / "fetched.json").write_text("{")

    assert f"{store.root}/fetched.json: is no record of downloads" in str(
        refused(release(kubeadm=Download(url=f"{server.url}/kubeadm")), store)
    )


def test_files_come_side_by_side(server: WebServer, store: Store) -> None:
    meeting = threading.Barrier(3, timeout=5)  # which a client that tries again would not come to alone
    for name in ("kubeadm", "kubectl", "kubelet"):
        server.put(f"/{name}", CONTENT, meeting=meeting)
    wanted = release(
        kubeadm=Download(url=f"{server.url}/kubeadm"),
        kubectl=Download(url=f"{server.url}/kubectl"),
        kubelet=Download(url=f"{server.url}/kubelet"),
    )

    fetch_release(wanted, store=store)

    assert not meeting.broken


# --- CNI plugins -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["./", ""])
def test_the_plugins_that_nodes_need_are_kept(server: WebServer, store: Store, prefix: str) -> None:
    archive = archive_of_plugins((*CNI_PLUGINS, "vlan", "sample"), prefix=prefix)
    server.put("/cni.tgz", archive)
    server.put("/kubeadm", CONTENT)
    sha256 = hashlib.sha256(archive).hexdigest()
    wanted = release(
        kubeadm=Download(url=f"{server.url}/kubeadm"),
        cni=CniPlugins(version="0.6.0", url=f"{server.url}/cni.tgz", sha256=sha256),
    )

    manifest = fetch_release(wanted, store=store)

    assert manifest.cni_version == "0.6.0"
    assert [plugin.name for plugin in manifest.cni] == list(CNI_PLUGINS)
    assert {plugin.checked for plugin in manifest.cni} == {"sha256 given"}
    assert store.blob(manifest.cni[0].sha256).read_bytes() == elf() + b"bridge"
    assert len(server.files["/cni.tgz"].asked) == 1


@pytest.mark.parametrize(
    ("archive", "says"),
    [
        (b"no archive", "is no archive of CNI plugins"),
        (archive_of_plugins()[:-40], "is no archive of CNI plugins"),
        (archive_of_plugins(("bridge", "host-local", "loopback")), "has no program portmap at its top"),
        (archive_of_plugins(prefix="../"), "has no program bridge, host-local, loopback, portmap at its top"),
        (archive_of_plugins(prefix="/opt/cni/bin/"), "has no program bridge"),
        (archive_of_plugins(program=elf(machine=183)), "bridge in it is a 64-bit ELF file for AArch64, and no program"),
    ],
    ids=["none", "cut off", "one missing", "outside", "absolute", "another processor"],
)
def test_an_archive_without_the_plugins_is_refused(server: WebServer, store: Store, archive: bytes, says: str) -> None:
    server.put("/cni.tgz", archive)
    server.put("/kubeadm", CONTENT)
    cni = CniPlugins(version="0.6.0", url=f"{server.url}/cni.tgz")

    error = refused(release(kubeadm=Download(url=f"{server.url}/kubeadm"), cni=cni), store)

    assert f"cni-plugins 0.6.0: {server.url}/cni.tgz: " in str(error)
    assert says in str(error)
    server.put("/cni.tgz", archive_of_plugins())
    assert fetch_release(release(kubeadm=Download(url=f"{server.url}/kubeadm"), cni=cni), store=store).cni


def test_a_link_that_calls_itself_a_plugin_is_none(server: WebServer, store: Store) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name in CNI_PLUGINS:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/shadow"
            tar.addfile(entry)
    server.put("/cni.tgz", made.getvalue())
    server.put("/kubeadm", CONTENT)
    cni = CniPlugins(version="0.6.0", url=f"{server.url}/cni.tgz")

    assert "has no program bridge" in str(
        refused(release(kubeadm=Download(url=f"{server.url}/kubeadm"), cni=cni), store)
    )


def test_an_archive_of_plugins_that_comes_to_too_much_is_refused(
    server: WebServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    substitute(monkeypatch, cni, "LARGEST_UNPACKED", 32 << 20)
    server.put("/kubeadm", CONTENT)
    server.put("/cni.tgz", archive_of_plugins(("bomb", *CNI_PLUGINS), program=elf() + bytes(33 << 20)))
    wanted = release(
        kubeadm=Download(url=f"{server.url}/kubeadm"),
        cni=CniPlugins(version="0.6.0", url=f"{server.url}/cni.tgz"),
    )

    assert "/cni.tgz: is no archive of CNI plugins: what is in it, unpacked, has more than 32 MiB" in str(
        refused(wanted, store)
    )


def test_a_published_checksum_that_does_not_end_is_refused(server: WebServer, store: Store) -> None:
    server.put("/kubeadm", CONTENT)
    server.put("/kubeadm.sha256", bytes(PUBLISHED_BYTES + 1))
    wanted = Download(url=f"{server.url}/kubeadm", sha256_url=f"{server.url}/kubeadm.sha256")

    error = refused(release(kubeadm=wanted), store)

    assert f"{server.url}/kubeadm.sha256 has more than 1 MiB" in str(error)


# --- mirrors ---------------------------------------------------------------------------------------------


@pytest.fixture
def published(server: WebServer) -> Release:
    """A release with every kind of thing, whose publisher nobody can reach."""
    archive = archive_of_plugins()
    host = "publisher.invalid"
    server.put(f"/{host}/bin/kubeadm", CONTENT)
    server.put(f"/{host}/bin/kubelet", CONTENT + b"kubelet")
    server.put(f"/{host}/bin/kubelet.sha256", hashlib.sha256(CONTENT + b"kubelet").hexdigest().encode())
    server.put(f"/{host}/cni.tgz", archive)
    server.put("/registry.example/team/etcd-amd64/3.0.17.tar", b"".join(saved([layer(b"etcd" * 1000), layer(b"x")])))
    return release(
        IMAGE,
        kubeadm=Download(url=f"https://{host}/bin/kubeadm"),
        kubelet=Download(url=f"https://{host}/bin/kubelet", sha256_url=f"https://{host}/bin/kubelet.sha256"),
        cni=CniPlugins(version="0.6.0", url=f"https://{host}/cni.tgz", sha256=hashlib.sha256(archive).hexdigest()),
    )


def test_a_mirror_takes_the_place_of_every_publisher(server: WebServer, published: Release, store: Store) -> None:
    manifest = fetch_release(published, store=store, mirror=chosen(server.url + "/"))

    assert [(binary.name, binary.checked) for binary in manifest.binaries] == [
        ("kubeadm", "sha256 recorded at first fetch"),
        ("kubelet", "sha256 published"),
    ]
    (image,) = manifest.images
    assert (image.name, image.tag, image.checked) == ("etcd-amd64", "3.0.17", "sha256 recorded at first fetch")
    assert store.check(manifest) == ()
    assert {len(file.asked) for file in server.files.values()} == {1}


def test_a_release_written_to_a_directory_is_fetched_from_it_without_a_network(
    server: WebServer, published: Release, store: Store, tmp_path: Path
) -> None:
    manifest = fetch_release(published, store=store, mirror=chosen(server.url))
    directory, far = tmp_path / "usb" / "kubev6", Store(tmp_path / "far")

    mirror_directory.provide(directory)
    mirror_directory.write(published, manifest, store, directory, None)
    there = fetch_release(published, store=far, mirror=chosen(str(directory)))

    assert there.model_dump(exclude={"created"}) == manifest.model_dump(exclude={"created"})
    assert far.check(there) == ()
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=directory, check=True)
    paths = sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())
    assert paths == [
        "SHA256SUMS",
        "publisher.invalid/bin/kubeadm",
        "publisher.invalid/bin/kubelet",
        "publisher.invalid/bin/kubelet.sha256",
        "publisher.invalid/cni.tgz",
        "registry.example/team/etcd-amd64/3.0.17.tar",
    ]
    assert (directory / "publisher.invalid/bin/kubeadm").read_bytes() == CONTENT
    assert {len(file.asked) for file in server.files.values()} == {1}


def test_a_mirror_that_holds_another_release_keeps_it(
    server: WebServer, published: Release, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "other.example").mkdir()
    (tmp_path / "other.example" / "x").write_text("x")
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(b'x').hexdigest()}  other.example/x\n")
    manifest = fetch_release(published, store=store, mirror=chosen(server.url))

    for _ in range(2):
        mirror_directory.write(published, manifest, store, tmp_path, None)

    listed = [line.split("  ")[1] for line in (tmp_path / "SHA256SUMS").read_text().splitlines()]
    assert listed == sorted(set(listed))
    assert {"other.example/x", "publisher.invalid/bin/kubeadm"} < set(listed)


def test_all_that_a_directory_lacks_is_one_line_and_what_it_has_is_kept(
    published: Release, store: Store, tmp_path: Path
) -> None:
    there = tmp_path / "usb" / "publisher.invalid" / "bin"
    there.mkdir(parents=True)
    (there / "kubeadm").write_bytes(CONTENT)

    error = refused(published, store, chosen(str(tmp_path / "usb")))

    for word in (
        f"the mirror {tmp_path}/usb has no publisher.invalid/bin/kubelet, publisher.invalid/bin/kubelet.sha256, "
        "publisher.invalid/cni.tgz, registry.example/team/etcd-amd64/3.0.17.tar;",
        "kubev6 fetch RELEASE --to DIRECTORY",
    ):
        assert word in str(error)
    assert "bin/kubeadm" not in str(error)
    assert not error.transient
    assert blobs(store) == {SHA256}
    assert store.list() == ()


@pytest.mark.parametrize(
    "path",
    [
        "publisher.invalid/bin/kubeadm",
        "publisher.invalid/bin/kubelet.sha256",
        "registry.example/team/etcd-amd64/3.0.17.tar",
    ],
)
def test_what_the_mirror_of_an_address_lacks_is_named(
    server: WebServer, published: Release, store: Store, path: str
) -> None:
    del server.files[f"/{path}"]

    error = refused(published, store, chosen(server.url))

    assert f"the mirror {server.url} has no {path}" in str(error)
    assert not error.transient


def test_a_mirror_has_to_hold_what_the_publisher_gave(server: WebServer, published: Release, store: Store) -> None:
    fetch_release(published, store=store, mirror=chosen(server.url))
    store.blob(SHA256).unlink()
    server.files["/publisher.invalid/bin/kubeadm"].content = b"evil"

    error = refused(published, store, chosen(server.url))

    assert SHA256 in str(error)
    assert hashlib.sha256(b"evil").hexdigest() in str(error)


def test_an_image_whose_tag_was_moved_is_refused(server: WebServer, published: Release, store: Store) -> None:
    manifest = fetch_release(published, store=store, mirror=chosen(server.url))
    store.blob(manifest.images[0].digest).unlink()
    archive = server.files["/registry.example/team/etcd-amd64/3.0.17.tar"]
    archive.content = b"".join(saved([layer(b"another etcd")]))

    error = refused(published, store, chosen(server.url))

    assert f"the image {IMAGE}: wrong checksum" in str(error)
    assert "fetched.json" in str(error)


def test_a_damaged_image_archive_is_named(server: WebServer, published: Release, store: Store) -> None:
    archive = server.files["/registry.example/team/etcd-amd64/3.0.17.tar"]
    archive.content = archive.content[:3000]

    error = refused(published, store, chosen(server.url))

    assert f"the image {IMAGE}: {server.url}/registry.example/team/etcd-amd64/3.0.17.tar: " in str(error)
    assert "cannot be read" in str(error)
    assert [path for path in (cache_dir() / "partial").iterdir() if path.suffix != ".lock"] == []


def test_the_mirror_comes_from_the_flag_else_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen() is None
    monkeypatch.setenv("KUBEV6_MIRROR", "http://mirror.example/kubev6/")
    assert chosen() == Mirror("http://mirror.example/kubev6")
    assert chosen(str(tmp_path)) == Mirror(str(tmp_path))


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("/no/such/place", "the mirror /no/such/place: there is no such directory"),
        ("ftp://mirror.example", "the mirror ftp://mirror.example: is no address"),
        ("http://me:secret@mirror.example", "is named with a login; put the login into ~/.netrc"),
        ("http://[::1", "the mirror is no address"),
        ("http://mirror.example:99999999", "the mirror is no address"),
        ("x" * 5000, "x…: there is no such directory"),
    ],
)
def test_a_mirror_that_cannot_be_one_is_refused(place: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chosen(place)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("busybox:1.36", "docker.io/library/busybox/1.36.tar"),
        ("diverdane/etcd-amd64:3.0.17", "docker.io/diverdane/etcd-amd64/3.0.17.tar"),
        ("gcr.io/google_containers/pause-amd64:3.0", "gcr.io/google_containers/pause-amd64/3.0.tar"),
        ("localhost/x:1", "localhost/x/1.tar"),
        ("127.0.0.1:5000/x:1", "127.0.0.1:5000/x/1.tar"),
        ("registry.k8s.io/coredns/coredns:v1.12.1", "registry.k8s.io/coredns/coredns/v1.12.1.tar"),
    ],
)
def test_an_image_is_looked_for_under_its_registry(reference: str, path: str) -> None:
    assert path_of_image(reference) == path
    assert path_of_image(full_reference(reference)) == path


@pytest.mark.parametrize("name", ["v1.33.7", "v1.34.2", "v1.35.0", "v1.36.0", "v1.37.0"])
def test_each_upstream_release_comes_from_a_mirror_and_without_one_file_is_refused_by_one_line(
    name: str, store: Store, tmp_path: Path
) -> None:
    wanted = load_release(name)
    assert wanted.fetch is not None
    assert wanted.cni is not None
    mirror = Mirror(str(tmp_path / "mirror"))

    def put(path: str, content: bytes) -> Path:
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return place

    contents = {file.url: elf() + key.encode() for key, file in wanted.fetch.binaries.items()}
    contents[wanted.cni.url] = archive_of_plugins()
    for url, content in contents.items():
        put(mirror.file(url), content)
        put(mirror.file(f"{url}.sha256"), hashlib.sha256(content).hexdigest().encode())
    for reference in wanted.fetch.images:
        last = put(mirror.image(reference), b"".join(saved([layer(reference.encode())])))
    kept = last.read_bytes()
    last.unlink()

    missing = refused(wanted, store, mirror)
    assert f"the mirror {mirror.root} has no {path_of_image(wanted.fetch.images[-1])}" in str(missing)
    last.write_bytes(kept)
    manifest = fetch_release(wanted, store=store, mirror=mirror)
    assert manifest.version == name
    assert {each.checked for each in (*manifest.binaries, *manifest.cni)} == {"sha256 published"}
    assert [f"{image.name}:{image.tag}" for image in manifest.images] == [
        reference.rpartition("/")[2] for reference in wanted.fetch.images
    ]
