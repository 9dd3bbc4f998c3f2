"""The SSH connections of a run: one for each piece of work on a machine, and all ended when the run is stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from configs.errors import KubeV6Error
from configs.schema.cluster import Cluster
from flows.deployed import machines
from tasks.ssh.connection import Connection, connect

_changing = threading.Lock()
_open: set[Connection] = set()


@contextmanager
def connection(cluster: Cluster, node: str) -> Iterator[Connection]:
    """A connection to a machine, closed at the end.

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
    with connect(known[node]) as opened:
        with _changing:
            _open.add(opened)
        try:
            yield opened
        finally:
            with _changing:
                _open.discard(opened)


def close_all() -> None:
    """Close every connection. Work that still waits for an answer on one gets an error at once."""
    with _changing:
        opened = tuple(_open)
    for each in opened:
        each.close()
