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
def alone(seconds: int = LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock of this node, and with it the directory of what is known about it.

    Another run that has it may be one whose controller went away.
    """
    make_directories(HOME, 0o700)
    with open(os.path.join(HOME, "lock"), "w") as lock:
        failed = "another run has been changing this node for {} s".format(seconds)
        hold(lock, seconds, "waiting for another run that changes this node", failed)
        yield


def hold(lock: IO[str], seconds: int, waiting: str, failed: str) -> None:
    """Wait until nobody else holds a lock, and hold it.

    Raises:
        Failed: Somebody else holds it after some seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Failed(failed, transient=True) from None
            progress(waiting)
            time.sleep(0.5)
        else:
            return
