"""The SSH connections of a run: one for each piece of work on a machine, and all ended when the run is stopped.

Pieces of work that follow one another share one; those that go side by side have each their own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from configs.errors import KubeV6Error
from configs.schema.cluster import Cluster
from tasks.deployed import machines
from tasks.ssh.connection import Connection, connect
from tasks.ssh.endpoint import Endpoint

_changing = threading.Lock()
_open: set[Connection] = set()
_idle: list[Connection] = []
_keeping = False


@contextmanager
def connections_kept() -> Iterator[None]:
    """Inside, a connection whose work is done stays for the next work on its machine. At the end all are closed."""
    global _keeping
    _keeping = True
    try:
        yield
    finally:
        _keeping = False
        close_all()


@contextmanager
def connection(cluster: Cluster, node: str) -> Iterator[Connection]:
    """A connection to a machine, for one piece of work.

    Args:
        cluster: The topology.
        node: The machine's name; one that the topology no longer names counts as long as it is remembered.

    Raises:
        NodeError: The machine cannot be reached.
        KubeV6Error: Nobody knows how.
    """
    known = machines(cluster)
    if node not in known:
        raise KubeV6Error(
            f"{node}: it is not known here how to reach it", todo=f"known are {', '.join(known) or 'no machines'}"
        )
    opened = _taken(known[node]) or connect(known[node])
    done = False
    with _changing:
        _open.add(opened)
    try:
        yield opened
        done = True
    finally:
        with _changing:
            _open.discard(opened)
            kept = done and _keeping
            if kept:
                _idle.append(opened)
        if not kept:
            opened.close()


def _taken(endpoint: Endpoint) -> Connection | None:
    """One that nobody uses now, if there is any that still holds."""
    with _changing:
        fitting = [each for each in _idle if each.endpoint == endpoint and each.is_open]
        if not fitting:
            return None
        _idle.remove(fitting[-1])
        return fitting[-1]


def close_all() -> None:
    """Close every connection. Work that still waits for an answer on one gets an error at once."""
    with _changing:
        opened = (*_open, *_idle)
        _idle.clear()
    for each in opened:
        each.close()
