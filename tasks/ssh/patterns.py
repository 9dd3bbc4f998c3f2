"""Patterns of hosts as SSH has them (ssh_config(5), PATTERNS)."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def fits(name: str, pattern: str) -> bool:
    """Whether a pattern of ``*`` and ``?`` is one of a name; brackets are those around an address with a port."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def among(names: Iterable[str], patterns: Iterable[str]) -> bool:
    """Whether one of some patterns is of one of a host's names, and none that begins with ``!`` says that it is not."""
    found = False
    for pattern in patterns:
        if any(fits(name, pattern.removeprefix("!")) for name in names):
            if pattern.startswith("!"):
                return False
            found = True
    return found
