"""One kubeadm at a time on a node: one whose controller went away goes on, and its lock with it."""

import fcntl
import os
import time
from contextlib import contextmanager
from typing import IO, Iterator

from tasks.node_agent.protocol import Failed, progress

LOCK = "/run/kubev6-kubeadm.lock"
SECONDS = 420
"""As long as a kubeadm may take (``INIT_SECONDS`` of :mod:`tasks.kubernetes.kubeadm`)."""


@contextmanager
def no_other_kubeadm() -> Iterator[None]:
    """Wait for the end of a kubeadm of ours that runs here, and keep others from running."""
    with open(LOCK, "a") as lock:
        take(lock)
        yield


def await_other_kubeadm() -> None:
    """Wait for the end of a kubeadm of ours that runs here."""
    if os.path.exists(LOCK):
        with no_other_kubeadm():
            return


def take(lock: IO[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Failed("another kubeadm has been running for {} s".format(SECONDS), transient=True) from None
            progress("waiting for a kubeadm that still runs here")
            time.sleep(0.5)
        else:
            return
