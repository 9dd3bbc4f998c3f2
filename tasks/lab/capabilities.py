"""Which Linux capabilities this machine can give to a container.

A machine that is itself confined lacks some, and asking for one of those makes a container fail to start; that
is why no container of the lab is simply privileged.
"""

from __future__ import annotations

import re
from pathlib import Path

NAMES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
)
"""By bit number (capabilities(7)). Newer ones are left out: engines of Debian 12's age refuse their names, and
SYS_ADMIN implies what they allow."""


def held(process: Path = Path("/proc/self/status")) -> tuple[str, ...]:
    """The capabilities in the bounding set of a process, in the order of their bits.

    Args:
        process: Its ``/proc`` status file.
    """
    found = re.search(r"^CapBnd:\s*([0-9a-f]+)$", process.read_text(), re.MULTILINE)
    return names_of(int(found[1], 16)) if found else ()


def names_of(mask: int) -> tuple[str, ...]:
    """The names of the capabilities whose bits are set in ``mask``."""
    return tuple(name for bit, name in enumerate(NAMES) if mask >> bit & 1)
