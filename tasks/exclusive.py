"""One at a time, over processes and threads."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(name: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock that ends with this process at the latest.

    Args:
        name: The lock's file; made when absent, and left there.
        on_wait: Called when somebody else holds it and this call is about to wait.
    """
    name.parent.mkdir(parents=True, exist_ok=True)
    with name.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
