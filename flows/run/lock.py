"""One run at a time on a cluster, whoever began it: a person, a schedule or another program on this machine.

The lock is the kernel's, so it ends with its holder. It does not reach beyond this machine: workers on several
machines that work on the same cluster need a work pool of one slot besides. (A concurrency limit of Prefect's taken
here would honour ``if_busy``, but a server that is started again while it is held forgets who holds it, and never gives
it back.)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from configs.errors import KubeV6Error
from flows.parameters import IfBusy
from flows.run import context
from tasks.exclusive import exclusive, holder
from tasks.paths import cluster_lock

log = logging.getLogger("kubev6.flows")


@contextmanager
def locked(cluster: str, what: str, if_busy: IfBusy) -> Iterator[None]:
    """Have a cluster for oneself.

    Args:
        cluster: The cluster's name.
        what: What is about to be done, for those who have to wait.
        if_busy: Wait for another run to end, or refuse to begin.

    Raises:
        KubeV6Error: Another run works on it, and this one is not to wait.
    """
    path = cluster_lock(cluster)

    def busy() -> None:
        seen = f"cluster {cluster} is busy: {holder(path)}"
        if if_busy == "refuse":
            todo = "run this again when that has ended; --if-busy wait (of a deployment, if_busy) waits for it"
            raise KubeV6Error(seen, todo=todo)
        log.warning("%s; waiting for it to end", seen)

    with ExitStack() as held:
        held.enter_context(exclusive(path, on_wait=busy, what=what))
        try:
            yield
        except Exception:
            raise
        except BaseException:
            # The run is being stopped. Threads of it may be at work on the cluster for some seconds more.
            context.this_run().to_the_end.push(held.pop_all())
            raise
