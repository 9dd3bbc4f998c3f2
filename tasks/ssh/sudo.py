"""Becoming root on a node whose login is not root."""

from __future__ import annotations

import paramiko

from configs.errors import NodeError
from tasks.secrets import SUDO_PASSWORD, hide, secret
from tasks.ssh.channel import execute, last_line
from tasks.ssh.endpoint import Endpoint
from tasks.ssh.transport import CHANNEL_TIMEOUT


def sudo(endpoint: Endpoint, transport: paramiko.Transport, step: str) -> tuple[str, bytes]:
    """Find out how the login becomes root: by sudo alone, else by sudo and ``KUBEV6_SUDO_PASSWORD``.

    Args:
        endpoint: The node.
        transport: Its transport, logged in.
        step: What root is needed for, for the error.

    Returns:
        What to put before a command, and before its standard input, to run it as root.

    Raises:
        NodeError: sudo does not let the login become root, or the connection broke.
        ConfigError: The file of the password cannot be used.
    """
    # SSH_CONNECTION is what sudo drops and what the node needs to keep our own path alive.
    keep = '-- env SSH_CONNECTION="$SSH_CONNECTION" '
    status, _, err = execute(endpoint, transport, "sudo -n true", b"", step, CHANNEL_TIMEOUT, None)
    if status == 0:
        return (f"sudo -n {keep}", b"")
    seen = last_line(err.decode("utf-8", "replace")) or f"status {status}"
    password = secret(SUDO_PASSWORD)
    if password is not None and status != 127:
        # -k: never take a remembered right, or the password would be read by the command instead.
        answer = password.encode() + b"\n"
        status, _, err = execute(endpoint, transport, "sudo -k -S -p '' true", answer, step, CHANNEL_TIMEOUT, None)
        if status == 0:
            return (f"sudo -k -S -p '' {keep}", answer)
        seen = last_line(err.decode("utf-8", "replace")) or f"status {status}"
    raise NodeError(
        endpoint.node,
        step,
        f"{endpoint.user} cannot become root by sudo: {hide(seen)}",
        todo=f"let {endpoint.user} use sudo, log in as root, or give the password in the file "
        "named by KUBEV6_SUDO_PASSWORD_FILE",
    )
