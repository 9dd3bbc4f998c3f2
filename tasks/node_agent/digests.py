"""Digests of executables, remembered of those that were installed by us."""

import os
from typing import Dict, List, Optional

from tasks.node_agent.files import sha256_of
from tasks.node_agent.protocol import Json
from tasks.node_agent.record import read_json

DIGESTS = "digests.json"


def binary_facts(paths: List[str]) -> Dict[str, Optional[str]]:
    """sha256 of each executable; one that is as it was when we installed it is not read again."""
    known = read_json(DIGESTS)
    found: Dict[str, Optional[str]] = {}
    for path in paths:
        try:
            found[path] = installed_digest(path, known) or sha256_of(path)
        except OSError:
            found[path] = None
    return found


def installed_digest(path: str, known: Json) -> str:
    """sha256 of an executable that is as we installed it, from what is known of those; empty for any other."""
    entry = known.get(path)
    return str(entry["sha256"]) if entry and os.path.exists(path) and entry["identity"] == identity_of(path) else ""


def identity_of(path: str) -> List[int]:
    seen = os.stat(path)
    return [seen.st_size, seen.st_mtime_ns, seen.st_ino]
