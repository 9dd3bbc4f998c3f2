"""Files whose bytes were read and found right, so that they are only read again after somebody touched them.

What tells is the time of the last change of the file's inode, which no program can set, together with its size and
its inode. A file that was changed in the moment before it was read is read again the next time: within one tick of the
file system's clock a second change would not show.
"""

from __future__ import annotations

import errno
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from configs.errors import KubeV6Error
from tasks import bounded
from tasks.replace import write_whole

BAD_DISK = {errno.EIO, errno.EUCLEAN, errno.ENODATA}
"""How it shows that the bytes themselves are lost. Else it is a right, a handle or the place that is lacking."""
TICK = 0.1 * 1e9
"""Nanoseconds within which two changes may bear the same time."""


class Verified:
    """What was found right, kept in a file. Losing it costs time and nothing else.

    Args:
        file: Where it is kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._seen: dict[str, list[int]] | None = None
        self._news = False
        self._depth = 0

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look at many files, and write down what was found once."""
        with self._lock:
            self._depth += 1
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if self._news and not self._depth:
                    self._write()

    def fault(self, path: Path, sha256: str) -> str:
        """What is wrong with the bytes of a file; empty when they have their checksum.

        Args:
            path: The file.
            sha256: Its checksum, hexadecimal.

        Raises:
            KubeV6Error: It cannot be read, which is no fault of its bytes: nothing is to be made or fetched again.
        """
        try:
            now = path.stat()
        except FileNotFoundError:
            return "missing"
        except OSError as error:
            return _unread(path, error)
        stamp = [now.st_size, now.st_ctime_ns, now.st_ino]
        with self._lock:
            if self._known().get(sha256) == stamp:
                return ""
        try:
            with path.open("rb") as file:
                seen = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return "missing"
        except OSError as error:
            return _unread(path, error)
        if seen != sha256:
            return f"has the sha256 {seen}"
        if time.time_ns() - now.st_ctime_ns > TICK:
            with self.looking(), self._lock:
                self._known()[sha256] = stamp
                self._news = True
        return ""

    def _known(self) -> dict[str, list[int]]:
        if self._seen is None:
            self._seen = bounded.kept(self._file, dict[str, list[int]], "all is read once more") or {}
        return self._seen

    def _write(self) -> None:
        with suppress(OSError):
            write_whole(self._file, json.dumps(self._known()))
            self._news = False


def _unread(path: Path, error: OSError) -> str:
    if error.errno in BAD_DISK:
        return f"cannot be read: {error.strerror}"
    todo = "mend that, and run it again; it need not be made or fetched again"
    raise KubeV6Error(f"{path}: cannot be read: {error.strerror}", todo=todo) from None
