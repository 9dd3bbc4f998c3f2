"""The order in which a cluster comes up: `python flows/deploy.py --prebuilt` is `kubev6 deploy --prebuilt`."""

from __future__ import annotations

if __name__ == "__main__":  # before Prefect is imported: the command line sets it up
    import os
    import sys

    # Not with this directory first on the path, where modules of other packages' names are.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "kubev6", "deploy", *sys.argv[1:]])

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prefect import Task, allow_failure, flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed

from configs.errors import ConfigError, KubeV6Error
from configs.manifest import ImageEntry, Manifest
from configs.plan.derived import refuse_misfit
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from configs.words import counted
from flows import upgrade
from flows.build import built
from flows.fetch import fetched
from flows.parameters import ClusterName, IfBusy, MirrorPlace, NoName, ReleaseName
from flows.run import names
from flows.run.context import this_run
from flows.run.lifecycle import called, failed, flow_run
from flows.run.lock import locked
from flows.run.results import error_of, result, results, settled, value
from flows.run.runner import THREADS
from flows.steps import nodes, proof
from flows.steps import release as release_steps
from flows.steps import restore as restore_steps
from flows.steps import upgrade as upgrade_steps
from flows.steps.job import Job
from flows.upgrade import Upgrade
from tasks import deployed
from tasks.events import ReleaseChosen, emit
from tasks.in_use import in_use
from tasks.kubernetes import cluster_dns, cni, removal
from tasks.kubernetes.checks import Check
from tasks.kubernetes.members import Members
from tasks.kubernetes.restore import Restoring
from tasks.lab import lab
from tasks.node import clocks, membership
from tasks.node.change import Change
from tasks.node.resources.certificate import lasting_certificate
from tasks.release import choose
from tasks.release.choose import Chosen, Decision
from tasks.release.fetch import mirror as mirrors
from tasks.release.fetch.mirror import Mirror
from tasks.release.refresh import Refresh
from tasks.release.store import Store

Comparisons = Mapping[str, PrefectFuture[int]]


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a deploy came to.

    Attributes:
        manifest: The release that the cluster runs.
        why: Why this release.
        changes: What was changed.
        checks: The proof.
    """

    manifest: Manifest
    why: str
    changes: tuple[Change, ...]
    checks: tuple[Check, ...]


@flow(name="kubev6", flow_run_name=names.of_cluster("deploy", "cluster"), task_runner=THREADS)
def deploy(
    cluster: ClusterName = "lab",
    prebuilt: bool = False,
    release: ReleaseName | NoName = "",
    mirror: MirrorPlace = "",
    if_busy: IfBusy = "wait",
    refresh: Refresh = "",
    prune: bool = False,
    back: bool = False,
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
        prune: Whether members leave that neither the file nor a deploy from here has made one.
        back: Take the build that the cluster ran before the last upgrade, or before one that was cut off.
    """
    try:
        topology = load_cluster(cluster)
        if release:
            topology = topology.model_copy(update={"release": release})
        cni.refuse_unreadable(topology)
        if not back:
            refuse_misfit(topology, load_release(topology.release))

        def decided() -> Decision:
            return former(topology) if back else decide(topology, prebuilt, release)

        return brought_up("deploy", topology, decided, mirror, if_busy, refresh, prune=prune)
    except KubeV6Error as error:
        return failed(error)


