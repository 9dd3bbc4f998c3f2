"""What a deploy would change, and what each machine must look like: shown, and nothing touched."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

from configs.errors import CombinedError, KubeV6Error
from configs.manifest import Manifest
from configs.plan import upgrade
from configs.plan.derived import image_references, pinned_images
from configs.plan.node import plan_node
from configs.plan.systems import Machine
from configs.plan.upgrade import Step
from configs.schema.cluster import Cluster
from configs.schema.release import Release
from configs.words import counted
from tasks import inventory
from tasks.kubernetes import addons, cni, kubeadm, removal
from tasks.kubernetes.upgrade import way
from tasks.lab import lab
from tasks.node import clocks, endpoint, engine, membership
from tasks.node.change import Change
from tasks.node.resources.certificate import lasting_certificate
from tasks.node.survey import survey
from tasks.scope import Threads
from tasks.ssh.connection import Connection, connect
from tasks.ssh.endpoint import Endpoint
from tasks.steps import step

log = logging.getLogger("kubev6.preview")
ADD_ONS = "add-ons"
Preview = dict[str, dict[str, tuple[Change, ...]]]
"""Node -> stage -> changes."""


def preview(cluster: Cluster, release: Release, manifest: Manifest | None, *, prune: bool) -> Preview:
    """The changes that a deploy would make on every machine, asked of all of them at once. Changes nothing.

    Args:
        cluster: The topology.
        release: How the release wants to be configured.
        manifest: What it holds; without it the binaries cannot be compared.
        prune: Whether members leave that neither the file nor a deploy from here has made one.

    Raises:
        KubeV6Error: The lab is not up, or made for another container runtime; or a machine cannot be reached or cannot
            become what the topology says.
    """
    machines = inventory.endpoints(cluster)
    lab.refuse_other_machines(cluster, release)

    seen: dict[str, Machine] = {}
    support, certificate = cluster.support.name, Future[str]()

    def of(name: str) -> dict[str, tuple[Change, ...]]:
        try:
            return _changes(cluster, release, manifest, name, machines[name], seen, certificate)
        finally:
            if name == support and not certificate.done():  # one that could not be asked keeps nobody waiting
                certificate.set_result("")

    names = sorted((node.name for node in cluster.nodes), key=lambda name: name != support)
    with Threads(max_workers=32) as pool:
        asked = {name: pool.submit(of, name) for name in names}
    found = {node.name: seen.get(node.name) for node in cluster.nodes}
    membership.refuse_one_machine(found)
    clocks.refuse_apart(cluster, found)
    membership.refuse_other_life(cluster, found)
    endpoint.refuse_taken(cluster, found, lambda name: connect(machines[name]))
    if errors := tuple(error for node in cluster.nodes if (error := asked[node.name].exception())):
        raise errors[0] if len(errors) == 1 else CombinedError(errors)
    membership.refuse_unknown_control_planes(cluster, found)
    steps = way(cluster, release, manifest, found).steps if manifest else ()
    changes = {node.name: asked[node.name].result() for node in cluster.nodes}
    first = membership.first_control_plane(cluster, found).name
    if (joins := changes[first].get("kubeadm")) and not membership.is_formed(cluster, found):
        changes[first]["kubeadm"] = tuple(replace(each, action="init") for each in joins)
    known = removal.members_of(cluster)
    cni.refuse_other_pod_subnets(cluster, known.pod_subnets)
    for name in membership.half_joined(cluster, known.controlling):
        changes[name].setdefault("kubeadm", (_join(cluster, name),))
    orphaned = removal.orphaned(cluster, known.names, prune=prune)
    leaving: Preview = {name: {"kubeadm": (_removal(cluster, name),)} for name in orphaned}
    return {
        **leaving,
        **{node.name: _with_upgrade(changes[node.name], node.name, steps) for node in cluster.nodes},
    }


def _with_upgrade(
    changes: dict[str, tuple[Change, ...]], node: str, steps: Sequence[Step]
) -> dict[str, tuple[Change, ...]]:
    """With what is replaced of Kubernetes on a node, add-ons among it, and what that restarts."""
    if not steps:
        return changes
    drained = any(step.is_minor for step in steps)
    pods = "its pods go elsewhere meanwhile" if drained else "its pods run on"
    restarts = {upgrade.KUBELET: pods, upgrade.KUBE_PROXY: "its pod on every node is replaced"}
    found = tuple(
        Change(
            "component",
            part.component,
            "replace",
            upgrade.version_of(part.before),
            f"{upgrade.version_of(part.after)}; {restarts.get(part.component, 'its pod restarts')}",
            node=node,
        )
        for step in steps
        if step.node == node
        for part in step.parts
    )
    others = {stage: each for stage, each in changes.items() if stage != ADD_ONS}
    return {**others, "upgrade": found} if found else others


def _add_ons(ssh: Connection, cluster: Cluster, release: Release, manifest: Manifest) -> tuple[Change, ...]:
    """What is not as it should be of the add-ons of a cluster that is up; nothing where its API does not answer."""
    try:
        objects = addons.listed(ssh)
    except KubeV6Error as error:
        log.warning("%s; so what is to be changed about add-ons is not shown", error.message)
        return ()
    images = image_references(cluster, release, manifest) | pinned_images(cluster, manifest)
    mends = (
        *addons.wanting(objects, cluster, manifest, images),
        *addons.other_kube_proxy_mode(objects, cluster.kube_proxy.mode),
    )
    return tuple(mend.change(cluster.control_plane.name) for mend in mends)


def _join(cluster: Cluster, name: str) -> Change:
    return Change("cluster", cluster.name, "join", after="by kubeadm", node=name)


def _removal(cluster: Cluster, name: str) -> Change:
    return Change(
        "cluster", cluster.name, "leave", after="drained, deleted and reset: no longer in the file", node=name
    )


def _changes(
    cluster: Cluster,
    release: Release,
    manifest: Manifest | None,
    name: str,
    endpoint: Endpoint,
    seen: dict[str, Machine],
    certificate: Future[str],
) -> dict[str, tuple[Change, ...]]:
    """What a machine lacks. The support node's is the first to say what its registry shows."""
    with step(name, "compare") as shown, connect(endpoint) as ssh:
        machine = seen[name] = survey(ssh, cluster, release, name, manifest)
        node = cluster.node(name)
        if "support" in node.roles:
            certificate.set_result(lasting_certificate(cluster, machine))
        stages = plan_node(cluster, release, manifest, name, machine, certificate.result()).stages
        changes = engine.plan_changes(ssh, stages)
        if manifest is not None and node.in_kubernetes:
            control_plane = "control-plane" in node.roles
            if not kubeadm.is_member(ssh, cluster, node):
                changes["kubeadm"] = (_join(cluster, name),)
            elif control_plane and (mends := _add_ons(ssh, cluster, release, manifest)):
                changes[ADD_ONS] = mends
        shown.ended_as(counted(sum(map(len, changes.values())), "change"))
        return changes
