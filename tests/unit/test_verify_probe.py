"""How a node asks the questions of the proof."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tasks.node_agent.verify_probe import ask


def once(kind: str, argument: str, **more: Any) -> tuple[int, str]:
    """What a question comes to that is asked once."""
    question = {"kind": kind, "argument": argument, "size": 0, "times": 1, "source": "", **more}
    status, seen, _ = ask(question, deadline=time.monotonic() - 1, first=2)
    return status, seen


@contextmanager
def pages(*said: bytes) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A server that says one thing after the other, one a connection: its address; who asked, and what it was sent."""
    asked: list[tuple[str, bytes]] = []
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        server.settimeout(20)

        def serve() -> None:
            for each in said:
                peer, (host, *_) = server.accept()
                with peer:
                    received = peer.recv(65536)
                    head, _, body = received.partition(b"\r\n\r\n")
                    wanted = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
                    while len(body) < wanted:
                        body += peer.recv(65536)
                    asked.append((host, body))
                    peer.sendall(each)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://[::1]:{server.getsockname()[1]}/", asked
        thread.join()


@contextmanager
def datagrams(answer: Callable[[bytes], bytes]) -> Iterator[str]:
    """A server of one datagram; its address and port."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.settimeout(20)
        server.bind(("::1", 0))

        def serve() -> None:
            received, peer = server.recvfrom(65536)
            server.sendto(answer(received), peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"[::1]:{server.getsockname()[1]}"
        thread.join()


def page(text: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(text), text)


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (b"no HTTP at all\r\n\r\n", "no HTTP at all"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n", "IncompleteRead"),
    ],
)
def test_what_is_no_page_is_an_answer_that_says_so(said: bytes, seen: str) -> None:
    with pages(said) as (url, _):
        status, why = once("fetch", url)
    assert status == 1
    assert seen in why


def test_a_page_is_fetched_as_often_as_is_asked_and_each_different_one_is_told() -> None:
    with pages(page(b"one\n"), page(b"two\n"), page(b"one\n")) as (url, _):
        assert once("fetch", url, times=3) == (0, "one\ntwo\n")


def test_as_many_bytes_come_back_as_were_sent() -> None:
    with pages(page(b"kube-worker-1".ljust(20_000, b"\n")), page(b"kube-worker-1\n")) as (url, asked):
        assert once("fetch", url, size=20_000) == (0, "kube-worker-1")
        assert once("fetch", url, size=20_000) == (1, "20000 bytes were sent, and 14 came back")
    assert [len(body) for _, body in asked] == [20_000, 20_000]


def test_a_node_asks_from_the_address_that_is_named() -> None:
    with pages(page(b"seen")) as (url, asked):
        assert once("fetch", url, source="::1") == (0, "seen")
    assert asked == [("::1", b"")]
    # One of no interface here: it is what is bound, not what the kernel would take.
    assert once("fetch", "http://[::1]:9/", source="2001:db8::1")[0] == 1


def test_a_datagram_comes_back_whole() -> None:
    with datagrams(lambda sent: b"kube-worker-1".ljust(len(sent), b"\n")) as address:
        assert once("datagram", address, size=20_000) == (0, "kube-worker-1")
    with datagrams(lambda sent: sent[1:]) as address:
        assert once("datagram", address, size=100) == (1, "100 bytes were sent, and 99 came back")


def test_only_a_refusal_says_that_nobody_is_there() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        address = f"[::1]:{server.getsockname()[1]}"
        assert once("refused", address) == (1, "somebody still answers")
    assert once("refused", address) == (0, "refused")
