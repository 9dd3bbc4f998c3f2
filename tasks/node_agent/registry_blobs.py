"""Runs on the support node: takes out of the registry's storage what is damaged there, and says what it lacks.

A registry never looks again at content that it has taken, and takes no second copy of what it believes to have. So a
blob that the disk has spoilt would be handed out, and refused by every node, for good. A file that has been read since
the machine was started, and is the same as then, is not read again. What it has is asked of the registry itself, here,
where some forty questions take no longer than one from afar. ``PAYLOAD`` is bound by the sender.
"""

import http.client
import json
import os
import shutil
import time
from typing import Any, Dict, List, Tuple

from tasks.node_agent.files import identity_of, sha256_of, text_of, write_atomically

SECONDS = 30.0
"""For each answer of the registry."""
ABANDONED = 3600
"""Seconds after which nobody goes on with what is half sent."""


def damaged_blobs(root: str, known: Dict[str, Any]) -> Tuple[List[str], Dict[str, Any]]:
    """The blobs whose content is not their digest, and what is known of the others.

    They lie as the registry's filesystem driver keeps them: ``blobs/sha256/<first two>/<hexadecimal>/data``.
    """
    damaged: List[str] = []
    good: Dict[str, Any] = {}
    blobs = os.path.join(root, "docker/registry/v2/blobs/sha256")
    for directory, _, files in os.walk(blobs):
        if "data" not in files:
            continue
        digest = os.path.basename(directory)
        path = os.path.join(directory, "data")
        identity = identity_of(path)
        if known.get(digest) == identity or sha256_of(path) == digest:
            good[digest] = identity
        else:
            damaged.append(directory)
    return damaged, good


def known_blobs(memory: str) -> Dict[str, Any]:
    """The identity of each good blob by its digest, from a file; none when it cannot be understood."""
    try:
        return dict(json.loads(text_of(memory)))
    except ValueError:
        return {}


def drop_damaged(root: str, memory: str) -> List[str]:
    """Remove what is damaged.

    Args:
        root: The directory of the registry's storage.
        memory: The file in which the good ones are remembered until the machine is started again.

    Returns:
        The digests of what was removed.
    """
    damaged, good = damaged_blobs(root, known_blobs(memory))
    for directory in damaged:
        shutil.rmtree(directory)
    write_atomically(memory, json.dumps(good).encode(), 0o644)
    return ["sha256:" + os.path.basename(directory) for directory in damaged]


def drop_abandoned(root: str) -> None:
    """Remove what pushes that were cut off have left half sent; the registry itself does so after a week."""
    for directory, within, _ in os.walk(os.path.join(root, "docker/registry/v2/repositories")):
        if os.path.basename(directory) != "_uploads":
            continue
        for name in within:
            upload = os.path.join(directory, name)
            files = [os.path.join(upload, each) for each in ("startedat", "data")]
            last = max([os.stat(path).st_mtime for path in files if os.path.exists(path)] or [0])
            if time.time() - last > ABANDONED:
                shutil.rmtree(upload, ignore_errors=True)


def lacking(port: int, accept: str, wanted: Dict[str, Dict[str, str]]) -> List[str]:
    """What the registry has not, or not as it should be.

    Args:
        port: Where it listens, on the loopback.
        accept: The kinds of manifests that are asked for.
        wanted: For each path of what it should have, the headers that it answers with then.

    Returns:
        The paths; all of them when it does not answer.
    """
    registry = http.client.HTTPConnection("::1", port, timeout=SECONDS)
    lacks: List[str] = []
    try:
        for path, headers in wanted.items():
            registry.request("HEAD", path, headers={"Accept": accept})
            answer = registry.getresponse()
            answer.read()
            if answer.status != 200 or any(answer.getheader(name) != value for name, value in headers.items()):
                lacks.append(path)
    except (OSError, http.client.HTTPException):
        return list(wanted)
    finally:
        registry.close()
    return lacks


def main(root: str, memory: str, **asked: Any) -> Dict[str, List[str]]:
    """Take out what is damaged and what was never finished, then ask."""
    drop_abandoned(root)
    return {"dropped": drop_damaged(root, memory), "lacking": lacking(**asked)}


if "PAYLOAD" in globals():
    print(json.dumps(main(**PAYLOAD)))  # type: ignore[name-defined]
