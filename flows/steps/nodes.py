"""Steps of machines: what each is, what it lacks, and every stage that brings it where it belongs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from configs.manifest import ImageEntry
from configs.membership import identity
from configs.plan.derived import for_registry, image_references, pinned_images, registry_url
from configs.plan.node import plan_node
from configs.plan.stages.network import REPOSITORIES
from configs.plan.state import NodeState
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster
from configs.schema.release import Release
from configs.words import counted
from flows.run.context import this_run
from flows.run.task import run_task
from flows.steps.job import Job
from tasks import deployed
from tasks.events import ChangeMade, ImagesPushed, emit
from tasks.kubernetes import (
    addons,
    certificates,
    cni,
    control_planes,
    etcd,
    kubeadm,
    members,
    removal,
    replacement,
    restore,
)
from tasks.kubernetes import cluster_dns as dns
from tasks.kubernetes.members import Members
from tasks.lab import lab
from tasks.node import endpoint, engine, existing_servers
from tasks.node.change import Change
from tasks.node.reset import Reset
from tasks.node.survey import survey as survey_machine
from tasks.release import registry
from tasks.release.fetch.fetch_image import held_image
from tasks.release.store import Store
from tasks.ssh.connection import Connection
from tasks.ssh.pool import connection, new_connection
from tasks.steps import step


@run_task("machines of {cluster.name}")
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
            emit(ChangeMade(change=Change("machines", cluster.name, "start", node=cluster.name)))
    deployed.remember_machines(cluster)


@run_task("make way for {name}")
def make_way(cluster: Cluster, name: str) -> None:
    """A dead machine is no obstacle to one that takes its place; of a lab its container goes, with all that it has."""
    replacement.refuse(cluster, name)
    if cluster.lab is None:
        replacement.refuse_former_machine(cluster, name)
    elif lab.remove_machine(cluster.name, name):
        emit(ChangeMade(change=Change("machine", name, "remove", node=name)))


@run_task("survey {name}")
def survey(cluster: Cluster, release: Release, name: str) -> Machine:
    """What a machine says of itself; one that cannot become what the topology says is refused. Changes nothing."""
    with step(name, "survey"), connection(cluster, name) as ssh:
        return survey_machine(ssh, cluster, release, name)


@run_task("endpoint of {cluster.name}")
def check_endpoint(cluster: Cluster, found: Mapping[str, Machine | None]) -> None:
    """Nobody else has the address that the API is to be at. Changes nothing."""
    endpoint.refuse_taken(cluster, found, partial(connection, cluster))


@run_task("members of {cluster.name}")
def find_members(cluster: Cluster) -> Members:
    """Who is in the cluster as it is; nodes whose pods would have to have other addresses are refused."""
    found = removal.members_of(cluster)
    cni.refuse_other_pod_subnets(cluster, found.pod_subnets)
    return found


@run_task("compare {name}")
def compare(job: Job, name: str, machine: Machine, certificate: str = "") -> int:
    """How many changes a machine lacks in all its stages."""
    state = _state(job, name, machine, certificate)
    with step(name, "compare") as shown, connection(job.cluster, name) as ssh:
        if not machine.python and ssh.provide_python(_repositories(state)):
            emit(ChangeMade(change=Change("package", "python3", "install", node=name)))
        changes = sum(map(len, engine.plan_changes(ssh, state.stages).values()))
        shown.ended_as(f"{counted(changes, 'change')} to make" if changes else "no change")
        return changes


@run_task("{stage} {name}")
def bring_to(job: Job, name: str, machine: Machine, stage: str) -> None:
    """A machine to one of its stages."""
    bring(job, name, machine, stage)


def bring(job: Job, name: str, machine: Machine, stage: str, *, but: str = "") -> None:
    """The same as part of a task. The stage of Kubernetes takes only the certificate which the registry shows.

    Args:
        job: What is deployed.
        name: The node.
        machine: What its machine says of itself.
        stage: Which one.
        but: The path of an executable that stays as it is.
    """
    certificate = ""
    if stage == "kubernetes":
        with connection(job.cluster, job.cluster.support.name) as ssh:
            certificate = registry.certificate(ssh)
    wanted = _state(job, name, machine, certificate).stage(stage)
    if wanted is None:
        return
    wanted = replace(wanted, binaries=tuple(each for each in wanted.binaries if each.path != but))
    with connection(job.cluster, name) as ssh:
        # Only what a connection goes by can cut one off.
        reconnect = partial(new_connection, ssh.endpoint) if stage == "network" else None
        engine.bring_to(
            ssh,
            wanted,
            of=identity(job.cluster),
            made=lambda change: emit(ChangeMade(change=change)),
            reconnect=reconnect,
        )


@run_task("check existing servers")
def check_existing_servers(cluster: Cluster) -> None:
    """NAT64 and DNS64 that were there before do what the cluster needs, as the support node sees them."""
    with connection(cluster, cluster.support.name) as ssh:
        existing_servers.check(ssh, cluster)


@run_task("push {job.manifest.version}")
def push(job: Job) -> None:
    """The release into the registry on the support node, through the SSH connection to it."""
    content = for_registry(job.cluster, job.release, job.manifest)
    own_cni = tuple(cni.entry(name, image) for name, image in _images_of_cni(job.cluster).items())
    content = content.model_copy(update={"images": (*content.images, *own_cni)})
    with connection(job.cluster, job.cluster.support.name) as ssh:
        pushed = registry.fill(ssh, job.cluster, content, Store())
    emit(ImagesPushed(registry=registry_url(job.cluster), images=tuple(content.images)))
    if pushed.sent:
        sent = Change("registry", "blobs and manifests", "send", after=f"{pushed.sent} sent", node="registry")
        emit(ChangeMade(change=sent))


@run_task("kubeadm init {name}")
def init(job: Job, name: str) -> None:
    """The control plane, or the first of several."""
    node = job.cluster.node(name)
    with connection(job.cluster, node.name) as ssh, step(node.name, "kubeadm init") as shown:
        restore.refuse_unfinished(ssh)
        if kubeadm.is_member(ssh, job.cluster, node):
            shown.ended_as("already done")
            return
        deployed.forget(job.cluster)  # of a cluster of before
        kubeadm.init(ssh, job.cluster, job.manifest)
        made = Change("cluster", job.cluster.name, "init", after="by kubeadm", node=node.name)
        emit(ChangeMade(change=made))
        shown.ended_as(f"control plane at [{node.address}]:6443")


@run_task("add-ons of {job.cluster.name}")
def add_ons(job: Job, upgraded: bool = False) -> None:
    """What kubeadm cannot be told, and the administrator's kubeconfig to the user.

    Args:
        job: What is being deployed.
        upgraded: Whether it ran another build before, and runs this one only when that is proved.
    """
    cluster = job.cluster
    with control_planes.connected(cluster) as ssh:
        images = image_references(cluster, job.release, job.manifest) | pinned_images(cluster, job.manifest)
        for mended in addons.apply(ssh, cluster, job.manifest, images, upgraded=upgraded):
            emit(ChangeMade(change=mended.change(cluster.name)))
        kubeadm.fetch_kubeconfig(ssh, cluster)
        if not upgraded:
            deployed.remember(cluster, job.manifest, job.release)


@run_task("cluster DNS of {job.cluster.name}")
def cluster_dns(job: Job) -> None:
    """Names for Services, where kubeadm's own add-on for them cannot be had."""
    cluster = job.cluster
    with control_planes.connected(cluster) as ssh:
        if dns.apply(ssh, cluster, job.manifest):
            emit(ChangeMade(change=Change("add-on", "cluster DNS", "apply", node=cluster.name)))


