"""The order in which a cluster goes: `kubev6 reset`."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture

from configs.errors import KubeV6Error
from configs.schema.loading import load_cluster
from flows.parameters import IfBusy
from flows.run import names as run_names
from flows.run.lifecycle import called, failed, flow_run
from flows.run.lock import locked
from flows.run.results import results, settled
from flows.run.runner import THREADS
from flows.steps import nodes as steps
from tasks.kubernetes import removal
from tasks.node.reset import Reset


@flow(name="kubev6-reset", flow_run_name=run_names.of_cluster("reset", "where", "cluster"), task_runner=THREADS)
def reset(
    cluster: str = "lab",
    nodes: tuple[str, ...] = (),
    if_busy: IfBusy = "wait",
    where: str = "",
    names: tuple[str, ...] = (),
) -> tuple[Reset, ...] | State[Any]:
    """Take machines out of their cluster and make them what they were before.

    Args:
        cluster: A cluster file, or the name of a shipped one.
        nodes: The machines; none for all.
        if_busy: Wait for another run on this cluster to end, or refuse to begin.
        where: The former name of ``cluster``, taken until version 0.3.
        names: The former name of ``nodes``, taken until version 0.3.
    """
    try:
        topology = load_cluster(where or cluster)
        with flow_run("reset", topology), locked(topology.name, called("reset"), if_busy):
            leaving = removal.chosen(topology, nodes or names)
            begun: list[PrefectFuture[Reset]] = []
            for group in leaving.groups:
                settled(begun)  # one that fails keeps nobody from being reset
                begun += [steps.reset.submit(leaving, name) for name in group]
            return tuple(results(begun))
    except KubeV6Error as error:
        return failed(error)
