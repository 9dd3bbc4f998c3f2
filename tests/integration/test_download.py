"""One download from a real web server that breaks, lies about lengths, is slow, forgets and changes its mind."""

from __future__ import annotations

import gzip
import io
import os
import random
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import requests

from configs.errors import KubeV6Error
from tasks.http_session import Session
from tasks.paths import cache_dir
from tasks.release.fetch import download
from tasks.release.fetch.download import NotThereError, discard, obtain
from tests.fakes import substitute
from tests.integration.hostile_server import Says, hostile, whole
from tests.integration.test_http_session import ODD_HEADS, TRICKLING
from tests.integration.web_server import Served, WebServer, serving
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("own_data", "impatient_downloads")
CONTENT = random.Random(6).randbytes(1 << 20)
HALF = len(CONTENT) // 2


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving() as running:
        yield running


def get(server: WebServer, *, checkable: bool = True, said: list[str] | None = None) -> bytes:
    """Download ``/file`` and forget it again."""

    def say(text: str, done: float = 0, total: float = 0) -> None:
        assert 0 <= done <= (total or done)
        if said is not None:
            said.append(text)

    come = obtain(f"{server.url}/file", name="kubeadm", checkable=checkable, say=say)
    content = come.path.read_bytes()
    discard(come)
    return content


def refused(server: WebServer, *, checkable: bool = True) -> KubeV6Error:
    with pytest.raises(KubeV6Error) as caught:
        get(server, checkable=checkable)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"kubeadm: {server.url}/file ")
    return caught.value


def kept() -> list[Path]:
    """Contents that wait to be continued."""
    return [path for path in (cache_dir() / "partial").glob("*") if path.suffix == "" and path.stat().st_size]


def is_sent_once(file: Served) -> bool:
    """Whether what was sent makes up the file without a gap and without an overlap."""
    ends = [0, *(end for _, end in sorted(file.sent))]
    return [start for start, _ in sorted(file.sent)] == ends[:-1] and ends[-1] == len(file.content)


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("checkable", [True, False], ids=["checksum known", "checksum not known"])
def test_a_transfer_that_breaks_goes_on_where_it_ended(server: WebServer, framing: str, checkable: bool) -> None:
    file = server.put("/file", CONTENT, framing=framing, break_at=[1000, 1000, 77_777, HALF])

    assert get(server, checkable=checkable) == CONTENT

    assert is_sent_once(file)
    assert file.asked == ["", "bytes=1000-", "bytes=1000-", "bytes=77777-", f"bytes={HALF}-"]
    assert kept() == []


