"""Runs on a machine: prints its whole state as JSON, by what it is of.

Files with mode, owner and content, what is mounted, routes and rules of every table, addresses, settings of the
network, units, packages, modules.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OF_THE_KERNEL = ("/proc", "/sys", "/dev", "/tmp", "/run/systemd", "/run/udev", "/run/log", "/run/credentials")
WRITTEN_ANEW = ("/var/log/", "/var/lib/systemd/", "/run/user", "/root/.ssh")
"""By every machine that runs, whatever is done to it."""


def said(*words: str) -> str:
    """What a command prints; nothing when it is not there."""
    try:
        return subprocess.run(words, capture_output=True, check=False).stdout.decode("utf-8", "replace")
    except OSError:
        return ""


def files() -> Iterator[tuple[str, str]]:
    """Every path, and what is there."""
    for directory, names, others in os.walk("/"):
        names[:] = [name for name in names if not str(Path(directory, name)).startswith(OF_THE_KERNEL)]
        for path in (Path(directory, name) for name in names + others):
            if not str(path).startswith(WRITTEN_ANEW):
                yield f"file {path}", what(path)


def what(path: Path) -> str:
    """Mode, owner and content."""
    try:
        seen, content = path.lstat(), ""
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return str(error.strerror)
    return f"{seen.st_mode:o} {seen.st_uid}:{seen.st_gid} {content}".strip()


def lines(kind: str, *words: str) -> Iterator[tuple[str, str]]:
    """Each line that a command prints."""
    for line in said(*words).splitlines():
        if line.strip():
            yield f"{kind} {' '.join(line.split())}", ""


def units() -> Iterator[tuple[str, str]]:
    """Every unit, and whether it runs now and at the next start."""
    for verb, last in (("list-units", 3), ("list-unit-files", 2)):
        for line in said("systemctl", verb, "--all", "--plain", "--no-legend", "--full").splitlines():
            name, *state = line.split()
            if name.endswith((".service", ".socket", ".timer", ".path")):
                yield f"{verb} {name}", " ".join(state[: last - 1])


def settings() -> Iterator[tuple[str, str]]:
    """Every setting of the network namespace."""
    for path in Path("/proc/sys/net").rglob("*"):
        try:
            yield f"setting {path}", path.read_text().strip()
        except OSError:
            continue


def state() -> Iterator[tuple[str, str]]:
    """All of it."""
    yield from files()
    yield from units()
    yield from settings()
    yield from lines("package", "dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\n")
    for family in ("-4", "-6"):
        yield from lines(f"route {family}", "ip", family, "-o", "route", "show", "table", "all")
        yield from lines(f"rule {family}", "ip", family, "rule")
    for number_and_address in said("ip", "-o", "addr").splitlines():  # the kernel numbers interfaces at each start
        yield f"address {' '.join(number_and_address.split()[1:])}", ""
    yield from lines("packet filter", "sh", "-c", "(iptables-save; ip6tables-save) | grep -v ^#")
    yield from lines("mount", "findmnt", "-rno", "TARGET,FSTYPE,OPTIONS")
    yield from lines("module", "cut", "-d", " ", "-f", "1", "/proc/modules")


json.dump(dict(state()), sys.stdout)
