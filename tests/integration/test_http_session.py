"""Servers that send more than anybody takes, or never come to an end: real connections, and who asks them."""

from __future__ import annotations

import gzip
import threading
import time
import tracemalloc
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import requests

from configs.errors import KubeV6Error
from flows.run import notify
from kubev6.server import api, temporary_server
from tasks import http_session
from tasks.bounded import TooMuchError
from tasks.http_session import Session, UnusableError
from tasks.release import registry_client
from tasks.release.registry_client import Registry, session_with
from tasks.release.registry_login import RegistryLogin
from tests.fakes import substitute
from tests.integration.hostile_server import Says, endless, hostile, trickling, whole

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
MOST = 1 << 20
BOMB = gzip.compress(b"[" * (64 << 20))
pytestmark = pytest.mark.usefixtures("own_data")

TOO_MUCH: dict[str, Says] = {
    "a body without an end": endless(OK + b"\r\n"),
    "more than its length says": endless(OK + b"Content-Length: 9999999999\r\n\r\n"),
    "a length that is no number": endless(OK + b"Content-Length: \xb2\r\n\r\n"),
    "a length below zero": endless(OK + b"Content-Length: -5\r\n\r\n"),
    "a length of five thousand digits": endless(OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n"),
    "chunks without an end": endless(CHUNKED, b"10000\r\n" + b"x" * 0x10000 + b"\r\n"),
    "one chunk without an end": endless(CHUNKED + b"ffffffffff\r\n"),
    "the length of a chunk without an end": endless(CHUNKED, b"0" * 4096),
    "the redirection of a body without an end": endless(b"HTTP/1.1 302 Found\r\nLocation: /y\r\n\r\n"),
}
ODD_HEADS: dict[str, Says] = {
    "a line without an end": endless(OK + b"X: "),
    "headers without an end": endless(OK, b"X: y\r\n" * 1000),
    "a hundred continues and no answer": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "no HTTP": endless(b"SSH-2.0-OpenSSH_9\r\n"),
    "nothing": lambda _: [],
    "a status that is none": whole(b"", status="abc"),
}
TRICKLING: dict[str, Says] = {
    "a status line": trickling(b"HTTP/1.1 2", b"0"),
    "headers": trickling(OK, b"X: y\r\n"),
    "continues": trickling(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body": trickling(OK + b"Content-Length: 999999\r\n\r\n"),
    "chunks": trickling(CHUNKED, b"1\r\nx\r\n"),
    "the length of a chunk": trickling(CHUNKED, b"0"),
    "trailers": trickling(CHUNKED + b"0\r\n", b"X: y\r\n"),
}


def redirections(_: bytes, numbers: count[int] = count()) -> list[bytes]:  # noqa: B008 - one for all
    """Ever another address."""
    return [b"HTTP/1.1 302 Found\r\nLocation: /%d\r\nContent-Length: 0\r\n\r\n" % next(numbers)]


def get(url: str, *, seconds: float = 20, timeout: float = 10) -> requests.Response:
    with Session(seconds=seconds, most=MOST) as session:
        session.trust_env = False
        return session.get(url, timeout=timeout)


@pytest.mark.parametrize("says", TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_is_too_much_is_not_taken(says: Says) -> None:
    with hostile(says) as server:
        tracemalloc.start()
        try:
            with pytest.raises((TooMuchError, requests.RequestException)):
                get(server.url)
            assert tracemalloc.get_traced_memory()[1] < 16 * MOST
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("says", ODD_HEADS.values(), ids=ODD_HEADS)
def test_a_head_that_is_none_is_an_error_of_the_library(says: Says) -> None:
    with hostile(says) as server, pytest.raises((TooMuchError, requests.RequestException)):
        get(server.url, timeout=2)


@pytest.mark.parametrize("says", TRICKLING.values(), ids=TRICKLING)
def test_what_trickles_in_has_an_end(says: Says) -> None:
    with hostile(says) as server:
        began = time.monotonic()
        with pytest.raises(requests.RequestException):
            get(server.url, seconds=1, timeout=1)
        assert time.monotonic() - began < 5


def test_what_is_sent_and_not_taken_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = threading.Event()

    def reads_nothing(_: bytes) -> list[bytes]:
        given_up.wait(60)
        return []

    substitute(monkeypatch, http_session, "SLOWEST", 1 << 30)
    with hostile(reads_nothing) as server, Session(seconds=1) as session:
        session.trust_env = False
        began = time.monotonic()
        with pytest.raises(requests.RequestException):
            session.put(server.url, data=b"x" * (64 << 20), timeout=2)
        assert time.monotonic() - began < 6
        given_up.set()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP, gzip", "br", "nonsense"])
def test_a_few_compressed_bytes_do_not_become_gigabytes(encoding: str) -> None:
    with hostile(whole(BOMB, f"Content-Encoding: {encoding}")) as server:
        tracemalloc.start()
        try:
            with pytest.raises(UnusableError, match="comes compressed, which nobody has asked for"):
                get(server.url)
            assert tracemalloc.get_traced_memory()[1] < 16 * MOST
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    "location", ["http://[::1", "http://", "http://a:99999999/", "http://a:b/", "\xff\xfe", "http://\u00ff\x00/", "x:y"]
)
def test_a_redirection_to_nowhere_is_an_error_of_the_library(location: str) -> None:
    says = whole(b"", f"Location: {location}", status="302 Found")
    with hostile(says) as server, pytest.raises(requests.RequestException):
        get(server.url)


def test_redirections_have_an_end() -> None:
    with hostile(redirections) as server, pytest.raises(requests.TooManyRedirects):
        get(server.url)


def test_one_connection_serves_many_exchanges_each_with_a_time_of_its_own() -> None:
    said = count()

    def says(_: bytes) -> list[bytes]:
        time.sleep(0.4)
        return [OK + b"Content-Length: 1\r\n\r\n%d" % (next(said) % 10)]

    with hostile(says) as server, Session(seconds=1) as session:
        session.trust_env = False
        assert [session.get(server.url, timeout=1).text for _ in range(4)] == ["0", "1", "2", "3"]


def one_line(ask: Callable[[], object]) -> str:
    with pytest.raises(KubeV6Error) as caught:
        ask()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    return str(caught.value)


JSON = {
    "empty": (b"", "invalid JSON"),
    "a list": (b"[1]", "input should be an object"),
    "cut off": (b'{"tags": ["a"', "invalid JSON"),
    "deep": (b'{"tags": ' + b"[" * 100_000, "recursion limit exceeded"),
    "of other types": (b'{"tags": {"a": 1}}', "tags: input should be a valid array"),
    "of other types within": (b'{"tags": [1]}', "tags[0]: input should be a valid string"),
    "no text": (b"\xff", "invalid JSON"),
}


@pytest.mark.parametrize(("body", "seen"), JSON.values(), ids=JSON)
def test_a_list_of_tags_that_is_none_is_one_line(body: bytes, seen: str) -> None:
    with hostile(whole(body)) as server, session_with(server.url, None) as session:
        told = one_line(lambda: Registry(server.url, session).tags("x"))
    assert told.startswith(f"registry {server.url}: its list of tags of x is none: ")
    assert seen in told


@pytest.mark.parametrize("says", [*TOO_MUCH.values()], ids=TOO_MUCH)
def test_a_registry_that_sends_too_much_is_one_line(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, http_session.Session.__init__, "__kwdefaults__", {"most": MOST, "parallel": 1})
    with hostile(says) as server, session_with(server.url, None) as session:
        assert one_line(lambda: Registry(server.url, session).tags("x")).startswith(
            f"registry {server.url}: GET /v2/x/"
        )


def test_tags_that_go_on_for_ever_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = count()

    def circle(_: bytes) -> list[bytes]:
        return list(whole(b'{"tags": ["a"]}', 'Link: </v2/x/tags/list>; rel="next"')(b""))

    def always_more(_: bytes) -> list[bytes]:
        return list(whole(b'{"tags": ["a"]}', f'Link: </v2/x/tags/list?n={next(pages)}>; rel="next"')(b""))

    substitute(monkeypatch, registry_client, "MOST_TAGS", 5)
    for says in (circle, always_more):
        with hostile(says) as server, session_with(server.url, None) as session:
            told = one_line(lambda: Registry(server.url, session).tags("x"))
        assert told.startswith(f"registry {server.url}: its list of tags of x does not end; ")
        assert len(server.asked) <= 6


def test_a_page_of_tags_that_is_nowhere_is_one_line() -> None:
    says = whole(b'{"tags": ["a"]}', 'Link: <http://[::1>; rel="next"')
    with hostile(says) as server, session_with(server.url, None) as session:
        told = one_line(lambda: Registry(server.url, session).tags("x"))
    assert told.startswith(f"registry {server.url}: it does not say where its tags go on; ")


@pytest.mark.parametrize("location", [[], ["Location: http://[::1"], ["Location: "]], ids=["none", "damaged", "empty"])
def test_a_registry_that_does_not_say_where_to_upload_is_one_line(location: list[str], tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"content")
    with hostile(whole(b"", *location, status="202 Accepted")) as server, session_with(server.url, None) as session:
        told = one_line(lambda: Registry(server.url, session).upload("x", "sha256:0", tmp_path / "blob"))
    assert told.startswith(f"registry {server.url}: it does not say where to upload a blob; ")


@pytest.mark.parametrize(
    "token", [b"", b"[]", b"{}", b'{"token": {}}', b'{"token": "\xc3\xa4"}', b"[" * 100_000, b'"' + b"a" * (2 << 20)]
)
def test_a_token_that_is_none_is_one_line(token: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def says(head: bytes) -> list[bytes]:
        if b"/token" in head:
            return list(whole(token)(head))
        where = f'WWW-Authenticate: Bearer realm="{server.url}/token",service="x",scope="y"'
        return list(whole(b"", where, status="401 Unauthorized")(head))

    monkeypatch.delenv("KUBEV6_REGISTRY_USER", raising=False)
    with hostile(says) as server, session_with(server.url, RegistryLogin(server.url)) as session:
        told = one_line(lambda: Registry(server.url, session).tags("x"))
    assert told.startswith(f"registry {server.url.removeprefix('http://')}") or told.startswith(
        f"registry {server.url}"
    )


PREFECT: dict[str, Says] = {
    **TOO_MUCH,
    "no JSON": whole(b"<html>"),
    "deep JSON": whole(b"[" * 100_000),
    "compressed": whole(BOMB, "Content-Encoding: gzip"),
    "redirections": redirections,
}


@pytest.mark.parametrize("says", PREFECT.values(), ids=PREFECT)
def test_what_is_no_prefect_server_is_one_line(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, http_session.Session.__init__, "__kwdefaults__", {"most": MOST, "parallel": 1})
    with hostile(says) as server:
        assert server.url in one_line(lambda: api.ask(f"{server.url}/api", "/admin/version"))


def test_a_server_that_sends_without_end_is_not_well_and_nobody_is_told_by_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    substitute(monkeypatch, http_session.Session.__init__, "__kwdefaults__", {"most": MOST, "parallel": 1})
    with hostile(endless(OK + b"\r\n")) as server:
        assert not temporary_server.answers(f"{server.url}/api")
        monkeypatch.setenv("KUBEV6_NOTIFY_URL", f"{server.url}/hook")
        notify.tell("flow", "run", "1", "Failed", "message", "")
    said = [record.getMessage() for record in caplog.records if record.name.startswith("kubev6")]
    assert said == ["KUBEV6_NOTIFY_URL: nobody was told: TooMuchError"]
