"""What is in a backup: a tar archive, compressed by gzip, whose first file says what the others are. All in memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Mapping

from configs.backup import Backup, Part, understood
from configs.errors import ConfigError
from tasks import bounded

MANIFEST = "manifest.json"
SNAPSHOT = "etcd-snapshot.db"
CLUSTER_FILE = "cluster.yaml"
LARGEST = 8 << 30
"""Bytes of all that is in a backup: as much as etcd's own database may have."""
LEVEL = 3
"""What compresses a database nearly as well as more does, in a fraction of the time."""
PKI = "pki/"
"""What the names of certificates and keys begin with; what follows is their path below /etc/kubernetes/pki."""


def parts(files: Mapping[str, bytes]) -> tuple[Part, ...]:
    """What a backup says of the files in it."""
    return tuple(
        Part(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in files.items()
    )


def packed(backup: Backup, files: Mapping[str, bytes]) -> bytes:
    """The archive.

    Args:
        backup: What it says of itself.
        files: The files, by their paths in it.
    """
    text = json.dumps(backup.model_dump(mode="json", exclude_defaults=True) | {"format": backup.format}, indent=1)
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in {MANIFEST: text.encode(), **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(written.getvalue(), LEVEL, mtime=0)


def unpacked(content: bytes, where: str) -> tuple[Backup, dict[str, bytes]]:
    """What an archive says of itself, and its files, each of which is as it says there.

    Args:
        content: The archive.
        where: The file that it comes from, for the error.

    Raises:
        ConfigError: It is none, of a newer form, or not what it says.
    """
    files: dict[str, bytes] = {}
    try:
        with gzip.open(io.BytesIO(content)) as packed_archive:
            whole = packed_archive.read(LARGEST + 1)
        if len(whole) > LARGEST:
            raise _wrong(where, str(bounded.TooMuchError(LARGEST)))
        with tarfile.open(fileobj=io.BytesIO(whole), mode="r:") as archive:
            for entry in archive:
                read = archive.extractfile(entry)
                if read is None or entry.name in files:
                    raise _wrong(where, f"{entry.name!r} is no file, or there twice")
                files[entry.name] = read.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise _wrong(where, f"what was encrypted is no archive ({error})") from None
    if MANIFEST not in files:
        raise _wrong(where, f"there is no {MANIFEST} in it")
    try:
        told = bounded.parsed(files.pop(MANIFEST))
    except ValueError as error:
        raise _wrong(where, f"{MANIFEST} is no JSON ({error})") from None
    backup = understood(told, where)
    wanted = {part.name: part for part in backup.parts}
    if differing := sorted(set(wanted) ^ set(files)):
        raise _wrong(where, f"{', '.join(differing)} is not both in it and in what it says of itself")
    for part in parts(files):
        if part != wanted[part.name]:
            raise _wrong(where, f"{part.name} is not what it was: {part.size} bytes, SHA-256 {part.sha256[:12]}")
    return backup, files


def _wrong(where: str, seen: str) -> ConfigError:
    return ConfigError(f"{where} is no backup of kubev6's: {seen}", todo="take another one; nothing was changed")
