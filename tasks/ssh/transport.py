"""The transport below a connection: the way to the node's sshd, and what is offered for the key exchange."""

from __future__ import annotations

import logging
import socket

import paramiko

from tasks.ssh.endpoint import Endpoint
from tasks.ssh.proxy_command import started

FORBIDDEN = 1
"""The reason of a channel that is not opened for want of a permission (RFC 4254, 5.1)."""
CHANNEL_TIMEOUT = 15.0
"""Seconds for the other side to open a channel, or for a short question in one."""
UNACKNOWLEDGED_MS = 30_000
"""A peer that acknowledges nothing for this long is gone; without it a dead link hangs for a quarter of an hour."""
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
"""AES-GCM first: one pass for cipher and integrity; measured a third faster here than CTR with a separate MAC."""
KEX_FIRST = ("curve25519-sha256@libssh.org", "ecdh-sha2-nistp256")
WINDOW = 16 * 1024 * 1024

# Without a handler of its own, paramiko's account of a lost connection goes to the terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def opened_transport(endpoint: Endpoint, timeout: float, through: paramiko.Transport | None) -> paramiko.Transport:
    """Connect and set up a transport on that; nothing of SSH has been said yet.

    Args:
        endpoint: The machine.
        timeout: Seconds for each of: TCP connection, banner, key exchange, authentication.
        through: The transport of the jump host through which it is reached.

    Returns:
        The transport, for :func:`tasks.ssh.host_key.shake_hands`.

    Raises:
        NodeError: The host has no address or cannot be reached.
    """
    if through is not None:
        return _set_up(_forwarded(endpoint, through, timeout), timeout)
    if endpoint.settings.proxy_command:
        return _set_up(started(endpoint.settings.proxy_command), timeout)
    return _set_up(_dialled(endpoint, timeout), timeout)


def _dialled(endpoint: Endpoint, timeout: float) -> socket.socket:
    try:
        sock = socket.create_connection((endpoint.host, endpoint.port), timeout=timeout)
    except socket.gaierror as error:
        raise endpoint.unreached(
            f"the name {endpoint.host} has no address: {error.strerror}",
            todo="correct its host in the cluster file or in ~/.ssh/config, or the resolver",
        ) from error
    except OSError as error:
        seen = "no answer" if isinstance(error, TimeoutError) else (error.strerror or str(error))
        raise endpoint.unreached(
            f"cannot reach {endpoint.authority}: {seen}",
            todo="check that the machine is up, its address, and that sshd listens there",
            transient=True,
        ) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
    return sock


def _forwarded(endpoint: Endpoint, through: paramiko.Transport, timeout: float) -> paramiko.Channel:
    """A connection that the jump host makes (RFC 4254, 7.2)."""
    jump = endpoint.via.jump if endpoint.via else ""
    try:
        return through.open_channel("direct-tcpip", (endpoint.host, endpoint.port), ("127.0.0.1", 0), timeout=timeout)
    except paramiko.ChannelException as error:
        forbidden = error.code == FORBIDDEN
        raise endpoint.unreached(
            f"cannot reach {endpoint.authority} from the jump host {jump}: {error.text.lower()}",
            todo=f"let the sshd of {jump} forward connections (AllowTcpForwarding, PermitOpen)"
            if forbidden
            else f"check that the machine is up, its address as {jump} sees it, and that sshd listens there",
            transient=not forbidden,
        ) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        seen = str(error).rstrip(".").lower() or "the connection to it broke"
        raise endpoint.unreached(
            f"cannot reach {endpoint.authority} from the jump host {jump}: {seen}",
            todo=f"check that the machine is up, and its address as {jump} sees it",
            transient=True,
        ) from error


def _set_up(sock: socket.socket | paramiko.Channel, timeout: float) -> paramiko.Transport:
    transport = paramiko.Transport(sock, default_window_size=WINDOW)
    transport.banner_timeout = 2 * timeout  # longer than start_client waits, who can say that there was silence
    transport.handshake_timeout = timeout
    transport.auth_timeout = timeout
    transport.channel_timeout = CHANNEL_TIMEOUT
    options = transport.get_security_options()
    options.ciphers = [name for name in CIPHERS if name in options.ciphers]
    first = [name for name in KEX_FIRST if name in options.kex]
    options.kex = first + [name for name in options.kex if name not in first]
    return transport
