"""One SSH connection to each machine, opened when first needed and lent to one piece of work at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from configs.schema import Cluster
from tasks import inventory
from tasks.ssh import Connection, Endpoint, connect

_changing = threading.Lock()
_turns: dict[Endpoint, threading.Lock] = {}
_open: dict[Endpoint, tuple[Connection, ExitStack]] = {}


@contextmanager
def connection(cluster: Cluster, node: str) -> Iterator[Connection]:
    """Borrow the connection to a machine; whoever else wants it waits.

    After an error it is closed, so that a retry gets a new one.

    Args:
        cluster: The topology.
        node: The machine's name.

    Raises:
        NodeError: The machine cannot be reached.
    """
    endpoint = inventory.endpoints(cluster)[node]
    with _changing:
        turn = _turns.setdefault(endpoint, threading.Lock())
    with turn:
        borrowed, closing = _opened(endpoint)
        try:
            yield borrowed
        except BaseException:
            with _changing:
                _open.pop(endpoint, None)
            closing.close()
            raise


def close_all() -> None:
    """Close every connection. Work that still waits for an answer on one gets an error at once."""
    with _changing:
        opened = list(_open.values())
        _open.clear()
    for _, closing in opened:
        closing.close()


def _opened(endpoint: Endpoint) -> tuple[Connection, ExitStack]:
    with _changing:
        if endpoint in _open:
            return _open[endpoint]
    closing = ExitStack()
    made = closing.enter_context(connect(endpoint)), closing
    with _changing:
        _open[endpoint] = made
    return made
