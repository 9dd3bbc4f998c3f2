"""The order in which a cluster is backed up: `kubev6 backup`, and the deployment `kubev6/nightly-backup`."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from configs.errors import KubeV6Error
from configs.schema.loading import load_cluster
from configs.words import counted
from flows.parameters import BackupPlace, ClusterName, IfBusy, KeptBackups, PublicKey
from flows.run import names
from flows.run.lifecycle import called, failed, flow_run
from flows.run.lock import locked
from flows.run.notify import notify
from flows.run.results import result
from flows.run.runner import THREADS
from flows.steps import backup as steps
from tasks.kubernetes import backup as verbs


@flow(
    name="kubev6",
    flow_run_name=names.of_cluster("backup", "cluster"),
    task_runner=THREADS,
    on_failure=[notify],
    on_crashed=[notify],
)
def backup(
    cluster: ClusterName,
    keys: tuple[PublicKey, ...],
    to: BackupPlace = "",
    keep: KeptBackups = 0,
    if_busy: IfBusy = "wait",
) -> State[Any]:
    """Write all that a cluster knows into a file which only the holder of a key can read.

    Args:
        cluster: The name of a shipped cluster, or the whole path of a cluster file on the worker's machine.
        keys: The public keys to which it is encrypted, of age's or ssh's, or whole paths of files with some; the
            private key of one opens it.
        to: The whole path of a directory or of a file; empty for the data directory.
        keep: How many backups of this cluster stay in that directory, of those that were made from here; 0 for all.
        if_busy: Wait for another run on this cluster to end, or refuse to begin.
    """
    try:
        topology = load_cluster(cluster)
        verbs.refuse(topology, keys, to)
        with flow_run("backup", topology), locked(topology.name, called("backup"), if_busy):
            taken = result(steps.take.submit(topology, keys, to))
            if keep:
                taken = result(steps.prune.submit(topology, taken, keep))
    except KubeV6Error as error:
        return failed(error)
    words = [
        f"{counted(taken.objects, 'object')} in {taken.path}",
        *([f"{len(taken.gone)} older removed"] if keep else []),
    ]
    return Completed(message="; ".join(words), data=taken)
