"""The visible pieces of a deploy: one Prefect task each. What they do is in ``tasks``; when, in ``flows/deploy.py``.

Each returns the changes that it made, one line each, so a run that found everything in place returns none.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from prefect import Task, task
from prefect.tasks import exponential_backoff

from configs.manifest import Manifest
from configs.plan import plan
from configs.schema import Cluster, Release
from configs.state import NodeState
from flows import choose_release
from flows.connections import close_all, connection
from flows.deployed import remember
from flows.futures import is_transient
from tasks import cluster_dns as dns
from tasks import engine, inventory, kubeadm, lab, registry, steps, survey
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


@visible("{name}: prepare")
def prepare(job: Job, name: str) -> Changes:
    """A machine's network, then its support services or its container runtime."""
    return _bring(job, name, ("network", "support", "runtime"))


@visible("fill the registry")
def fill_registry(job: Job) -> Changes:
    """The release into the registry on the support node, through the SSH connection to it."""
    support = job.cluster.support
    with (
        connection(job.cluster, support.name) as ssh,
        ssh.forward(str(support.address), job.cluster.registry.port) as port,
    ):
        pushed = registry.push(job.manifest, Store(), f"http://127.0.0.1:{port}")
    return (f"registry: {pushed.sent} blobs and manifests sent",) if pushed.sent else ()


@visible("{name}: install Kubernetes")
def install(job: Job, name: str) -> Changes:
    """Kubernetes' binaries and settings onto a node."""
    return _bring(job, name, ("kubernetes",))


@visible("kubeadm init")
def initialise(job: Job) -> Changes:
    """The control plane, and its kubeconfig to the user."""
    name = job.cluster.control_plane.name
    with connection(job.cluster, name) as ssh:
        begun = kubeadm.init(ssh, job.cluster, job.manifest)
        kubeadm.fetch_kubeconfig(ssh, job.cluster)
    remember(job.cluster, job.manifest)
    return (f"{name}: kubeadm init",) if begun else ()


@visible("{name}: kubeadm join")
def join(job: Job, name: str) -> Changes:
    """A worker into the cluster, unless it is a member already."""
    node = job.cluster.node(name)
    with steps.step(name, "kubeadm join") as shown, connection(job.cluster, name) as ssh:
        if kubeadm.probe(ssh, job.cluster, job.manifest, node).member:
            shown.ended_as("already done")
            return ()
        kubeadm.join(ssh, job.cluster, job.release, job.manifest, node, _credentials(job))
    return (f"{name}: kubeadm join",)


@visible("cluster DNS")
def cluster_dns(job: Job) -> Changes:
    """Names for Services."""
    with connection(job.cluster, job.cluster.control_plane.name) as ssh:
        return (f"{job.cluster.name}: cluster DNS",) if dns.apply(ssh, job.cluster, job.manifest) else ()


@visible("proof")
def prove(job: Job) -> tuple[Check, ...]:
    """The proof that the cluster works over IPv6 only."""
    return verify(job.cluster, job.manifest, inventory.endpoints(job.cluster))


def node_state(job: Job, name: str, ssh: Connection) -> NodeState:
    """What a machine must look like. The support node is asked for its own resolvers where the topology names none."""
    asked = name == job.cluster.support.name and not job.cluster.dns64.forwarders
    return plan(job.cluster, job.release, job.manifest, resolvers=survey.resolvers(ssh) if asked else ())[name]


def stop() -> None:
    """End all that is under way in this process: a thread cannot be interrupted, but its work can be made to fail."""
    steps.stop()
    close_all()


def say_waiting(cluster: Cluster) -> None:
    """Tell the person that another run holds this cluster."""
    log.warning("another run works on cluster %s; waiting for it to end", cluster.name)


def _bring(job: Job, name: str, stages: tuple[str, ...]) -> Changes:
    with connection(job.cluster, name) as ssh:
        state = node_state(job, name, ssh)
        return tuple(
            f"{name}: {change.describe()}"
            for stage in state.stages
            if stage.name in stages
            for change in engine.bring_to(ssh, stage)
        )


# The token that lets workers join lives here and nowhere else: Prefect stores what tasks take and return.
_asking = threading.Lock()
_made: dict[str, kubeadm.JoinCredentials] = {}


def _credentials(job: Job) -> kubeadm.JoinCredentials:
    """The credentials for joining, made once for all workers of a run."""
    with _asking:
        if job.cluster.name not in _made:
            with connection(job.cluster, job.cluster.control_plane.name) as ssh:
                _made[job.cluster.name] = kubeadm.join_credentials(ssh)
        return _made[job.cluster.name]


def drop_credentials(cluster: Cluster) -> None:
    """Make the credentials of this run useless, if any were made. Of a run that failed they expire by themselves."""
    if cluster.name in _made:
        with connection(cluster, cluster.control_plane.name) as ssh:
            kubeadm.drop_credentials(ssh, _made[cluster.name])


def finish(cluster: Cluster) -> None:
    """Forget the credentials and close all connections, however the run ended."""
    _made.pop(cluster.name, None)
    close_all()
