"""Speaking to a registry that does what the specification lets it do and Debian's does not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from configs.errors import KubeV6Error
from tasks import scope, secrets
from tasks.release.registry_client import Registry, session_with
from tests.http_server import Answering, serving

DIGEST = f"sha256:{hashlib.sha256(b'content').hexdigest()}"


class _Server(ThreadingHTTPServer):
    """A registry.

    Attributes:
        pages: The tags of each page, which has the number of the next one behind ``?page=``.
        link: How it names the next page.
        location: Where it wants a blob.
        status: What it answers to everything, when that is not 0.
        came: The request lines that came, and how many bytes each brought.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.pages: list[list[str] | None] = [["a"]]
        self.link = self.location = "/v2/x/uploads/1"
        self.status = 0
        self.came: list[tuple[str, int]] = []


class _Answering(Answering):
    server: _Server
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        self.server.came.append((f"{self.command} {self.path}", length))
        if self.server.status:
            self.answer(self.server.status, b"of hunter2-the-token\nand more")
        elif self.command == "GET":
            page = int(self.path.partition("page=")[2] or 0)
            more = page + 1 < len(self.server.pages)
            link = {"Link": f'<{self.server.link}?page={page + 1}>; rel="next"'} if more else {}
            self.answer(200, json.dumps({"tags": self.server.pages[page]}).encode(), **link)
        elif self.command == "POST":
            self.answer(202, Location=self.server.location)
        else:
            self.answer(201, Docker_Content_Digest=DIGEST)

    do_GET = do_POST = do_PUT = do_DELETE = _any


@pytest.fixture
def server() -> Iterator[_Server]:
    with serving(_Server()) as made:
        yield made


@pytest.fixture
def registry(server: _Server) -> Iterator[Registry]:
    address = f"http://127.0.0.1:{server.server_address[1]}"
    with session_with(address, None) as session:
        yield Registry(address, session)


@pytest.mark.parametrize("link", ["/v2/x/tags/list", "list", "http://registry.invalid/v2/x/tags/list"])
def test_tags_come_in_pages_wherever_it_takes_itself_to_be(server: _Server, registry: Registry, link: str) -> None:
    server.pages, server.link = [["a", "b"], None, ["c"]], link
    assert registry.tags("x") == ["a", "b", "c"]


def test_a_repository_that_is_not_there_has_no_tags(server: _Server, registry: Registry) -> None:
    server.status = 404
    assert registry.tags("x") == []


@pytest.mark.parametrize(
    ("location", "put"),
    [
        ("/v2/x/uploads/1", f"PUT /v2/x/uploads/1?digest={DIGEST}"),
        ("/v2/x/uploads/1?state=y%3D", f"PUT /v2/x/uploads/1?state=y%3D&digest={DIGEST}"),
        ("http://registry.invalid/v2/x/uploads/1?a=b", f"PUT /v2/x/uploads/1?a=b&digest={DIGEST}"),
    ],
)
def test_a_blob_goes_where_it_is_wanted(
    server: _Server, registry: Registry, tmp_path: Path, location: str, put: str
) -> None:
    server.location = location
    (tmp_path / "blob").write_bytes(b"content")
    registry.upload("x", DIGEST, tmp_path / "blob")
    assert server.came == [("POST /v2/x/blobs/uploads/", 0), (put, 7)]


def test_other_bytes_than_were_sent_are_an_error(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"other")
    with pytest.raises(KubeV6Error, match=f"sha256:0 arrived there as {DIGEST}") as caught:
        registry.upload("x", "sha256:0", tmp_path / "blob")
    assert caught.value.transient


@pytest.mark.parametrize(("status", "transient"), [(400, False), (503, True)])
def test_an_answer_that_is_none_is_one_line_without_secrets(
    server: _Server, registry: Registry, tmp_path: Path, status: int, transient: bool
) -> None:
    server.status = status
    with scope.holding(secrets.Secrets()):
        secrets.remember("hunter2-the-token")
        with pytest.raises(KubeV6Error) as caught:
            registry.upload("x", DIGEST, tmp_path / "blob")
    assert caught.value.transient == transient
    said = f"POST /v2/x/blobs/uploads/: answered {status}: of {secrets.HIDDEN} and more"
    assert caught.value.message.endswith(said)


def test_what_may_not_be_deleted_is_told_by_its_status(server: _Server, registry: Registry) -> None:
    server.status = 405
    assert registry.delete("x", DIGEST) == 405
