"""Steps of a restore, besides those of every deploy."""

from __future__ import annotations

from collections.abc import Mapping

from configs.backup import refuse_machines
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster
from flows.run.task import run_task
from flows.steps.job import Job
from tasks.events import ChangeMade, emit
from tasks.kubernetes import restore
from tasks.kubernetes.restore import Restoring
from tasks.node.change import Change
from tasks.ssh.pool import connection
from tasks.steps import step


@run_task("machines for the backup of {cluster.name}")
def refuse(cluster: Cluster, restoring: Restoring, found: Mapping[str, Machine | None]) -> None:
    """No machine has what a restore would destroy. Changes nothing."""
    states = {}
    for node in cluster.control_planes:
        machine = found.get(node.name)
        if machine is not None and machine.python:
            with connection(cluster, node.name) as ssh, step(node.name, "restore state"):
                states[node.name] = restore.state(ssh)
    under_way = {name: state.backup for name, state in states.items() if state.backup}
    refuse_machines(restoring.backup, cluster, found, under_way)
    restore.refuse_data(cluster, states)


@run_task("restore {name}")
def begin(job: Job, name: str, restoring: Restoring) -> None:
    """The first control plane, with all that its API knew."""
    with connection(job.cluster, name) as ssh, step(name, "restore") as shown:
        if not restore.begin(ssh, job.cluster, job.manifest, restoring):
            shown.ended_as("already done")
            return
        emit(ChangeMade(change=Change("cluster", job.cluster.name, "restore", after=restoring.backup.made, node=name)))
        shown.ended_as(f"as of {restoring.backup.made}")


@run_task("start {name} again")
def start_again(job: Job, name: str) -> None:
    """A worker that has been a member all the time, as after a restart of its machine."""
    with connection(job.cluster, name) as ssh, step(name, "start again"):
        restore.start_again(ssh)
        emit(ChangeMade(change=Change("node", name, "restart", after="kubelet and pods", node=name)))


@run_task("end of the restore of {cluster.name}")
def end(cluster: Cluster) -> None:
    """The restore has come to its end: the next one is another."""
    for node in cluster.control_planes:
        with connection(cluster, node.name) as ssh:
            if restore.state(ssh).backup:
                restore.end(ssh)
