"""A server that says what bytes it likes, for as long as it likes."""

from __future__ import annotations

import socketserver
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress

from tests.http_server import serving

Says = Callable[[bytes], Iterable[bytes]]
"""What is said to a request's head, piece by piece."""


class HostileServer(socketserver.ThreadingTCPServer):
    """The server; ``asked`` are the request lines that came, ``sent`` counts the bytes that went."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, says: Says) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.says = says
        self.asked: list[str] = []
        self.sent = 0
        self.one_answer = False
        """Whether a connection ends after one."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A client that goes away is what is wanted here."""


class _Handler(socketserver.StreamRequestHandler):
    server: HostileServer

    def handle(self) -> None:
        with suppress(OSError):
            while self._said():
                pass

    def _said(self) -> bool:
        """Answer one request; False when nothing was said."""
        head = b""
        while (line := self.rfile.readline()).strip():
            head += line
        if not head:
            return False
        self.server.asked.append(head.split(b"\r\n")[0].decode())
        before = self.server.sent
        for piece in self.server.says(head):
            self.wfile.write(piece)
            self.server.sent += len(piece)
        return self.server.sent > before and not self.server.one_answer


def hostile(says: Says) -> AbstractContextManager[HostileServer]:
    """A server that runs."""
    return serving(HostileServer(says))


def whole(body: bytes, *headers: str, status: str = "200 OK") -> Says:
    """An answer as it should be."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""])
    return lambda _: [head.encode("latin-1") + body]


def endless(head: bytes, piece: bytes = b"x" * (1 << 16)) -> Says:
    """A beginning, and then the same again and again."""

    def says(_: bytes) -> Iterator[bytes]:
        yield head
        while True:
            yield piece

    return says


def trickling(head: bytes, piece: bytes = b"x", *, pause: float = 0.05) -> Says:
    """The same, slowly."""

    def says(_: bytes) -> Iterator[bytes]:
        yield head
        while True:
            time.sleep(pause)
            yield piece

    return says
