"""Fetching a release from a real web server, and what is said when it does not give it."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from configs.errors import KubeV6Error
from configs.schema import Fetch, FetchedBinary, Release
from tasks.fetch import fetch_release
from tasks.store import Store

CONTENT = b"kubeadm of 2017 " * 70_000


class Server(ThreadingHTTPServer):
    """Serves one file under several behaviours and counts what was asked."""

    asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.asked += 1
        if self.path in ("/404", "/503"):
            self.send_error(int(self.path[1:]))
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/cut" else CONTENT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield serving
        serving.shutdown()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def release(url: str, sha256: str | None = None, images: tuple[str, ...] = ()) -> Release:
    binaries = {"kubeadm": FetchedBinary(url=url, sha256=sha256)}
    fetch = Fetch(binaries=binaries, images=images)
    return Release(name="old", kubernetes="1.9.0-alpha.0.ipv6.0", fetch=fetch)


@pytest.mark.parametrize("known", [True, False], ids=["checksum given", "checksum not known"])
def test_a_release_is_fetched_once(server: Server, store: Store, known: bool) -> None:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    wanted = release(f"{server.url}/kubeadm", sha256 if known else None)

    manifest = fetch_release(wanted, store=store)

    assert manifest.version == "v1.9.0-alpha.0.ipv6.0"
    assert manifest.source.kind == "fetched"
    assert manifest.binary("kubeadm").sha256 == sha256
    assert store.blob(sha256).read_bytes() == CONTENT
    assert fetch_release(wanted, store=store) == manifest
    assert server.asked == 1


@pytest.mark.parametrize(
    ("path", "sha256", "says", "transient"),
    [
        ("/404", None, "answered 404", False),
        ("/503", None, "answered 503", True),
        ("/cut", None, "kubeadm", True),
        ("/kubeadm", "0" * 64, "wrong checksum", False),
    ],
)
def test_what_cannot_be_had_is_one_line_and_nothing_is_kept(
    server: Server, store: Store, path: str, sha256: str | None, says: str, transient: bool
) -> None:
    with pytest.raises(KubeV6Error, match=says) as caught:
        fetch_release(release(f"{server.url}{path}", sha256), store=store)

    assert caught.value.transient is transient
    assert "\n" not in str(caught.value)
    assert [found for found in store.root.rglob("*") if found.is_file()] == []


def test_no_network_is_one_line(store: Store) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/kubeadm"

    with pytest.raises(KubeV6Error, match=f"kubeadm: {url} cannot be downloaded") as caught:
        fetch_release(release(url), store=store)

    assert caught.value.transient
    assert "\n" not in str(caught.value)


def test_an_image_that_no_registry_gives_is_named(server: Server, store: Store) -> None:
    wanted = release(f"{server.url}/kubeadm", images=("127.0.0.1:9/kube-proxy:v1",))

    with pytest.raises(KubeV6Error, match=r"the image 127\.0\.0\.1:9/kube-proxy:v1 cannot be pulled") as caught:
        fetch_release(wanted, store=store)

    assert "\n" not in str(caught.value)
    assert store.list() == ()
