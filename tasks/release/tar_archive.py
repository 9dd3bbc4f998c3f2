"""Opening archives that come from elsewhere. Nothing in them is taken at its word."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path
from tarfile import ReadError
from typing import IO, Any, Literal

from configs.words import shortened, visible
from tasks.bounded import Bound

UNREADABLE = (
    *(tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError),
    *(KeyError, ValueError, OverflowError, RecursionError),
)
"""What tarfile, gzip and zlib raise of a damaged archive; RecursionError, of links that lead to one another."""


MOST_ENTRIES = 20_000
"""Of an archive: Docker's have three for each of at most 127 layers, that of the CNI plugins some twenty in all."""
LONGEST_HEADER = 1 << 16
"""Bytes of what stands before an entry because its head has no room for it; a path has at most 4096."""
MOST_HEADERS = 1 << 24
"""Bytes of all of them; an archive whose every entry has a long name has a tenth of that."""
_HEADERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)


class _Entry(tarfile.TarInfo):
    """An entry that neither fills the memory nor has tarfile read it again and again (CVE-2025-8194)."""

    @classmethod
    def fromtarfile(cls, tarfile: Any) -> Any:
        if len(tarfile.members) >= MOST_ENTRIES:
            raise ReadError(f"it has more than {MOST_ENTRIES} entries")
        return super().fromtarfile(tarfile)

    def _proc_member(self, archive: Any) -> Any:
        if self.type in _HEADERS:
            if self.size > LONGEST_HEADER:
                raise ReadError(f"an entry has a header of {self.size} bytes")
            archive.headers.count(self.size)
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise ReadError(_SPARSE)
        return super()._proc_member(archive)  # type: ignore[misc]

    def _block(self, count: int) -> int:
        if count < 0:
            raise ReadError("an entry has a size below zero")
        return int(super()._block(count))  # type: ignore[misc]

    def _is_sparse(self, *_: object) -> None:
        raise ReadError(_SPARSE)

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _is_sparse


class _Archive(tarfile.TarFile):
    """One that counts what is kept in memory of it, as it comes."""

    tarinfo = _Entry

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.headers = Bound(MOST_HEADERS, "what stands before its entries")
        super().__init__(*args, **kwargs)


_SPARSE = "an entry has holes, which come to more than they take"


def open_tar(archive: Path | IO[bytes], mode: Literal["r:", "r:gz"]) -> tarfile.TarFile:
    """Open an archive for reading.

    Raises:
        UNREADABLE: It is none.
    """
    if isinstance(archive, Path):
        return _Archive.open(archive, mode=mode)
    return _Archive.open(fileobj=archive, mode=mode)


def seen_in(error: BaseException) -> str:
    """What was wrong with an archive, in one short line."""
    if isinstance(error, RecursionError):
        return "headers or links in it lead to one another without an end"
    return shortened(visible(str(error) or type(error).__name__), 200)
