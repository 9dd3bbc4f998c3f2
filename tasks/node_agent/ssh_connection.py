"""The SSH connection by which we are here."""

import os
from typing import Tuple


def own_connection() -> Tuple[str, str]:
    """The IPv4 addresses of the controller and of this node that the SSH connection uses; empty when it uses IPv6."""
    peer, here = connected()
    return ("", "") if ":" in peer else (peer, here)


def own_ipv6_connection() -> Tuple[str, str]:
    """The same for a connection that uses IPv6."""
    peer, here = connected()
    return (peer, here) if ":" in peer else ("", "")


def connected() -> Tuple[str, str]:
    """The addresses of the controller and of this node that the SSH connection uses, without scopes."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    if len(words) != 4:
        return "", ""
    peer, here = (word.replace("::ffff:", "").split("%")[0] for word in (words[0], words[2]))
    return peer, here
