"""One run at a time on a cluster, whoever began it: a person, a schedule or another program on this machine.

The lock is the kernel's, so it ends with its holder. It does not reach beyond this machine: workers on several
machines that work on the same cluster need a work pool of one slot besides. (A concurrency limit of Prefect's taken
here would honour ``if_busy``, but a server that is started again while it is held forgets who holds it, and never gives
it back.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from configs.errors import KubeV6Error
from flows.parameters import IfBusy
from flows.run import context
from tasks import scope
from tasks.exclusive import exclusive, holder
from tasks.paths import cluster_lock

log = logging.getLogger("kubev6.flows")


@dataclass(frozen=True, slots=True)
class _Held:
    """A cluster that the caller has for itself already, and until when."""

    cluster: str
    until: ExitStack


@contextmanager
def locked(cluster: str, what: str, if_busy: IfBusy, say: Callable[[str], None] = log.warning) -> Iterator[None]:
    """Have a cluster for oneself. Who has it may say so again, of what is a part of that.

    Args:
        cluster: The cluster's name.
        what: What is about to be done, for those who have to wait.
        if_busy: Wait for another run to end, or refuse to begin.
        say: Hears for whom this call waits.

    Raises:
        KubeV6Error: Another run works on it, and this one is not to wait.
    """
    held = scope.find(_Held)
    if held is not None and held.cluster == cluster:
        with _to_the_end(held.until):
            yield
        return
    path = cluster_lock(cluster)

    def busy() -> None:
        seen = f"cluster {cluster} is busy: {holder(path)}"
        if if_busy == "refuse":
            todo = "run this again when that has ended; --if-busy wait (of a deployment, if_busy) waits for it"
            raise KubeV6Error(seen, todo=todo)
        say(f"{seen}; waiting for it to end")

    with ExitStack() as until:
        until.enter_context(exclusive(path, on_wait=busy, what=what))
        with scope.holding(_Held(cluster, until)), _to_the_end(until):
            yield


@contextmanager
def _to_the_end(until: ExitStack) -> Iterator[None]:
    """Have what is held for longer where the run is being stopped: its threads may be at work for some seconds more."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        if run := context.current():  # there is none between two runs of one command
            run.to_the_end.push(until.pop_all())
        raise
