"""How a node asks the questions of the proof."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from tasks.node_agent.verify_probe import ask


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (b"no HTTP at all\r\n\r\n", "no HTTP at all"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n", "IncompleteRead"),
    ],
)
def test_what_is_no_page_is_an_answer_that_says_so(said: bytes, seen: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer = server.accept()[0]
            with peer:
                peer.recv(65536)
                peer.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        status, why, _ = ask({"kind": "fetch", "argument": url}, deadline=time.monotonic() - 1)
        thread.join()
    assert status == 1
    assert seen in why
