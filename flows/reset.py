"""The order in which a cluster goes: `kubev6 reset`."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from configs.errors import KubeV6Error
from configs.schema.loading import load_cluster
from flows.futures import A_THREAD_EACH, begin_each, results, settled
from flows.parameters import IfBusy
from flows.run import names as run_names
from flows.run.context import called, failed, run
from flows.run.lock import turn
from flows.stages import visible
from tasks import removal as leaving
from tasks.changes import noted_changes
from tasks.node.reset import Reset
from tasks.removal import Going
from tasks.ssh.pool import connections_kept


@flow(name="kubev6-reset", flow_run_name=run_names.of_cluster("reset", "where"), task_runner=A_THREAD_EACH)
def reset(where: str = "lab", names: tuple[str, ...] = (), if_busy: IfBusy = "wait") -> tuple[Reset, ...] | State[Any]:
    """Take machines out of their cluster and make them what they were before.

    Args:
        where: A cluster file, or the name of a shipped one.
        names: The machines; none for all.
        if_busy: Wait for another run on this cluster to end, or refuse to begin.
    """
    cluster = load_cluster(where)
    try:
        with run("reset", cluster), turn(cluster.name, called("reset"), if_busy), noted_changes(), connections_kept():
            going = leaving.chosen(cluster, names)
            begun = []
            for group in going.groups:
                begun += begin_each(node, going, group)
                settled(begun)  # one that fails keeps nobody from being reset
            return tuple(results(begun))
    except KubeV6Error as error:
        return failed(error)


@visible("reset {name}")
def node(going: Going, name: str) -> Reset:
    """One machine out of its cluster, and made what it was."""
    return leaving.reset(going, name)
