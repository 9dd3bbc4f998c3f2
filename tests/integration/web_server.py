"""A real web server under test that breaks, lies, is slow and forgets, and counts what it sent."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer

from tests import http_server

PIECE = 1 << 16


@dataclass
class Served:
    """One file of the server, and how it is given.

    Attributes:
        content: Its bytes.
        break_at: After which byte of the file the next connections break, one after the other.
        hang_at: After which byte the next connections fall silent, one after the other, until the server ends.
        refuse: Statuses and headers of the next answers, before any is good.
        ranges: Whether it honours Range; a function decides from the number of the request.
        etag: Its ETag; by default one made from the content.
        modified: Its Last-Modified.
        length: What Content-Length says, when that is not the truth.
        framing: ``length`` (Content-Length), ``chunked``, or ``close``: the end of the connection is that of the file.
        seconds: How long a whole transfer takes.
        meeting: Where a request waits for others that have to be under way at the same time.
        moved_to: Where it is now.
        asked: The Range header of every request, in order; empty where there was none.
        sent: The bytes of the file that were sent, as (first, past the last) for each answer.
    """

    content: bytes = b""
    break_at: list[int] = field(default_factory=list)
    hang_at: list[int] = field(default_factory=list)
    refuse: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    ranges: Callable[[int], bool] = lambda _: True
    etag: str | None = None
    modified: str = ""
    length: int | None = None
    framing: str = "length"
    seconds: float = 0.0
    meeting: threading.Barrier | None = None
    moved_to: str = ""
    asked: list[str] = field(default_factory=list)
    sent: list[tuple[int, int]] = field(default_factory=list)

    @property
    def validator(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()}"' if self.etag is None else self.etag

    @property
    def sent_bytes(self) -> int:
        return sum(end - start for start, end in self.sent)


class WebServer(ThreadingHTTPServer):
    """The server; ``files`` by path."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        self.ending = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def put(self, path: str, content: bytes, **behaviour: object) -> Served:
        """Serve a file."""
        self.files[path] = Served(content, **behaviour)  # type: ignore[arg-type]
        return self.files[path]

    def handle_error(self, *_: object) -> None:
        """A client that goes away is what is tested here."""


class _Handler(http_server.Answering):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, WebServer)
        file = self.server.files.get(self.path)
        if file is None:
            self.send_error(404)
            return
        file.asked.append(self.headers.get("Range", ""))
        if file.refuse:
            status, headers = file.refuse.pop(0)
            self._head(status, {"Content-Length": "0", **headers})
        elif file.moved_to:
            self._head(302, {"Content-Length": "0", "Location": file.moved_to})
        else:
            if file.meeting:
                file.meeting.wait()
            self._give(file)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()

    def _give(self, file: Served) -> None:
        start, whole = 0, len(file.content)
        condition = self.headers.get("If-Range", "")
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and file.ranges(len(file.asked)) and condition in ("", file.validator, file.modified):
            start = int(wanted.group(1))
            if start >= whole:
                self._head(416, {"Content-Range": f"bytes */{whole}", "Content-Length": "0"})
                return
        headers = {"ETag": file.validator, "Last-Modified": file.modified}
        if file.framing == "length":
            headers["Content-Length"] = str((file.length or whole) - start)
        elif file.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Connection"] = "close"
        if start:
            headers["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}"
        self._head(206 if start else 200, headers)
        self._send(file, start)

    def _send(self, file: Served, at: int) -> None:
        assert isinstance(self.server, WebServer)
        begin, whole = at, len(file.content)
        breaks = file.break_at.pop(0) if file.break_at else None
        hangs = file.hang_at.pop(0) if file.hang_at else None
        until = min(each for each in (breaks, hangs, whole) if each is not None)
        number = len(file.sent)
        file.sent.append((begin, at))
        with suppress(OSError):
            while at < until:
                piece = memoryview(file.content)[at : min(at + PIECE, until)]
                file.sent[number] = (begin, at + len(piece))  # before a client that has it can look
                if file.framing == "chunked":
                    self.wfile.write(f"{len(piece):x}\r\n".encode())
                    self.wfile.write(piece)
                    self.wfile.write(b"\r\n")
                else:
                    self.wfile.write(piece)
                at += len(piece)
                time.sleep(file.seconds * len(piece) / whole)
            if file.framing == "chunked" and at == whole:
                self.wfile.write(b"0\r\n\r\n")
        if hangs is not None:
            self.server.ending.wait(30)
        if until < whole or file.length is not None:
            self.close_connection = True
            self._let_read()

    def _let_read(self) -> None:
        """End the connection so that what was sent still arrives."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)


@contextmanager
def serving() -> Iterator[WebServer]:
    """A server that runs."""
    with http_server.serving(WebServer()) as server:
        try:
            yield server
        finally:
            server.ending.set()
