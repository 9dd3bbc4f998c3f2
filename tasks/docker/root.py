"""Commands on this machine that need the rights of root."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from configs.errors import KubeV6Error


def by_root(command: Sequence[str]) -> list[str]:
    """A command as this user has to start it so that root runs it.

    Raises:
        KubeV6Error: This user is not root, and there is no sudo.
    """
    if os.geteuid() == 0:
        return list(command)
    if shutil.which("sudo") is None:
        raise KubeV6Error(f"`{' '.join(command[:2])}` needs root, and there is no sudo", todo="run this as root")
    return ["sudo", *command]


def search_path() -> str:
    """PATH with the directories of system programs, which an ordinary user's may lack."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