def brought_up(
    command: str,
    cluster: Cluster,
    decided: Callable[[], Decision],
    mirror: str,
    if_busy: IfBusy,
    refresh: Refresh = "",
    *,
    prune: bool = False,
    restoring: Restoring | None = None,
) -> State[Any]:
    """Bring a cluster to a release while nobody else works on it, and prove it.

    Args:
        command: What the person asked for, for those who wait.
        cluster: The topology.
        decided: Says which release it is to be, when the cluster is this run's.
        mirror: Where a release is fetched from.
        if_busy: What to do when another run works on the cluster.
        refresh: Which stage of the build is made again.
        prune: Whether members leave that neither the file nor a deploy from here has made one.
        restoring: The backup from which it comes back; None for a cluster that is up or begins anew.

    Returns:
        The state of the flow run, with a :class:`Deployed`.

    Raises:
        KubeV6Error: It could not be done.
    """
    who = called(command)
    with flow_run(command, cluster) as run, locked(cluster.name, who, if_busy), in_use(who):
        made_before = len(run.changes)
        chosen, checks = bring_up(cluster, decided(), mirrors.chosen(mirror), refresh, prune=prune, restoring=restoring)
        done = Deployed(chosen.manifest, chosen.why, tuple(run.changes[made_before:]), checks)
    bad = [f"{check.name} from {check.source} to {check.target}" for check in checks if not check.ok]
    if bad:
        return Failed(message="the proof failed: " + ";\n".join(bad), data=done)
    return Completed(message=f"{counted(len(done.changes), 'change')}; {len(checks)} checks, all ok", data=done)


def former(cluster: Cluster) -> Decision:
    """What the cluster ran before."""
    decision = choose.former(cluster)
    lab.refuse_other_machines(cluster, decision.release)
    return decision


def decide(cluster: Cluster, prebuilt: bool, named: str) -> Decision:
    """Which release it is to be. Machines of a lab that do not suit it are refused before it is made."""
    decision = choose.decide(cluster, prebuilt, named, Store())
    try:
        lab.refuse_other_machines(cluster, decision.release)
    except ConfigError as error:
        raise ConfigError(f"{error.message} ({decision.why})", todo=error.todo) from None
    return decision


def bring_up(
    cluster: Cluster,
    decision: Decision,
    mirror: Mirror | None,
    refresh: Refresh,
    *,
    prune: bool,
    restoring: Restoring | None = None,
) -> tuple[Chosen, tuple[Check, ...]]:
    """The order. Returns the release that was taken, and the proof."""
    made_before = len(this_run().changes)
    names_of_nodes = [each.name for each in (cluster.support, *cluster.control_planes, *cluster.worker_nodes)]
    machines = nodes.machines.submit(cluster, decision.release)
    surveys = {
        name: nodes.survey.submit(cluster, decision.release, name, wait_for=[machines]) for name in names_of_nodes
    }

    def refuse() -> None:
        result(machines)
        refuse_unfit(surveys)
        found = {name: value(survey) for name, survey in surveys.items()}
        membership.refuse_one_machine(found)
        clocks.refuse_apart(cluster, found)
        if restoring:
            result(restore_steps.refuse.submit(cluster, restoring, found))
        else:
            membership.refuse_other_life(cluster, found)
        membership.refuse_unknown_control_planes(cluster, found)
        if cluster.endpoint:
            result(nodes.check_endpoint.submit(cluster, found))

    try:
        chosen = provide(decision, mirror, refresh, before_compiling=refuse)
        refuse()
        results(images_of_cni(cluster, mirror))
        found = {name: value(survey) for name, survey in surveys.items()}
        if restoring:
            deployed.forget(cluster)  # what was known of it as it was until now
        upgrading = upgrade.of(Job(cluster, chosen.release, chosen.manifest), found)
    except KubeV6Error as error:
        settled(surveys.values())
        bad = [survey for survey in surveys.values() if not survey.state.is_completed()]
        # Prefect's page shows for every machine what kept it from being compared.
        left = [nodes.compare.submit(None, name, None, wait_for=bad) for name in surveys if bad]
        results([machines, *surveys.values(), *left], also=error)
        raise

    job = upgrading.job
    certificate = lasting_certificate(cluster, found[cluster.support.name])
    members = nodes.find_members.submit(cluster)
    compared = {
        name: nodes.compare.submit(job, name, found[name], certificate, wait_for=[survey])
        for name, survey in surveys.items()
    }
    # What an API says that has come back is how its nodes were then.
    known = (value(members) if not restoring else None) or Members()
    ahead = proof.make_pods_ahead.submit(job, Members() if upgrading.is_one else known)
    try:
        result(members)
        refuse_unfit(compared)
        orphaned = removal.orphaned(cluster, known.names, prune=prune)
        removed: list[PrefectFuture[None]] = []
        for name in orphaned:
            # One after the other where they may be control planes, so that etcd has a majority all the time.
            last = removed[-1:] if cluster.endpoint else []
            removed.append(nodes.remove.submit(cluster, name, wait_for=[members, *last]))
        begun = bring_nodes(upgrading, found, compared, removed, known, restoring)
        in_place: list[PrefectFuture[Any]] = [*surveys.values(), *removed, *begun]
        checks = prove(upgrading, in_place, ahead, made_before)
    except Exception as error:
        if result(ahead):
            settled([proof.remove_pods.submit(job)])
        if upgrading.has_failed():
            raise upgrade.put_back(upgrading, found, error) from error
        raise
    if upgrading.is_one:
        deployed.end_upgrade(cluster, job.manifest, job.release)
    elif all(check.ok for check in checks):
        deployed.remember(cluster, job.manifest, job.release, proved=True)
        if restoring:
            result(restore_steps.end.submit(cluster))
    return chosen, checks


