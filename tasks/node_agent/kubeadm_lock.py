"""One kubeadm at a time on a node: one whose controller went away goes on, and its lock with it."""

import os
from contextlib import contextmanager
from typing import Iterator

from tasks.node_agent.lock import hold

LOCK = "/run/kubev6-kubeadm.lock"
SECONDS = 420
"""As long as a kubeadm may take (``INIT_SECONDS`` of :mod:`tasks.kubernetes.kubeadm`)."""


@contextmanager
def no_other_kubeadm() -> Iterator[None]:
    """Wait for the end of a kubeadm of ours that runs here, and keep others from running."""
    with open(LOCK, "a") as lock:
        failed = "another kubeadm has been running for {} s".format(SECONDS)
        hold(lock, SECONDS, "waiting for a kubeadm that still runs here", failed)
        yield


def await_other_kubeadm() -> None:
    """Wait for the end of a kubeadm of ours that runs here."""
    if os.path.exists(LOCK):
        with no_other_kubeadm():
            return
