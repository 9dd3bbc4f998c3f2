"""The order in which a cluster comes up: `python flows/deploy.py --prebuilt` is `kubev6 deploy --prebuilt`."""

from __future__ import annotations

if __name__ == "__main__":  # before Prefect is imported: the command line sets it up
    import sys

    # Python has put this directory first, where modules of other packages' names are.
    del sys.path[0]
    from kubev6.cli import main

    sys.exit(main(["deploy", *sys.argv[1:]]))

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from configs.derived import refuse_misfit
from configs.errors import KubeV6Error
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from configs.words import counted
from flows import stages
from flows.futures import A_THREAD_EACH, begin, begin_each, results
from flows.gates import current_gates, gates_of
from flows.parameters import ClusterName, IfBusy, MirrorPlace, NoName, ReleaseName
from flows.run import names as run_names
from flows.run.context import called, failed, run
from flows.run.lock import turn
from flows.stages import Deployed, Job, visible
from tasks import removal as leaving
from tasks.changes import noted_changes
from tasks.in_use import in_use
from tasks.kubernetes.checks import Check
from tasks.node import existing_servers
from tasks.node.state import node_state
from tasks.release.choose import Chosen
from tasks.release.refresh import Refresh
from tasks.ssh.pool import connection, connections_kept


@flow(name="kubev6", flow_run_name=run_names.of_cluster("deploy", "cluster"), task_runner=A_THREAD_EACH)
def deploy(
    cluster: ClusterName = "lab",
    prebuilt: bool = False,
    release: ReleaseName | NoName = "",
    mirror: MirrorPlace = "",
    if_busy: IfBusy = "wait",
    refresh: Refresh = "",
) -> State[Any]:
    """Bring a cluster to what its file says, and prove it.

    Args:
        cluster: The name of a shipped cluster, or the whole path of a cluster file on the worker's machine.
        prebuilt: Take a release that need not be built.
        release: Which one, by its name or the whole path of its file; empty for the cluster's own, or with prebuilt
            for the rule of :mod:`tasks.release.choose`.
        mirror: Where a release is fetched from; empty for what ``KUBEV6_MIRROR`` names, else for its publishers.
        if_busy: Wait for another run on this cluster to end, or refuse to begin.
        refresh: Which stage of the build is made again although the cache has what it came to, or all of them.
    """
    try:
        topology = load_cluster(cluster)
        if release:
            topology = topology.model_copy(update={"release": release})
        refuse_misfit(topology, load_release(topology.release))
        who = called("deploy")
        with run("deploy", topology), turn(topology.name, who, if_busy), in_use(who), noted_changes() as changes:
            chosen, checks = brought_up(topology, prebuilt, release, mirror, refresh)
    except KubeV6Error as error:
        return failed(error)
    deployed = Deployed(chosen.manifest, chosen.why, tuple(changes), checks)
    bad = [f"{check.name} from {check.source} to {check.target}" for check in checks if not check.ok]
    if bad:
        return Failed(message="the proof failed: " + ";\n".join(bad), data=deployed)
    return Completed(message=f"{counted(len(changes), 'change')}; {len(checks)} checks, all ok", data=deployed)


def brought_up(
    cluster: Cluster, prebuilt: bool, named: str, mirror: str, refresh: Refresh
) -> tuple[Chosen, tuple[Check, ...]]:
    """The order. Returns the release that was taken, and the proof."""
    decision = stages.decide(cluster, prebuilt, named)
    machines = begin(stages.machines, cluster, decision.release)
    release = begin(stages.release, decision, mirror, refresh)
    _, chosen = results([machines, release])
    job = Job(cluster, chosen.release, chosen.manifest)
    names = [each.name for each in (cluster.support, cluster.control_plane, *cluster.worker_nodes)]
    with connections_kept(), gates_of(cluster) as gates:
        proof = begin(stages.prove, job)
        nodes = begin_each(node, job, names, on_end=gates.node_ended)
        strangers = leaving.strangers(cluster)
        gates.are_leaving(strangers)
        nodes += begin_each(stages.remove, cluster, strangers, on_end=gates.node_ended)
        *_, checks = results([*nodes, proof])
    return chosen, checks


@visible("{name}")
def node(job: Job, name: str) -> None:
    """One machine's way into the cluster; the nodes go side by side, and wait at a gate for what one does for all."""
    roles, gates = job.cluster.node(name).roles, current_gates()
    with connection(job.cluster, name) as ssh:
        with gates.surveyed.coming(name):
            state = node_state(ssh, job.cluster, job.release, job.manifest, name)
        gates.left.wait(name)
        if "support" not in roles:
            gates.existing_servers.wait(name)
        stages.provide_python(ssh, state)
        state = stages.to_do(ssh, state)
        stages.bring(ssh, state, "network")
        if "support" in roles:
            existing_servers.check(ssh, job.cluster)
            gates.existing_servers.open()
            stages.bring(ssh, state, "support")
            gates.outside.open()
            stages.fill_registry(ssh, job)
            gates.registry.open()
            return

        if state.stages:
            gates.outside.wait(name)
            stages.bring(ssh, state, "runtime")
            gates.registry.wait(name)
            stages.bring(ssh, state, "kubernetes")
        if "control-plane" in roles:
            stages.initialise(ssh, job)
            gates.control_plane.open()
            gates.registry.wait(name)
            stages.cluster_dns(ssh, job)
            return

        gates.control_plane.wait(name)
        stages.join(ssh, job, name)
