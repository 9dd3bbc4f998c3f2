"""What a full or broken disk comes to: one line that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from configs.errors import KubeV6Error
from tasks.paths import data_dir

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
"""How it shows that a disk takes no more. Others are of the network, or of a defect."""


@contextmanager
def writing(place: str, variable: str) -> Iterator[None]:
    """What the disk refuses in this context is an error that a person can put right.

    Args:
        place: What is written to, for example ``the store /var/lib/kubev6``.
        variable: The environment variable that names another directory.

    Raises:
        KubeV6Error: It is full, or cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        raise KubeV6Error(
            f"{place} cannot be written: {error.strerror}",
            todo=f"make room (kubev6 cache prune), or set {variable} to a directory on a larger disk",
        ) from None


def writing_data() -> AbstractContextManager[None]:
    """The same for what is kept in the data directory."""
    return writing(f"the data directory {data_dir()}", "KUBEV6_DATA")
