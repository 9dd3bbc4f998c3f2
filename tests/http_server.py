"""HTTP servers of the tests: each answers as long as a context lasts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import TypeVar

S = TypeVar("S", bound=TCPServer)


class Answering(BaseHTTPRequestHandler):
    """Answers in one piece, and says nothing of it on standard error."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer.

        Args:
            status: The status.
            body: The body, which a HEAD request gets only the length of.
            headers: Headers, with ``_`` for ``-`` in their names.
        """
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Called by http.server for every answer."""


@contextmanager
def serving(server: S) -> Iterator[S]:
    """Let a server answer."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
