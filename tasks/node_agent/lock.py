"""One run at a time changes a node."""

import fcntl
import os
import time
from contextlib import contextmanager
from typing import IO, Iterator

from tasks.node_agent.files import make_directories
from tasks.node_agent.protocol import Failed, progress
from tasks.node_agent.record import HOME

LOCK_SECONDS = 120


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock of this node, and with it the directory of what is known about it."""
    make_directories(HOME, 0o700)
    with open(os.path.join(HOME, "lock"), "w") as lock:
        hold(lock)
        yield


def hold(lock: IO[str]) -> None:
    """Wait until no other run, perhaps one whose controller went away, changes this node."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                seen = "another run has been changing this node for {} s".format(LOCK_SECONDS)
                raise Failed(seen, transient=True) from None
            progress("waiting for another run that changes this node")
            time.sleep(1)
        else:
            return