@run_task("CNI of {job.cluster.name}")
def apply_cni(job: Job) -> None:
    """What connects pods where that is not the bridge: each node's pod subnet, and the manifests."""
    cluster = job.cluster
    text = cni.with_images(cni.manifests(cluster), cni.references(cluster, _images_of_cni(cluster)))
    with control_planes.connected(cluster) as ssh:
        for change in cni.apply(ssh, cluster, text, job.manifest.version):
            emit(ChangeMade(change=change))


@run_task("kubeadm join {name}")
def join(job: Job, name: str, restored: bool = False) -> None:
    """A worker into the cluster.

    Args:
        job: What is being deployed.
        name: The node.
        restored: Whether the cluster came back from a backup, with the Node object that it had.
    """
    node = job.cluster.node(name)
    with connection(job.cluster, name) as ssh, step(name, "kubeadm join") as shown:
        if kubeadm.is_member(ssh, job.cluster, node):
            shown.ended_as("already done")
            return
        certificates.refuse_ended(ssh, job.cluster)  # a member it is, whose kubelet cannot say so
        if kubeadm.has_lost_kubeconfig(ssh):
            with control_planes.connected(job.cluster) as control_plane:
                _make_way(control_plane, name, restored)
        with this_run().join_tokens.credentials(job.cluster) as credentials:
            kubeadm.join(ssh, job.cluster, job.release, job.manifest, node, credentials)
        made = Change("cluster", job.cluster.name, "join", after="by kubeadm", node=name)
        emit(ChangeMade(change=made))


