"""The order in which a cluster comes back from a backup: `kubev6 restore`.

It is that of every deploy, with the control plane's authorities and data put in place before its API begins.
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from configs.errors import KubeV6Error
from configs.schema.loading import load_cluster
from flows.deploy import brought_up
from flows.parameters import ClusterName, FileName, IfBusy
from flows.run import names
from flows.run.lifecycle import failed
from flows.run.runner import THREADS
from tasks.kubernetes import restore as verbs
from tasks.release import choose


@flow(name="kubev6-restore", flow_run_name=names.of_cluster("restore", "cluster"), task_runner=THREADS)
def restore(cluster: ClusterName, backup: FileName, key: FileName, if_busy: IfBusy = "wait") -> State[Any]:
    """Bring a cluster back from a backup, onto machines that are of no cluster, and prove it.

    Args:
        cluster: The name of a shipped cluster, or the whole path of a cluster file on the worker's machine.
        backup: The whole path of the backup.
        key: The whole path of the private key that opens it.
        if_busy: Wait for another run on this cluster to end, or refuse to begin.
    """
    try:
        topology = load_cluster(cluster)
        restoring = verbs.opened(topology, backup, key)
        decision = choose.of_backup(restoring.backup)
        return brought_up("restore", topology, lambda: decision, "", if_busy, restoring=restoring)
    except KubeV6Error as error:
        return failed(error)
