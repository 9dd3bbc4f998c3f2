"""The SSH connections of a run: one for each piece of work on a machine, and all ended when the run is stopped.

Pieces of work that follow one another share one; those that go side by side have each their own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from configs.errors import KubeV6Error
from configs.schema.cluster import Cluster
from tasks import scope
from tasks.deployed import machines
from tasks.ssh.connection import Connection, connect
from tasks.ssh.endpoint import Endpoint


class ConnectionPool:
    """The connections of one run."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._in_use: set[Connection] = set()
        self._idle: list[Connection] = []

    @contextmanager
    def connection(self, endpoint: Endpoint, *, new: bool = False) -> Iterator[Connection]:
        """A connection for one piece of work; one whose work was done well stays for the next on its machine.

        Args:
            endpoint: The machine.
            new: Whether it is to be none of those that there are, of which the idle ones are then closed.
        """
        while new and (old := self._take(endpoint)):
            old.close()
        opened = self._take(endpoint) or connect(endpoint)
        with self._changing:
            self._in_use.add(opened)
        done = False
        try:
            yield opened
            done = True
        finally:
            with self._changing:
                self._in_use.discard(opened)
                if done:
                    self._idle.append(opened)
            if not done:
                opened.close()

    def close(self) -> None:
        """Close every connection. Work that still waits for an answer on one gets an error at once."""
        with self._changing:
            opened = (*self._in_use, *self._idle)
            self._idle.clear()
        for each in opened:
            each.close()

    def _take(self, endpoint: Endpoint) -> Connection | None:
        """One that nobody uses now, if there is any that still holds."""
        with self._changing:
            idle = [each for each in self._idle if each.endpoint == endpoint and each.is_open]
            if not idle:
                return None
            self._idle.remove(idle[-1])
            return idle[-1]


@contextmanager
def connection(cluster: Cluster, node: str) -> Iterator[Connection]:
    """A connection to a machine, for one piece of work: of the run's pool, or outside a run one for this work alone.

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
    pool = scope.find(ConnectionPool)
    with pool.connection(known[node]) if pool else connect(known[node]) as opened:
        yield opened


def new_connection(endpoint: Endpoint) -> AbstractContextManager[Connection]:
    """A connection to a machine that did not exist before, for one piece of work; of the run's pool, if there is one.

    Raises:
        NodeError: The machine cannot be reached.
    """
    pool = scope.find(ConnectionPool)
    return pool.connection(endpoint, new=True) if pool else connect(endpoint)
