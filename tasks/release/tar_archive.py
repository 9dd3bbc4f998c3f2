"""Opening archives that come from elsewhere. Nothing in them is taken at its word."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import IO, Literal

from configs.words import shortened, visible

UNREADABLE = (
    *(tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError),
    *(KeyError, ValueError, OverflowError, RecursionError),
)
"""What tarfile, gzip and zlib raise of a damaged archive; RecursionError, of links that lead to one another."""


class _Entry(tarfile.TarInfo):
    """An entry whose size is none below zero: tarfile would read it again and again (CVE-2025-8194)."""

    def _block(self, count: int) -> int:
        if count < 0:
            raise tarfile.ReadError("an entry has a size below zero")
        return int(super()._block(count))  # type: ignore[misc]


def open_tar(archive: Path | IO[bytes], mode: Literal["r:", "r:gz"]) -> tarfile.TarFile:
    """Open an archive for reading.

    Raises:
        UNREADABLE: It is none.
    """
    if isinstance(archive, Path):
        return tarfile.open(archive, mode=mode, tarinfo=_Entry)
    return tarfile.open(fileobj=archive, mode=mode, tarinfo=_Entry)


def seen_in(error: BaseException) -> str:
    """What was wrong with an archive, in one short line."""
    if isinstance(error, RecursionError):
        return "links in it lead to one another"
    return shortened(visible(str(error) or type(error).__name__), 200)