def provide(
    decision: Decision, mirror: Mirror | None, refresh: Refresh, *, before_compiling: Callable[[], None]
) -> Chosen:
    """The release, whole and in the store. Nothing is compiled for machines that cannot run it."""
    release = decision.release
    if not choose.is_to_be_built(decision):
        chosen = result(release_steps.held.submit(decision, refresh)) or choose.fetched(
            decision, Store(), mirror, lambda: fetched(release, mirror, bool(refresh))
        )
        return result(release_steps.provide.submit(chosen, mirror))
    manifest = built(release, {}, mirror, refresh, before_compiling=lambda _: before_compiling())
    why = f"{decision.why}, built from source"
    emit(ReleaseChosen(manifest=manifest, why=why))
    return Chosen(release, manifest, why)


def images_of_cni(cluster: Cluster, mirror: Mirror | None) -> list[PrefectFuture[ImageEntry]]:
    """The images of the cluster's own CNI into the store, from which its registry is filled."""
    if cluster.images == "upstream":
        return []
    wanted = map(cni.tagged, cni.images(cni.manifests(cluster)))
    return [release_steps.image_of_cni.submit(each, mirror) for each in wanted]


def refuse_unfit(asked: Mapping[str, PrefectFuture[Any]]) -> None:
    """Let nothing be changed on any machine when one of them cannot become what the topology says.

    One that could not be reached holds up only those that need it.

    Args:
        asked: What all machines were asked, by their names.

    Raises:
        KubeV6Error: One cannot; the errors of all are named.
    """
    settled(asked.values())
    errors = [error for each in asked.values() if (error := error_of(each))]
    if any(not (isinstance(error, KubeV6Error) and error.transient) for error in errors):
        results(asked.values())