def test_a_transfer_that_falls_silent_goes_on_where_it_ended(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    substitute(monkeypatch, download, "TIMEOUT", (10.0, 1.0))
    file = server.put("/file", CONTENT, hang_at=[HALF])

    assert get(server) == CONTENT

    server.ending.set()
    assert file.asked == ["", f"bytes={HALF}-"]


def test_a_slow_server_that_goes_on_sending_is_waited_for(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, download, "TIMEOUT", (10.0, 2.0))
    server.put("/file", CONTENT, seconds=3)
    said: list[str] = []

    assert get(server, said=said) == CONTENT

    assert len(server.files["/file"].asked) == 1


def test_what_an_earlier_run_left_is_gone_on_with(server: WebServer) -> None:
    file = server.put("/file", CONTENT, break_at=[HALF, *[HALF] * download.ATTEMPTS])

    error = refused(server)

    assert error.transient
    assert f"its first {HALF} bytes are kept" in str(error)
    assert [path.stat().st_size for path in kept()] == [HALF]
    assert get(server) == CONTENT
    assert is_sent_once(Served(CONTENT, sent=[part for part in file.sent if part[0] != part[1]]))


def test_a_run_that_is_killed_is_gone_on_with(server: WebServer) -> None:
    file = server.put("/file", CONTENT, hang_at=[1000])
    program = (
        "from tasks.release.fetch.download import obtain\n"
        f"obtain('{server.url}/file', name='kubeadm', checkable=False, say=lambda *words: None)\n"
    )
    running = subprocess.Popen([sys.executable, "-c", program])
    eventually(lambda: [path.stat().st_size for path in kept()] == [1000])
    os.kill(running.pid, signal.SIGKILL)
    running.wait()

    assert get(server, checkable=False) == CONTENT

    assert file.asked == ["", "bytes=1000-"]


def test_a_server_that_ignores_ranges_starts_over(server: WebServer) -> None:
    file = server.put("/file", CONTENT, break_at=[HALF], ranges=lambda _: False)

    assert get(server) == CONTENT

    assert file.sent == [(0, HALF), (0, len(CONTENT))]


def test_a_file_that_was_replaced_meanwhile_starts_over(server: WebServer) -> None:
    file = server.put("/file", CONTENT[::-1], break_at=[HALF, *[HALF] * download.ATTEMPTS])
    refused(server)
    file.content, file.break_at = CONTENT, []

    assert get(server, checkable=False) == CONTENT

    assert file.asked[-1] == f"bytes={HALF}-"
    assert file.sent[-1] == (0, len(CONTENT))


def test_a_replaced_file_is_noticed_by_a_server_that_ignores_the_condition(server: WebServer) -> None:
    file = server.put("/file", CONTENT[::-1], break_at=[HALF, *[HALF] * download.ATTEMPTS], modified="then")
    file.etag = ""
    refused(server)
    file.content, file.break_at = CONTENT, []
    file.etag = '"new"'

    assert get(server, checkable=False) == CONTENT


@pytest.mark.parametrize(("checkable", "start"), [(True, HALF), (False, 0)], ids=["known", "not known"])
def test_without_a_validator_only_a_checksum_allows_to_go_on(server: WebServer, checkable: bool, start: int) -> None:
    file = server.put("/file", CONTENT, break_at=[HALF], etag="")

    assert get(server, checkable=checkable) == CONTENT

    assert file.sent == [(0, HALF), (start, len(CONTENT))]


def test_a_weak_etag_is_no_validator(server: WebServer) -> None:
    file = server.put("/file", CONTENT, break_at=[HALF], etag='W/"x"')

    assert get(server, checkable=False) == CONTENT

    assert file.sent[-1][0] == 0


def test_less_than_was_said_is_refused_after_a_bounded_number_of_attempts(server: WebServer) -> None:
    file = server.put("/file", CONTENT, length=2 * len(CONTENT))

    error = refused(server)

    assert error.transient
    assert len(file.asked) < 2 + 2 * download.ATTEMPTS


def test_more_than_was_said_is_cut_at_what_was_said(server: WebServer) -> None:
    server.put("/file", CONTENT, length=HALF)

    assert get(server) == CONTENT[:HALF]


def test_without_a_length_the_end_of_the_connection_is_believed_only_where_a_checksum_proves_it(
    server: WebServer,
) -> None:
    server.put("/file", CONTENT, framing="close")

    assert get(server, checkable=True) == CONTENT
    error = refused(server, checkable=False)
    assert "comes without a length" in str(error)
    assert not error.transient


def test_what_came_without_a_length_and_was_whole_is_not_sent_again(server: WebServer) -> None:
    file = server.put("/file", CONTENT, framing="chunked", break_at=[len(CONTENT)])

    assert get(server) == CONTENT

    assert is_sent_once(Served(CONTENT, sent=[part for part in file.sent if part[0] != part[1]]))


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_in_trouble_is_asked_again(server: WebServer, status: int) -> None:
    file = server.put("/file", CONTENT, refuse=[(status, {}), (status, {})])

    assert get(server) == CONTENT

    assert len(file.asked) == 3


def test_the_time_that_a_server_asks_for_is_waited(server: WebServer) -> None:
    server.put("/file", CONTENT, refuse=[(503, {"Retry-After": "1"})])
    said: list[str] = []
    began = time.monotonic()

    assert get(server, said=said) == CONTENT

    assert time.monotonic() - began >= 1
    assert said[0] == "answered 503 Service Unavailable; again in 1 s"


def test_a_server_may_ask_for_time_by_a_date(server: WebServer) -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    server.put("/file", CONTENT, refuse=[(503, {"Retry-After": moment})])

    def stop(text: str, done: float = 0, total: float = 0) -> None:  # noqa: ARG001
        raise KubeV6Error(text)

    with pytest.raises(KubeV6Error, match=r"^answered 503 .*; again in [2-5][0-9] s$"):
        obtain(f"{server.url}/file", name="kubeadm", checkable=True, say=stop)


def test_a_server_that_wants_to_be_left_alone_for_long_is(server: WebServer) -> None:
    file = server.put("/file", CONTENT, refuse=[(503, {"Retry-After": "3600"})])

    error = refused(server)

    assert "left alone for 3600 s" in str(error)
    assert error.transient
    assert len(file.asked) == 1


def test_a_server_that_stays_in_trouble_is_given_up(server: WebServer) -> None:
    file = server.put("/file", CONTENT, refuse=[(503, {})] * 20)

    error = refused(server)

    assert "answered 503 Service Unavailable" in str(error)
    assert error.transient
    assert len(file.asked) == download.ATTEMPTS


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_is_refused_is_not_asked_for_again(server: WebServer, status: int) -> None:
    file = server.put("/file", CONTENT, refuse=[(status, {})])

    error = refused(server)

    assert f"answered {status}" in str(error)
    assert not error.transient
    assert isinstance(error, NotThereError) is (status == 404)
    assert len(file.asked) == 1


def test_redirections_are_followed_also_for_the_rest_of_a_file(server: WebServer) -> None:
    server.put("/file", b"", moved_to="/there")
    file = server.put("/there", CONTENT, break_at=[HALF])

    assert get(server) == CONTENT

    assert file.asked == ["", f"bytes={HALF}-"]
    assert is_sent_once(file)


@pytest.mark.parametrize(
    ("address", "location", "followed"),
    [
        ("https://a.example/x", "http://a.example/x", False),
        ("https://a.example/x", "HTTP://b.example/x", False),
        ("https://a.example/x", "file:///etc/passwd", False),
        ("https://a.example/x", "https://b.example/x", True),
        ("https://a.example/x", "//b.example/x", True),
        ("https://a.example/x", "/y", True),
        ("http://a.example/x", "http://b.example/x", True),
    ],
)
def test_no_redirection_leads_away_from_https(address: str, location: str, followed: bool) -> None:
    answer = requests.Response()
    answer.status_code, answer.url, answer.headers["location"] = 302, address, location
    answer.raw = io.BytesIO()
    with Session(seconds=1) as session:
        if followed:
            assert session.get_redirect_target(answer) == location
            return
        with pytest.raises(requests.RequestException) as raised:
            session.get_redirect_target(answer)
    assert "redirected from https" in download._seen(raised.value)
    assert download._hopeless(raised.value)


def test_what_trickles_in_for_too_long_is_given_up_and_kept(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["/file"] = Served(CONTENT, seconds=5)
    substitute(monkeypatch, download, "DEADLINE", 0.3)

    assert "has not come whole within" in str(refused(server))
    assert kept()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_what_is_too_large_is_refused_before_it_fills_the_disk(server: WebServer, framing: str) -> None:
    server.files["/file"] = Served(CONTENT, framing=framing)

    with pytest.raises(KubeV6Error, match=r"/file has more than 512 KiB, which is the most that is taken"):
        obtain(f"{server.url}/file", name="kubeadm", checkable=True, say=lambda *_: None, most=1 << 19)

    assert kept() == []
    assert server.files["/file"].sent_bytes < 2 * len(CONTENT)


def test_redirections_in_a_circle_are_one_line(server: WebServer) -> None:
    server.put("/file", b"", moved_to="/file")

    assert not refused(server).transient


def test_two_that_want_the_same_file_do_not_write_it_at_once(server: WebServer) -> None:
    server.put("/file", CONTENT, seconds=0.2)
    events: list[str] = []

    def one(_: int) -> None:
        with download.alone(f"{server.url}/file", lambda *_: None):
            events.append("begins")
            get(server)
            events.append("ends")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, range(2)))

    assert events == ["begins", "ends"] * 2


