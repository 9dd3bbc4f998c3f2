"""A working tree of Kubernetes onto a cluster: `kubev6 dev`, and each commit that `kubev6 bisect` tries."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from configs.errors import KubeV6Error
from configs.schema.loading import load_cluster
from flows.deploy import brought_up
from flows.parameters import ClusterName, CommitId, IfBusy, MirrorPlace, NoName, ReleaseName, TreePlace
from flows.run import names
from flows.run.lifecycle import failed
from flows.run.runner import THREADS
from tasks.cache import kept
from tasks.lab import lab
from tasks.release import choose
from tasks.release.choose import Decision


@flow(name="kubev6-dev", flow_run_name=names.of_cluster("dev", "cluster"), task_runner=THREADS)
def dev(
    source: TreePlace,
    cluster: ClusterName = "lab",
    release: ReleaseName | NoName = "",
    mirror: MirrorPlace = "",
    if_busy: IfBusy = "wait",
    commit: CommitId = "",
) -> State[Any]:
    """Compile a working tree as it stands, or a commit of it, replace on a cluster what that changes, and prove it.

    Args:
        source: The whole path of the tree on the worker's machine.
        cluster: The name of a shipped cluster, or the whole path of a cluster file there.
        release: The release that the tree is nearest to, for what comes from elsewhere; empty for the cluster's own.
        mirror: Where other projects' images are read from; empty for what ``KUBEV6_MIRROR`` names.
        if_busy: Wait for another run on this cluster to end, or refuse to begin.
        commit: The full id of a commit of the tree's repository; empty for the tree as it stands.
    """
    try:
        topology = load_cluster(cluster)
        decision = choose.working_tree(topology, source, release, commit)

        def decided() -> Decision:
            lab.refuse_other_machines(topology, decision.release)
            return decision

        state = brought_up("bisect" if commit else "dev", topology, decided, mirror, if_busy)
        kept.bound(decision.release.name)
        return state
    except KubeV6Error as error:
        return failed(error)