@run_task("kubeadm join {name}")
def join_control_plane(job: Job, name: str, restored: bool = False) -> None:
    """Another control plane into the cluster.

    What etcd and the API server still know of a machine that had this name goes first, and then what a join that came
    to no end has left on it. One has come to its end when the node is marked as a control plane, which is its last act.

    Args:
        job: What is being deployed.
        name: The node.
        restored: Whether the cluster came back from a backup, with the Node object that it had.
    """
    cluster, node = job.cluster, job.cluster.node(name)
    with connection(cluster, name) as ssh, step(name, "kubeadm join") as shown:
        if kubeadm.is_member(ssh, cluster, node) and _is_marked(cluster, name):
            shown.ended_as("already done")
            return
        certificates.refuse_ended(ssh, cluster)
        with control_planes.connected(cluster, but=name) as other, this_run().join_tokens.credentials(cluster) as made:
            etcd.leave(other, name, str(node.address))
            _make_way(other, name, restored)
            kubeadm.clear_half_joined(ssh)
            alone = len(etcd.ask(other).members) == 1
            with kubeadm.uploaded_certificates(other) as key:
                credentials = replace(made, certificate_key=key)
                kubeadm.join(ssh, cluster, job.release, job.manifest, node, credentials)
            if alone:
                control_planes.restart_api_server(other, cluster)
        joined = Change("cluster", cluster.name, "join", after="as control plane, by kubeadm", node=name)
        emit(ChangeMade(change=joined))
        shown.ended_as(f"control plane at [{node.address}]:6443")


@run_task("remove {name}")
def remove(cluster: Cluster, name: str) -> None:
    """A machine that the cluster's file no longer names, out of the cluster."""
    removal.remove(cluster, name)


@run_task("reset {name}")
def reset(leaving: removal.Leaving, name: str) -> Reset:
    """One machine out of its cluster, and made what it was."""
    return removal.reset(leaving, name)


def _images_of_cni(cluster: Cluster) -> dict[str, ImageEntry]:
    """The images of the cluster's CNI that its registry is to hold, by their names in the manifests."""
    if cluster.images == "upstream":
        return {}
    found = {name: held_image(cni.tagged(name), Store()) for name in cni.images(cni.manifests(cluster))}
    return {name: image for name, image in found.items() if image}


def _make_way(control_plane: Connection, name: str, restored: bool) -> None:
    """What the API server knows by the name of a node that joins is no obstacle to it; of a backup it stays."""
    if restored:
        members.expect(control_plane, name)
    else:
        members.forget(control_plane, name)


def _is_marked(cluster: Cluster, name: str) -> bool:
    with control_planes.connected(cluster, but=name) as other:
        return name in members.members(other).controlling


def _state(job: Job, name: str, machine: Machine, certificate: str) -> NodeState:
    return plan_node(job.cluster, job.release, job.manifest, name, machine, certificate)


def _repositories(state: NodeState) -> str:
    """Where a machine finds packages besides the places that it names itself."""
    files = (file.content for stage in state.stages for file in stage.files if file.path == REPOSITORIES)
    return next(files, "")
