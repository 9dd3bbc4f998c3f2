"""A local port whose connections a node makes, over the transport that is already there.

It is for the user who runs this. All users of a machine reach its loopback, and behind the port may be what wants no
login, such as the writable half of a cluster's registry, so it is looked up whose each connection is.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko

log = logging.getLogger("kubev6.ssh")

BUFFER = 256 * 1024
OPEN_TIMEOUT = 15.0
GONE = (OSError, paramiko.SSHException, EOFError)
"""What using an end raises whose other side has gone."""
SOCKETS = Path("/proc/net/tcp")
"""The IPv4 connections of this machine, and of each the user and the inode of the socket, 0 without one (proc(5))."""


@contextmanager
def forwarded_port(transport: paramiko.Transport, node: str, host: str, port: int) -> Iterator[int]:
    """Listen on 127.0.0.1 and carry every connection of this user's through the transport (RFC 4254, direct-tcpip).

    Args:
        transport: The node's transport; may be used for commands at the same time.
        node: The node's name, for the log.
        host: Where the node connects to, as it sees it.
        port: TCP port there.

    Yields:
        The local port. A connection whose far end cannot be reached is closed at once, and the log says why.
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        local = int(listener.getsockname()[1])
        lock = threading.Lock()
        open_ends: set[socket.socket | paramiko.Channel] = set()

        def carry(near: socket.socket) -> None:
            if (user := _user_of(near)) not in (0, os.geteuid()):
                if user is not None:
                    log.warning("%s: user %d of this machine was kept from [%s]:%d", node, user, host, port)
                near.close()
                return
            try:
                far = transport.open_channel("direct-tcpip", (host, port), near.getpeername()[:2], timeout=OPEN_TIMEOUT)
            except GONE as error:
                log.warning("%s: no connection to [%s]:%d: %s", node, host, port, error)
                near.close()
                return
            with lock:
                open_ends.update((near, far))
            back = threading.Thread(target=_pump_back, args=(far, near), daemon=True)
            back.start()
            _pump_forth(near, far)
            back.join()
            with lock:
                open_ends.difference_update((near, far))
            _end(far)
            _end(near)

        def accept() -> None:
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:
                    return  # the listener was closed: the end of the forwarding
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=carry, args=(near,), daemon=True).start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield local
        finally:
            # shutdown, because closing alone does not wake a thread that waits in accept.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            with lock:
                left = list(open_ends)
            for end in left:
                _end(end)


def _user_of(near: socket.socket) -> int | None:
    """The user who has connected; None when the other end is gone, of which the kernel says no more whose it was."""
    with contextlib.suppress(OSError):
        ends = [_as_the_kernel_has_it(end) for end in (near.getpeername(), near.getsockname())]
        for words in map(str.split, SOCKETS.read_text().splitlines()[1:]):
            if words[1:3] == ends and words[9] != "0":
                return int(words[7])
    return None


def _as_the_kernel_has_it(end: tuple[str, int]) -> str:
    """Address and port, hexadecimal: the address as a number of this machine's byte order."""
    return f"{int.from_bytes(socket.inet_aton(end[0]), sys.byteorder):08X}:{end[1]:04X}"


def _end(end: socket.socket | paramiko.Channel) -> None:
    # Its other side, or the whole transport, may be gone already. Shutdown first: it wakes who reads from it.
    with contextlib.suppress(*GONE):
        end.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(*GONE):
        end.close()


def _pump_forth(near: socket.socket, far: paramiko.Channel) -> None:
    buffer = bytearray(BUFFER)
    view = memoryview(buffer)
    # Either end may go away at any time; the other is told by the shutdown below.
    with contextlib.suppress(*GONE):
        while count := near.recv_into(buffer):
            far.sendall(bytes(view[:count]))
    with contextlib.suppress(*GONE):
        far.shutdown_write()


def _pump_back(far: paramiko.Channel, near: socket.socket) -> None:
    with contextlib.suppress(*GONE):
        while data := far.recv(BUFFER):
            near.sendall(data)
    with contextlib.suppress(OSError):
        near.shutdown(socket.SHUT_WR)
