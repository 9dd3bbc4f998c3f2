"""The pieces of a deploy. What they do is in ``tasks``; in which order, in ``flows/deploy.py``.

Each returns the changes that it made, one line each, so a run that found everything in place returns none.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

from prefect import Task, task
from prefect.tasks import exponential_backoff

from configs.manifest import Manifest
from configs.plan import plan_node
from configs.schema import Cluster, Release
from configs.state import NodeState
from flows import choose_release
from flows.connections import close_all, connection
from flows.deployed import remember
from flows.futures import is_transient
from tasks import cluster_dns as dns
from tasks import engine, inventory, kubeadm, lab, preflight, registry, steps, survey
from tasks.checks import Check
from tasks.ssh import Connection
from tasks.store import Store
from tasks.verify import verify

Changes = tuple[str, ...]
log = logging.getLogger("kubev6.flows")

P = ParamSpec("P")
R = TypeVar("R")


def visible(run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A Prefect task that is tried again only for what is transient.

    Args:
        run_name: What one run of it is called, with parameters in braces.
    """
    return task(
        task_run_name=run_name,
        retries=3,
        retry_delay_seconds=exponential_backoff(2),
        retry_jitter_factor=0.5,
        retry_condition_fn=is_transient,
        persist_result=False,
    )


@dataclass(frozen=True, slots=True)
class Job:
    """What is deployed: the topology, how the release wants to be configured, and what it holds."""

    cluster: Cluster
    release: Release
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a deploy came to.

    Attributes:
        manifest: The release that the cluster runs.
        why: Why this release.
        changes: What was changed, one line each.
        checks: The proof.
    """

    manifest: Manifest
    why: str
    changes: tuple[str, ...]
    checks: tuple[Check, ...]


@visible("machines of {cluster.name}")
def machines(cluster: Cluster) -> Changes:
    """The machines: containers for a lab; those of a cluster of one's own are there already."""
    if cluster.lab is None:
        return ()
    was_up = any(each.name == cluster.name and each.machines and each.up for each in lab.status_all())
    lab.up(cluster)
    return () if was_up else (f"{cluster.name}: machines brought up",)


@visible("release")
def release(cluster: Cluster, prebuilt: bool, named: str) -> choose_release.Chosen:
    """The release, built or taken, whole and in the store."""
    with steps.step("release", "choose" if prebuilt else "provide") as shown:
        store = Store()
        chosen = choose_release.prebuilt(cluster, named, store) if prebuilt else choose_release.built(cluster, store)
        shown.ended_as(f"{chosen.manifest.version}: {chosen.why}")
        return chosen


def provide_python(ssh: Connection) -> Changes:
    """Python, with which a machine is asked and changed."""
    return (f"{ssh.node}: python3 installed",) if ssh.provide_python() else ()


def bring(ssh: Connection, job: Job, state: NodeState, *stages: str) -> Changes:
    """A machine to those of its stages that are named, in their order."""
    before = partial(preflight.check, job.cluster, job.release, job.cluster.node(state.node))
    return tuple(
        f"{state.node}: {change.describe()}"
        for stage in state.stages
        if stage.name in stages
        for change in engine.bring_to(ssh, stage, before=before)
    )


def fill_registry(ssh: Connection, job: Job) -> Changes:
    """The release into the registry on the support node, through the SSH connection to it."""
    registry.drop_damaged(ssh)
    with ssh.forward(str(job.cluster.support.address), job.cluster.registry.port) as port:
        pushed = registry.push(job.manifest, Store(), f"http://127.0.0.1:{port}")
    return (f"registry: {pushed.sent} blobs and manifests sent",) if pushed.sent else ()


def initialise(ssh: Connection, job: Job) -> Changes:
    """The control plane, and its kubeconfig to the user."""
    begun = kubeadm.init(ssh, job.cluster, job.manifest)
    kubeadm.fetch_kubeconfig(ssh, job.cluster)
    remember(job.cluster, job.manifest)
    return (f"{job.cluster.control_plane.name}: kubeadm init",) if begun else ()


def cluster_dns(ssh: Connection, job: Job) -> Changes:
    """Names for Services."""
    return (f"{job.cluster.name}: cluster DNS",) if dns.apply(ssh, job.cluster, job.manifest) else ()


def join(ssh: Connection, job: Job, name: str) -> Changes:
    """A worker into the cluster, unless it is a member already."""
    node = job.cluster.node(name)
    with steps.step(name, "kubeadm join") as shown:
        if kubeadm.is_member(ssh, job.cluster, job.manifest, node):
            shown.ended_as("already done")
            return ()
        kubeadm.join(ssh, job.cluster, job.release, job.manifest, node, _credentials(job.cluster))
    return (f"{name}: kubeadm join",)


@visible("proof")
def prove(job: Job) -> tuple[Check, ...]:
    """The proof that the cluster works over IPv6 only."""
    return verify(job.cluster, job.manifest, inventory.endpoints(job.cluster))


def node_state(ssh: Connection, job: Job, name: str) -> NodeState:
    """What a machine must look like, which depends on what it says of itself."""
    return plan_node(job.cluster, job.release, job.manifest, name, survey.machine(ssh))


def stop() -> None:
    """End all that is under way in this process: a thread cannot be interrupted, but its work can be made to fail."""
    steps.stop()
    close_all()


def say_waiting(cluster: Cluster) -> None:
    """Tell the person that another run holds this cluster."""
    log.warning("another run works on cluster %s; waiting for it to end", cluster.name)


# The token that lets workers join lives here and nowhere else: Prefect stores what tasks take and return.
_asking = threading.Lock()
_made: dict[str, kubeadm.JoinCredentials] = {}


def _credentials(cluster: Cluster) -> kubeadm.JoinCredentials:
    """The credentials for joining, made once for all workers of a run.

    They are asked for over a connection of its own: that of the control plane's task is in use.
    """
    with _asking:
        if cluster.name not in _made:
            with connection(cluster, cluster.control_plane.name) as ssh:
                _made[cluster.name] = kubeadm.join_credentials(ssh)
        return _made[cluster.name]


def drop_credentials(cluster: Cluster) -> None:
    """Make the credentials of this run useless, if any were made. Of a run that failed they expire by themselves."""
    if cluster.name in _made:
        with connection(cluster, cluster.control_plane.name) as ssh:
            kubeadm.drop_credentials(ssh, _made[cluster.name])


def finish(cluster: Cluster) -> None:
    """Forget the credentials and close all connections, however the run ended."""
    _made.pop(cluster.name, None)
    close_all()
