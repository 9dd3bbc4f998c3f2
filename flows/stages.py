"""The pieces of a deploy. What they do is in ``tasks``; in which order, in ``flows/deploy.py``.

Each notes the changes that it makes, so a run that finds everything in place notes none.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import ParamSpec, TypeVar

from prefect import Task, task
from prefect.tasks import exponential_backoff

from configs.derived import for_registry, image_references, registry_url
from configs.errors import ConfigError, KubeV6Error
from configs.manifest import Manifest
from configs.schema.cluster import Cluster
from configs.schema.release import Release
from configs.stages.network import REPOSITORIES
from configs.state import NodeState
from flows.futures import is_transient
from flows.gates import current_gates
from flows.run import recording
from tasks import registry, steps
from tasks import removal as leaving
from tasks.changes import any_made, note
from tasks.deployed import remember, remember_machines
from tasks.docker import toolchain
from tasks.fetch import mirror as mirrors
from tasks.kubernetes import addons, kubeadm, probe_pods
from tasks.kubernetes import cluster_dns as dns
from tasks.kubernetes.checks import Check
from tasks.kubernetes.verify import verify
from tasks.lab import lab
from tasks.node import engine
from tasks.node.change import Change
from tasks.release import choose as choose_release
from tasks.release.probe_image import with_probe
from tasks.release.refresh import Refresh
from tasks.ssh.connection import Connection
from tasks.ssh.pool import close_all, connection
from tasks.store import Store

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


def decide(cluster: Cluster, prebuilt: bool, named: str) -> choose_release.Decision:
    """Which release it is to be. Machines of a lab that do not suit it are refused before it is made."""
    decision = choose_release.decide(cluster, prebuilt, named, Store())
    try:
        lab.refuse_other_runtime(cluster, decision.release)
    except ConfigError as error:
        raise ConfigError(f"{error.message} ({decision.why})", todo=error.todo) from None
    return decision


@visible("machines of {cluster.name}")
def machines(cluster: Cluster, release: Release) -> None:
    """The machines: containers for a lab; those of a cluster of one's own are there already."""
    if cluster.lab is not None:
        running = {
            machine.name
            for each in lab.status_all()
            for machine in each.machines
            if each.name == cluster.name and machine.state == "running"
        }
        lab.up(cluster, release)
        if not running.issuperset(node.name for node in cluster.nodes):
            note(f"{cluster.name}: machines brought up")
    remember_machines(cluster)


@visible("release")
def release(decision: choose_release.Decision, mirror: str, refresh: Refresh) -> choose_release.Chosen:
    """The release, built or taken, whole and in the store."""
    with steps.step("release", "choose" if decision.prebuilt else "provide") as shown:
        store, fetched_from = Store(), mirrors.chosen(mirror)
        chosen = choose_release.provide(decision, store, fetched_from, refresh)
        chosen = replace(chosen, manifest=with_probe(chosen.manifest, store, fetched_from))
        shown.ended_as(f"{chosen.manifest.version}: {chosen.why}")
        recording.note_release(chosen.manifest, chosen.why)
        return chosen


def provide_python(ssh: Connection, state: NodeState) -> None:
    """Python, with which a machine is asked and changed, from where its packages are."""
    repositories = (file.content for stage in state.stages for file in stage.files if file.path == REPOSITORIES)
    if ssh.provide_python(next(repositories, "")):
        note(f"{ssh.node}: python3 installed")


def to_do(ssh: Connection, state: NodeState) -> NodeState:
    """What is to be done on a machine: no stage when it has come to all of them, which is one round trip.

    Else it is all of them in their order, each compared for itself: what one brings with it may concern a later one.
    """
    with steps.step(state.node, "compare") as shown:
        changes = [change for stage in engine.plan_changes(ssh, state.stages).values() for change in stage]
        shown.ended_as(f"{len(changes)} to change" if changes else "no change")
        return state if changes else replace(state, stages=())


def bring(ssh: Connection, state: NodeState, *stages: str) -> None:
    """A machine to those of its stages that are named, in their order."""

    def made(stage: str, change: Change) -> None:
        note(f"{state.node}: {change.describe()}", stage=stage)

    for stage in state.stages:
        if stage.name in stages:
            engine.bring_to(ssh, stage, made=partial(made, stage.name))


def fill_registry(ssh: Connection, job: Job) -> None:
    """The release into the registry on the support node, through the SSH connection to it."""
    registry.drop_damaged(ssh)
    with ssh.forward(str(job.cluster.support.address), job.cluster.registry.port) as port:
        content = for_registry(job.cluster, job.release, job.manifest)
        pushed = registry.push(content, Store(), f"http://127.0.0.1:{port}")
    recording.note_images(registry_url(job.cluster), content.images)
    if pushed.sent:
        note(f"registry: {pushed.sent} blobs and manifests sent")


