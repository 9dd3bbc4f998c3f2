"""What a deploy would change, and what each machine must look like: shown, and nothing touched."""

from __future__ import annotations

from configs.errors import CombinedError
from configs.manifest import Manifest
from configs.plan import plan_node
from configs.schema.cluster import Cluster
from configs.schema.release import Release
from configs.systems import Machine
from configs.words import counted
from tasks import inventory, removal
from tasks.kubernetes import kubeadm
from tasks.lab import lab
from tasks.node import engine, membership
from tasks.node.change import Change
from tasks.node.survey import survey
from tasks.scope import Threads
from tasks.ssh.connection import connect
from tasks.ssh.endpoint import Endpoint
from tasks.steps import step

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
    lab.refuse_other_runtime(cluster, release)

    seen: dict[str, Machine] = {}

    def of(name: str) -> dict[str, tuple[Change, ...]]:
        return _changes(cluster, release, manifest, name, machines[name], seen)

    with Threads(max_workers=32) as pool:
        asked = {node.name: pool.submit(of, node.name) for node in cluster.nodes}
    found = {node.name: seen.get(node.name) for node in cluster.nodes}
    membership.refuse_one_machine(found)
    membership.refuse_other_life(cluster, found)
    if errors := tuple(error for future in asked.values() if (error := future.exception())):
        raise errors[0] if len(errors) == 1 else CombinedError(errors)
    orphaned = removal.orphaned(cluster, prune=prune)
    leaving: Preview = {name: {"kubeadm": (_removal(cluster, name),)} for name in orphaned}
    return {**leaving, **{name: future.result() for name, future in asked.items()}}


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
) -> dict[str, tuple[Change, ...]]:
    with step(name, "compare") as shown, connect(endpoint) as ssh:
        machine = seen[name] = survey(ssh, cluster, release, name, manifest)
        stages = plan_node(cluster, release, manifest, name, machine).stages
        node = cluster.node(name)
        changes = engine.plan_changes(ssh, stages)
        if manifest is not None and node.in_kubernetes and not kubeadm.is_member(ssh, cluster, manifest, node):
            verb = "init" if "control-plane" in node.roles else "join"
            changes["kubeadm"] = (Change("cluster", cluster.name, verb, after="by kubeadm", node=name),)
        shown.ended_as(counted(sum(map(len, changes.values())), "change"))
        return changes