def bring_nodes(
    upgrading: Upgrade,
    found: Mapping[str, Machine | None],
    compared: Comparisons,
    removed: list[PrefectFuture[None]],
    known: Members,
    restoring: Restoring | None = None,
) -> list[PrefectFuture[Any]]:
    """Every machine through its stages; of those that lack nothing no stage is begun. Returns what has to end well."""
    job, begun = upgrading.job, list[PrefectFuture[Any]](compared.values())
    cluster = job.cluster
    half = membership.half_joined(cluster, known.controlling)
    support, control_plane = cluster.support.name, membership.first_control_plane(cluster, found, but=half).name
    in_cluster = {name for name in known.ready if membership.has_joined(cluster, found.get(name)) and name not in half}
    lacking = [name for name, each in compared.items() if not each.state.is_completed() or result(each)]
    absent = [name for name in compared if name in lacking or name not in in_cluster]
    at: dict[str, PrefectFuture[Any]] = dict(compared)  # how far each machine is

    def begin(task: Task[..., Any], *given: object, after: Iterable[Any]) -> PrefectFuture[Any]:
        begun.append(task.submit(*given, wait_for=list(after)))
        return begun[-1]

    def stage(title: str, name: str, *after: PrefectFuture[Any]) -> None:
        at[name] = begin(nodes.bring_to, job, name, found[name], title, after=[at[name], *after])

    others = [name for name in lacking if name != support]
    if support in lacking:
        stage("network", support, *removed)
    existing = [begin(nodes.check_existing_servers, cluster, after=[at[support]])] if cluster.existing_servers else []
    for name in others:
        stage("network", name, *removed, *existing)
    if support in lacking:
        stage("support", support)
    pushed = begin(nodes.push, job, after=[at[support]])
    for name in others:
        stage("runtime", name, *([] if cluster.lab else [at[support]]))  # a lab's machines have their packages
        if name not in upgrading.kubelets:
            stage("kubernetes", name, pushed)
    machine = found.get(control_plane)
    upgraded = upgrading.is_one and machine and machine.membership.static_pods
    if restoring:
        after = [at[control_plane], pushed]
        at[control_plane] = begin(restore_steps.begin, job, control_plane, restoring, after=after)
    elif control_plane in absent and not (upgraded or membership.is_formed(cluster, found)):
        at[control_plane] = begin(nodes.init, job, control_plane, after=[at[control_plane], pushed])
    ready = upgrade.replaced(upgrading, found, [pushed, *removed, *at.values()]) if upgrading.is_one else [pushed]
    last: list[Any] = []
    for node in cluster.control_planes:
        if node.name in absent and node.name != control_plane:
            # One after the other, before anything else is asked of the API: each is a change of etcd's members.
            after = [at[node.name], at[control_plane], *ready, *last]
            last = [allow_failure(begin(nodes.join_control_plane, job, node.name, bool(restoring), after=after))]
    ready = [*ready, *last]
    add_ons = begin(nodes.add_ons, job, upgrading.is_one, after=[at[control_plane], *ready])
    # Both at once, unless one takes away what the other may change.
    first = [add_ons] if cluster_dns.replaces_kubeadms(job.manifest) else []
    dns = begin(nodes.cluster_dns, job, after=[at[control_plane], *ready, *first])
    joined: list[PrefectFuture[Any]] = []
    for node in cluster.worker_nodes:
        if node.name in absent:
            after = [at[node.name], at[control_plane], *ready]
            if restoring and membership.has_joined(cluster, found.get(node.name)):
                after = [begin(restore_steps.start_again, job, node.name, after=after)]
            joined.append(begin(nodes.join, job, node.name, bool(restoring), after=after))
    if cluster.cni.by != "bridge":
        begin(nodes.apply_cni, job, after=[at[control_plane], *ready, *map(allow_failure, joined)])
    if upgrading.is_one:
        begun += [*upgrading.before, *upgrading.begun]
        upgrading.begun.extend([add_ons, dns])
    return begun


def prove(
    upgrading: Upgrade, in_place: list[PrefectFuture[Any]], ahead: PrefectFuture[str], made_before: int
) -> tuple[Check, ...]:
    """The proof, when everything is in place.

    Raises:
        KubeV6Error: Something is not, the errors of all are named; or a check does not hold of a cluster that was
            upgraded, which goes back.
    """
    settled([*in_place, ahead])
    namespace = result(ahead)
    # What is proved is the cluster as it is after the last change: pods from before one are not good enough.
    unchanged = len(this_run().changes) == made_before
    if upgrading.is_one:
        proving = upgrade_steps.prove.submit(upgrading.job, "the upgrade", (), {}, wait_for=in_place)
        upgrading.begun.append(proving)
    else:
        proving = proof.prove.submit(upgrading.job, namespace if unchanged else "", wait_for=in_place)
    results([*in_place, proving])
    return result(proving)
