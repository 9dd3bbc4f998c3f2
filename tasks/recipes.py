"""The recipes of ``build/``, and what is known by them: a digest of all that one is made of."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tasks.paths import RECIPES

IMAGES = RECIPES / "images"
"""A directory for each image."""
PROBE = "probe"
"""The image of the pods that a cluster is proved with."""


def directory_digest(directory: Path) -> str:
    """sha256 over names, execute bits and contents of the files under ``directory``."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            executable = bool(path.stat().st_mode & 0o100)
            digest.update(f"{path.relative_to(directory)}\0{executable}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def program_tag(name: str) -> str:
    """The tag of an image whose program is our own: another one when the program's sources are others.

    Args:
        name: Of the image, and of its directory.
    """
    return directory_digest(IMAGES / name)[:12]
