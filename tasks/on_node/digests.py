"""Digests of executables, remembered of those that were installed by us."""

import os
from typing import Dict, List, Optional

from tasks.on_node.files import sha256_of
from tasks.on_node.record import read_json

DIGESTS = "digests.json"


def binary_facts(paths: List[str]) -> Dict[str, Optional[str]]:
    """sha256 of each executable; one that is as it was when we installed it is not read again."""
    known = read_json(DIGESTS)
    found: Dict[str, Optional[str]] = {}
    for path in paths:
        try:
            identity = identity_of(path)
        except OSError:
            found[path] = None
            continue
        entry = known.get(path)
        found[path] = entry["sha256"] if entry and entry["identity"] == identity else sha256_of(path)
    return found


def identity_of(path: str) -> List[int]:
    seen = os.stat(path)
    return [seen.st_size, seen.st_mtime_ns, seen.st_ino]
