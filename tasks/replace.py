"""Putting what is finished in the place of what was there before."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from pathlib import Path

GOING = ".going-"
"""What the name of something begins with that is being removed."""


def to_disk(path: Path) -> None:
    """Have the content of a file, or the names in a directory, on the disk itself (fsync(2))."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def replace_directory(made: Path, place: Path) -> None:
    """Put a directory in the place of another one of the same file system, if there is one.

    Args:
        made: The directory; gone from there afterwards.
        place: Where it goes.
    """
    before = put_aside(place)
    made.rename(place)
    if before is not None:
        _delete(before)


def remove(path: Path) -> None:
    """Remove a file or a directory. What is removed only in part is not taken for the whole afterwards."""
    before = put_aside(path)
    if before is not None:
        _delete(before)


def put_aside(path: Path) -> Path | None:
    """Give something a name of what is being removed, which nothing else has. A full disk has room for that.

    Returns:
        Where it is then; None when it was not there.
    """
    aside = path.with_name(f"{GOING}{secrets.token_hex(8)}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return None
    return aside


def write_whole(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Write a file so that it has all of its content, or what it had before, also after a power cut.

    Args:
        path: The file; its directory is made when it is not there.
        content: Its content.
        mode: Who may read it, as the process's umask allows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        to_disk(unfinished)
        unfinished.replace(path)
        to_disk(path.parent)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
