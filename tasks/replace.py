"""Putting what is finished in the place of what was there before."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

GOING = ".going-"
"""What the name of a directory begins with that is being removed."""


def replace_directory(made: Path, place: Path) -> None:
    """Put a directory in the place of another one of the same file system, if there is one.

    Args:
        made: The directory; gone from there afterwards.
        place: Where it goes.
    """
    before = put_aside(place)
    made.rename(place)
    if before is not None:
        shutil.rmtree(before)


def remove(path: Path) -> None:
    """Remove a file or a directory. What is removed only in part is not taken for the whole afterwards."""
    before = put_aside(path)
    if before is not None:
        shutil.rmtree(before)


def put_aside(path: Path) -> Path | None:
    """Move something into a directory of its own, which is named as what is being removed.

    Returns:
        That directory; None when there is nothing to move.
    """
    if not os.path.lexists(path):
        return None
    aside = Path(tempfile.mkdtemp(prefix=GOING, dir=path.parent))
    try:
        path.rename(aside / path.name)
    except OSError as error:
        aside.rmdir()
        if isinstance(error, FileNotFoundError):  # somebody else has moved it
            return None
        raise
    return aside


def write_whole(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file so that it has all of its content, or what it had before.

    Args:
        path: The file; its directory is made when it is not there.
        text: Its content.
        mode: Who may read it, as the process's umask allows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            file.write(text)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
