"""The lines of a machine's files that set what nodes need, in the order in which they count."""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import basename

from configs.plan.sysctls import FILE
from configs.plan.systems import SysctlLine

LAST = "/etc/sysctl.conf"
"""``sysctl --system`` reads it after all others (sysctl(8)), and ``sysctl -p`` alone."""


def sysctl_lines(text: str) -> tuple[SysctlLine, ...]:
    """The lines in the order in which they are read, those of ours left out.

    Of files of one name only that of the first directory is read: ``/etc``, ``/run``, ``/usr/local/lib``, ``/usr/lib``
    (sysctl.d(5)).

    Args:
        text: The path of each file, in the order of the directories, and below it its lines with their numbers.
    """
    files: dict[str, tuple[str, list[str]]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("/"):
            lines = []
            name = "\U0010ffff" if line == LAST else basename(line)
            files.setdefault(name, (line, lines))
        else:
            lines.append(line)
    own = basename(FILE)
    return tuple(
        SysctlLine(path, number, key, value, wins=name > own)
        for name, (path, found) in sorted(files.items())
        if "kubev6" not in name
        for number, key, value in _assignments(found)
    )


def _assignments(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    for line in lines:
        if found := re.fullmatch(r"(\d+):\s*-?\s*([^=\s]+)\s*=\s*(.*?)\s*", line):
            yield int(found[1]), _with_dots(found[2]), " ".join(found[3].split())


def _with_dots(key: str) -> str:
    """A key whose first separator is a dot; where it is a slash, dots are part of names."""
    if (separator := re.search("[./]", key)) and separator[0] == "/":
        return key.translate(str.maketrans("./", "/."))
    return key
