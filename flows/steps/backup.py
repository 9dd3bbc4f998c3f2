"""Steps of a backup."""

from __future__ import annotations

from dataclasses import replace

from configs.schema.cluster import Cluster
from configs.words import counted
from flows.run.task import run_task
from tasks.kubernetes import backup
from tasks.kubernetes.backup import Taken
from tasks.steps import came_to


@run_task("back up {cluster.name}")
def take(cluster: Cluster, recipients: tuple[str, ...], to: str) -> Taken:
    """What the cluster knows, in a file that is encrypted. Nothing of it in clear is a result or reaches a disk."""
    taken = backup.take(cluster, recipients, to)
    came_to(f"{counted(taken.objects, 'object')} in {taken.path}")
    return taken


@run_task("remove older backups of {cluster.name}")
def prune(cluster: Cluster, taken: Taken, keep: int) -> Taken:
    """Older ones away, now that the new one is whole."""
    gone = backup.prune(cluster, taken, keep)
    came_to(f"{counted(len(gone), 'backup')} removed")
    return replace(taken, gone=gone)