def test_memory_does_not_grow_with_the_file(server: WebServer) -> None:
    server.put("/file", bytes(200_000_000), etag='"zeros"')
    tracemalloc.start()
    try:
        come = obtain(f"{server.url}/file", name="kubeadm", checkable=True, say=lambda *_: None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert come.path.stat().st_size == 200_000_000
    assert peak < 8_000_000


def test_being_stopped_keeps_what_has_come(server: WebServer) -> None:
    server.put("/file", CONTENT, seconds=0.5)

    def stop(text: str, done: float = 0, total: float = 0) -> None:  # noqa: ARG001
        raise KubeV6Error("stopped")

    with pytest.raises(KubeV6Error, match="stopped"):
        obtain(f"{server.url}/file", name="kubeadm", checkable=True, say=stop)

    assert kept()[0].stat().st_size > 0
    assert get(server) == CONTENT
    assert server.files["/file"].asked[1].startswith("bytes=")


def test_a_cache_that_cannot_be_written_is_one_line(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.put("/file", CONTENT)
    monkeypatch.setenv("KUBEV6_CACHE", "/proc/none")

    with pytest.raises(KubeV6Error, match=r"the cache /proc/none cannot be written.*KUBEV6_CACHE"):
        get(server)


NEVER_WHOLE: dict[str, Says] = {**TRICKLING, **ODD_HEADS}
HOSTILE: dict[str, Says] = {
    "another file of the same length, of which it does not say so": (
        lambda _: whole(b"B" * HALF, f"Content-Range: bytes {HALF}-{2 * HALF - 1}/{2 * HALF}", status="206 Partial")(_)
    ),
    "the same range of a file of another length": (
        lambda _: whole(b"B" * HALF, f"Content-Range: bytes {HALF}-{2 * HALF}/{2 * HALF + 1}", status="206 Partial")(_)
    ),
    "a range that is none": lambda _: whole(b"B" * HALF, "Content-Range: bytes x", status="206 Partial")(_),
    "a range of five thousand digits": (
        lambda _: whole(b"B", f"Content-Range: bytes {'9' * 5000}-1/{'9' * 5000}", status="206 Partial")(_)
    ),
    "no range": lambda _: whole(b"B" * HALF, status="206 Partial")(_),
    "that it had all of it": lambda _: whole(b"", f"Content-Range: bytes */{HALF}", status="416 No")(_),
    "that it has nothing": lambda _: whole(b"", "Content-Range: bytes */0", status="416 No")(_),
    "no more than that": lambda _: whole(b"", status="416 No")(_),
}
"""What a server says to who wants a file to go on of which half came."""


@pytest.mark.parametrize("says", HOSTILE.values(), ids=HOSTILE)
def test_a_file_of_which_half_came_is_not_put_together_with_anything_else(says: Says) -> None:
    first = f'HTTP/1.1 200 OK\r\nETag: "a"\r\nContent-Length: {2 * HALF}\r\n\r\n'.encode()

    asked: list[bytes] = []

    def answer(head: bytes) -> Iterable[bytes]:
        asked.append(head)
        if b"range:" in head.lower():
            return says(head)
        if len(asked) == 1:
            return [first + b"A" * HALF]  # and then the connection ends
        return whole(b"C" * 2 * HALF, 'ETag: "c"')(head)

    with hostile(answer) as there:
        there.one_answer = True
        come = obtain(f"{there.url}/file", name="kubeadm", checkable=False, say=lambda *_: None)
        assert come.path.read_bytes() == b"C" * 2 * HALF
        assert not come.pieced
        discard(come)


@pytest.mark.parametrize(
    ("header", "seen"),
    [
        ("Content-Length: \xb2", "comes without a length"),
        (f"Content-Length: {'9' * 5000}", "comes without a length"),
        ("Content-Length: 99999999999999", "has more than 16 GiB"),
        ("Content-Length: -1", "comes without a length"),
    ],
)
def test_a_length_that_is_none_is_one_line(header: str, seen: str) -> None:
    with hostile(lambda _: [f"HTTP/1.1 200 OK\r\n{header}\r\n\r\nabc".encode("latin-1")]) as server:
        server.one_answer = True
        with pytest.raises(KubeV6Error) as caught:
            obtain(f"{server.url}/file", name="kubeadm", checkable=False, say=lambda *_: None)
    assert str(caught.value).startswith(f"kubeadm: {server.url}/file {seen}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wait", ["\xb2", "9" * 5000, "Mon, 1 Jan 0000 00:00:00 GMT", "Mon, 1 Jan 9999 00:00:00 -9999", "-5", "inf"]
)
def test_a_wait_that_nobody_can_want_is_no_traceback(wait: str) -> None:
    says = whole(b"", f"Retry-After: {wait}", status="503 Busy")
    with hostile(says) as server, pytest.raises(KubeV6Error, match="answered 503 Busy"):
        obtain(f"{server.url}/file", name="kubeadm", checkable=True, say=lambda *_: None)


@pytest.mark.parametrize("says", NEVER_WHOLE.values(), ids=NEVER_WHOLE)
def test_an_answer_that_is_never_whole_is_one_line(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, download, "TIMEOUT", (2.0, 0.5))
    substitute(monkeypatch, download, "DEADLINE", 1.5)
    with hostile(says) as server:
        began = time.monotonic()
        with pytest.raises(KubeV6Error) as caught:
            obtain(f"{server.url}/file", name="kubeadm", checkable=True, say=lambda *_: None)
        assert time.monotonic() - began < 12
    assert str(caught.value).startswith(f"kubeadm: {server.url}/file ")
    assert "\n" not in str(caught.value)


def test_a_file_that_a_server_calls_compressed_comes_as_it_is(own_data: Path) -> None:
    assert own_data
    packed = gzip.compress(CONTENT)
    with hostile(whole(packed, "Content-Encoding: x-gzip")) as server:  # as some web servers say of every .tgz
        come = obtain(f"{server.url}/file", name="cni-plugins", checkable=True, say=lambda *_: None)
        assert come.path.read_bytes() == packed
        discard(come)
