"""The order in which a machine takes the place of a dead one: `kubev6 replace`.

It is that of every deploy, once it is certain that the machine of before is dead.
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from configs.errors import KubeV6Error
from configs.schema.loading import load_cluster
from flows.deploy import brought_up
from flows.parameters import ClusterName, IfBusy
from flows.run import names
from flows.run.lifecycle import failed
from flows.run.results import result
from flows.run.runner import THREADS
from flows.steps import nodes
from tasks.release import choose
from tasks.release.choose import Decision


@flow(name="kubev6-replace", flow_run_name=names.of_cluster("replace", "cluster"), task_runner=THREADS)
def replace(cluster: ClusterName, node: str, if_busy: IfBusy = "wait") -> State[Any]:
    """Let another machine join a cluster in the place of a dead one, and prove the cluster.

    Args:
        cluster: The name of a shipped cluster, or the whole path of a cluster file on the worker's machine.
        node: The name that both machines have.
        if_busy: Wait for another run on this cluster to end, or refuse to begin.
    """
    try:
        topology = load_cluster(cluster)

        def decided() -> Decision:
            result(nodes.make_way.submit(topology, node))
            return choose.running(topology)

        return brought_up("replace", topology, decided, "", if_busy)
    except KubeV6Error as error:
        return failed(error)
