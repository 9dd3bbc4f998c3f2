"""Files of a node: what they are, and how one is written so that it is whole or not at all."""

import errno
import hashlib
import os
import re
import stat
from contextlib import suppress
from typing import Dict, List, Optional, Tuple

from tasks.node_agent.protocol import Failed, Json

LARGEST = 64 << 20
"""Bytes or characters of a file that is read whole: the record of a node has some hundred KiB."""


def text_of(path: str) -> str:
    """Content of a file, empty when it cannot be read.

    Raises:
        Failed: It is too large.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(LARGEST + 1)
    except OSError:
        return ""
    refuse_larger(len(text), path)
    return text


def refuse_larger(size: int, path: str) -> None:
    """Refuse a file that is larger than any which is read here."""
    if size > LARGEST:
        raise Failed("{}: it has more than {} MiB".format(path, LARGEST >> 20), "see what it is, and move it away")


def exact_text_of(path: str) -> str:
    """Content of a file that others write too, empty without one.

    :func:`rewrite` gives back each of its bytes, also those that are no UTF-8 (PEP 383).

    Raises:
        Failed: It is too large.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    refuse_larger(len(content), path)
    return content.decode("utf-8", "surrogateescape")


def exact_bytes(text: str) -> bytes:
    """The bytes that :func:`exact_text_of` has made a text of."""
    return text.encode("utf-8", "surrogateescape")


def lines_of(text: str) -> List[str]:
    """The lines of a text with their ends. Only a newline ends one: joined, they are the text again."""
    return re.findall("[^\n]*\n|[^\n]+", text)


def sha256_of(path: str) -> str:
    """Hexadecimal digest of a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def identity_of(path: str) -> List[int]:
    """What changes when a file is written again, or is another one."""
    seen = os.stat(path)
    return [seen.st_size, seen.st_mtime_ns, seen.st_ino]


def fingerprint(path: str) -> str:
    """What tells the content of a file from any other; empty when there is nothing, or no file."""
    if os.path.islink(path):
        return "link to " + os.readlink(path)
    return sha256_of(path) if os.path.isfile(path) else ""


def file_fact(path: str) -> Optional[Json]:
    """``kind`` (``file``, ``link`` or ``other``), ``target``, ``mode``, ``sha256`` of a path; None where nothing is."""
    try:
        seen = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(seen.st_mode):
        return {"kind": "link", "target": os.readlink(path), "mode": 0, "sha256": ""}
    if not stat.S_ISREG(seen.st_mode):
        return {"kind": "other", "target": "", "mode": 0, "sha256": ""}
    return {"kind": "file", "target": "", "mode": stat.S_IMODE(seen.st_mode), "sha256": sha256_of(path)}


def files_in(directory: str) -> List[str]:
    """Paths of what is in a directory, but for what begins with a dot; none when it is not there."""
    try:
        return [os.path.join(directory, name) for name in os.listdir(directory) if not name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def missing_directories(path: str) -> List[str]:
    """The directories that have to be made before there can be a file ``path``, the deepest last."""
    missing: List[str] = []
    directory = os.path.dirname(path)
    while not os.path.lexists(directory):
        missing.insert(0, directory)
        directory = os.path.dirname(directory)
    return missing


def make_directories(path: str, mode: int = 0o755) -> None:
    """Make a directory and all that lead to it; ``os.makedirs`` gives ``mode`` to the last alone from Python 3.7 on."""
    if not os.path.isdir(path):
        make_directories(os.path.dirname(path), mode)
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
        sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Make the names in a directory durable: what is renamed into it is not, by fsync(2) of the file alone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def partial_path(path: str) -> str:
    """Where a file is written before it is put in its place."""
    return os.path.join(os.path.dirname(path), ".kubev6-{}.partial".format(os.path.basename(path)))


def rewrite(path: str, text: str) -> None:
    """Write a changed text into a file that others write too. Mode and owner stay, its attributes, and a link to it."""
    real = os.path.realpath(path)
    seen = os.stat(real)
    owner = (seen.st_uid, seen.st_gid)
    write_atomically(real, exact_bytes(text), stat.S_IMODE(seen.st_mode), owner, attributes_of(real))


def attributes_of(path: str) -> Dict[str, bytes]:
    """The extended attributes of a file (xattr(7)), among them its access control list and its label of SELinux."""
    try:
        return {name: os.getxattr(path, name) for name in os.listxattr(path)}
    except OSError:  # the file system knows none
        return {}


def write_atomically(
    path: str,
    data: bytes,
    mode: int,
    owner: Optional[Tuple[int, int]] = None,
    attributes: Optional[Dict[str, bytes]] = None,
) -> None:
    """Write a whole file or nothing of it, also when the power fails.

    A mount point cannot be renamed over and is written in place.
    """
    make_directories(os.path.dirname(path))
    temporary = partial_path(path)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(descriptor, mode)
            if owner:
                os.fchown(descriptor, *owner)
            for name, value in (attributes or {}).items():
                with suppress(OSError):  # one that only its own program may give
                    os.setxattr(descriptor, name, value)
            file.flush()
            os.fsync(descriptor)
        try:
            os.replace(temporary, path)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            with open(path, "r+b") as file:
                file.write(data)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
            os.chmod(path, mode)
        sync_directory(os.path.dirname(path))
    except OSError as error:
        if error.filename is None:  # what writing says of a full disk does not say where
            raise OSError(error.errno, error.strerror, path) from None
        raise
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)