def initialise(ssh: Connection, job: Job) -> None:
    """The control plane, unless it works already, and its kubeconfig to the user."""
    node = job.cluster.control_plane
    with steps.step(node.name, "kubeadm init") as shown:
        if kubeadm.is_member(ssh, job.cluster, job.manifest, node):
            shown.ended_as("already done")
        else:
            current_gates().registry.wait(node.name)
            kubeadm.init(ssh, job.manifest)
            note(f"{node.name}: kubeadm init")
            shown.ended_as(f"control plane at [{node.address}]:6443")
    images = image_references(job.cluster, job.release, job.manifest)
    for mended in addons.apply(ssh, job.cluster, job.manifest, images):
        note(f"{job.cluster.name}: {mended}")
    kubeadm.fetch_kubeconfig(ssh, job.cluster)
    remember(job.cluster, job.manifest)


def cluster_dns(ssh: Connection, job: Job) -> None:
    """Names for Services."""
    if dns.apply(ssh, job.cluster, job.manifest):
        note(f"{job.cluster.name}: cluster DNS")


def join(ssh: Connection, job: Job, name: str) -> None:
    """A worker into the cluster, unless it is a member already."""
    node = job.cluster.node(name)
    with steps.step(name, "kubeadm join") as shown:
        if kubeadm.is_member(ssh, job.cluster, job.manifest, node):
            shown.ended_as("already done")
            return
        current_gates().registry.wait(name)
        with _credentials(job.cluster) as credentials:
            kubeadm.join(ssh, job.cluster, job.release, job.manifest, node, credentials)
        note(f"{name}: kubeadm join")


@visible("remove {name}")
def remove(cluster: Cluster, name: str) -> None:
    """A machine that the cluster's file no longer names out of the cluster, when all that it names are fit."""
    gates = current_gates()
    gates.surveyed.wait(name)
    with gates.left.coming(name):
        leaving.remove(cluster, name)


@visible("proof")
def prove(job: Job) -> tuple[Check, ...]:
    """The proof that the cluster works over IPv6 only, when every machine is what it should be."""
    ahead = _probe_pods_ahead(job)
    try:
        current_gates().in_place.wait("proof")
        # What is proved is the cluster as it is after the last change: pods from before one are not good enough.
        namespace = "" if any_made() else ahead
        checks = verify(job.cluster, job.manifest, partial(connection, job.cluster), namespace)
    except KubeV6Error:
        if ahead:
            _remove_probe_pods(job)
        raise
    recording.note_checks(checks)
    return checks


def _probe_pods_ahead(job: Job) -> str:
    """The pods of the proof made on a cluster that is up while its machines are compared: where nothing is to be
    changed, they are ready when that is known. Returns their namespace; empty where there is no such cluster.
    """
    gates, control_plane = current_gates(), job.cluster.control_plane
    try:
        with connection(job.cluster, control_plane.name) as ssh:
            if not kubeadm.is_member(ssh, job.cluster, job.manifest, control_plane):
                return ""
            gates.surveyed.wait("proof")
            gates.left.wait("proof")
            return probe_pods.make(ssh, job.cluster, job.manifest)
    except KubeV6Error as error:  # the control plane's own work will tell
        log.debug("no pods for the proof ahead of it: %s", error)
        return ""


def _remove_probe_pods(job: Job) -> None:
    if steps.stopped():  # the next proof removes them
        return
    try:
        with connection(job.cluster, job.cluster.control_plane.name) as ssh:
            probe_pods.remove(ssh, job.manifest)
    except KubeV6Error as error:
        log.debug("the pods of the proof stay until the next one: %s", error)


def stop() -> None:
    """End all that is under way in this process: a thread cannot be interrupted, but its work can be made to fail."""
    steps.stop()
    close_all()
    toolchain.stop_running()


# The token that lets workers join lives here and nowhere else: Prefect stores what tasks take and return.
_asking = threading.Lock()
_made: dict[str, kubeadm.JoinCredentials] = {}
_joining: Counter[str] = Counter()


@contextmanager
def _credentials(cluster: Cluster) -> Iterator[kubeadm.JoinCredentials]:
    """The credentials for joining: made once for all workers that join side by side in this process, and made useless
    by the last of them.

    They are asked for over a connection of its own: that of the control plane's task is in use.
    """
    with _asking:
        if cluster.name not in _made:
            with connection(cluster, cluster.control_plane.name) as ssh:
                _made[cluster.name] = kubeadm.join_credentials(ssh)
        _joining[cluster.name] += 1
    try:
        yield _made[cluster.name]
    finally:
        with _asking:
            _joining[cluster.name] -= 1
            if not _joining[cluster.name]:
                _drop(cluster, _made.pop(cluster.name))


def _drop(cluster: Cluster, credentials: kubeadm.JoinCredentials) -> None:
    if steps.stopped():  # they expire by themselves
        return
    try:
        with connection(cluster, cluster.control_plane.name) as ssh:
            kubeadm.drop_credentials(ssh, credentials)
    except KubeV6Error as error:  # whoever has joined has joined
        log.warning("the join token stays valid until it expires: %s", error)
