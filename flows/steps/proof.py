"""Steps of the proof."""

from __future__ import annotations

import logging
from functools import partial

from configs.errors import KubeV6Error
from flows.run.task import run_task
from flows.steps.job import Job
from tasks import steps
from tasks.events import ChecksJudged, emit
from tasks.kubernetes import control_planes, probe_pods
from tasks.kubernetes.checks import Check
from tasks.kubernetes.members import Members
from tasks.kubernetes.verify import verify
from tasks.ssh.pool import connection

log = logging.getLogger("kubev6.flows")


@run_task("probe pods ahead")
def make_pods_ahead(job: Job, members: Members) -> str:
    """The pods of the proof while machines are still compared, of a cluster that is likely to need no change.

    Args:
        job: What is being deployed.
        members: Who is in the cluster as it is.

    Returns:
        Their namespace; empty when none were made, as on a cluster that is not up yet.
    """
    cluster = job.cluster
    if not any(node.name in members.ready for node in cluster.control_planes):
        return ""
    try:
        with control_planes.connected(cluster) as ssh:
            return probe_pods.make(ssh, cluster, job.manifest)
    except KubeV6Error as error:  # the proof makes its own, or tells
        log.debug("no pods of the proof ahead: %s", error)
    return ""


@run_task("remove probe pods")
def remove_pods(job: Job) -> None:
    """The pods that were made ahead of a proof that is not to be. The next proof would remove them too."""
    if steps.stopped():
        return
    try:
        with control_planes.connected(job.cluster) as ssh:
            probe_pods.remove(ssh, job.manifest)
    except KubeV6Error as error:
        log.debug("the pods of the proof stay until the next one: %s", error)


@run_task("proof of {job.cluster.name}")
def prove(job: Job, namespace: str) -> tuple[Check, ...]:
    """The proof that the cluster works over IPv6 only.

    Args:
        job: What was deployed.
        namespace: Where its pods were made ahead; empty to make some.
    """
    checks = verify(job.cluster, job.manifest, partial(connection, job.cluster), namespace, new=True)
    emit(ChecksJudged(checks=checks))
    return checks
