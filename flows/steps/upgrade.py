"""Steps of an upgrade in place: what is replaced, one component at a time, and the proof after each."""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import partial

from configs.errors import NodeError
from configs.plan.stages.kubernetes import KUBELET_PATH, STATIC_PODS
from configs.plan.systems import Machine
from configs.plan.upgrade import Part, Step, build, version_of
from configs.schema.cluster import KubeProxy
from flows.run.task import run_task
from flows.steps.job import Job
from flows.steps.nodes import bring
from tasks import deployed
from tasks.events import ChangeMade, ChecksJudged, emit
from tasks.kubernetes import kubeadm, kubeadm_commands, members, upgrade
from tasks.kubernetes.checks import NO_OTHER_NODE, Check
from tasks.kubernetes.verify import verify
from tasks.node.change import Change
from tasks.ssh.pool import connection
from tasks.steps import step

WORDS = 3
"""So many checks that do not hold are named in one line; the report shows all."""


@run_task("replace {part.title} of {part.node}")
def replace(job: Job, part: Step, machine: Machine) -> None:
    """One component of a node, replaced by that of the release, and running when this ends well."""
    if part.is_minor:
        _to_next_minor(job, part, machine)
        return
    if part.is_kubelet:
        bring(job, part.node, machine, "kubernetes")
    with step(part.node, part.title) as shown, connection(job.cluster, part.node) as node:
        if part.is_kubelet:
            with connection(job.cluster, job.cluster.control_plane.name) as ssh:
                upgrade.await_kubelet(ssh, node)
        else:
            images = {each.component: each.after for each in part.parts}
            for name in upgrade.replace_static_pods(node, images):
                emit(ChangeMade(change=_change(part, next(each for each in part.parts if each.component == name))))
            upgrade.await_static_pods(node, images)
        shown.ended_as(_runs(part))


def _runs(part: Step) -> str:
    return f"runs {', '.join(dict.fromkeys(version_of(each.after) for each in part.parts))}"


def _to_next_minor(job: Job, part: Step, machine: Machine) -> None:
    """The same by kubeadm. What it writes for a kubelet is there before that is replaced, which is never the newer."""
    cluster, manifest = job.cluster, job.manifest
    bring(job, part.node, machine, "kubernetes", but=KUBELET_PATH)
    is_first = part.node == cluster.control_plane.name
    controls = "control-plane" in cluster.node(part.node).roles
    of_node = kubeadm_commands.upgrade_node(cluster, manifest, control_plane=controls)
    with connection(cluster, cluster.control_plane.name) as ssh, connection(cluster, part.node) as node:
        if not part.is_kubelet:
            verb = "apply" if is_first else "node"
            with step(part.node, f"kubeadm upgrade {verb}") as shown:
                script = kubeadm_commands.upgrade_control_plane(cluster, manifest) if is_first else of_node
                kubeadm.upgrade(node, script)
                upgrade.await_static_pods(node, {each.component: each.after for each in part.parts})
                for each in part.parts:
                    emit(ChangeMade(change=_change(part, each)))
                shown.ended_as(_runs(part))
            return
        with step(part.node, "kubeadm upgrade node"):
            kubeadm.upgrade(node, of_node)
        with members.drained(ssh, part.node), step(part.node, part.title) as shown:
            bring(job, part.node, machine, "kubernetes")
            upgrade.await_kubelet(ssh, node)
            if controls:
                whole = build(cluster, job.release, manifest)
                upgrade.await_restarted(node, {name: image for name in STATIC_PODS if (image := whole.image(name))})
            shown.ended_as(_runs(part))


@run_task("begin the upgrade")
def begin(job: Job) -> None:
    """Write down what the cluster is being brought to, so that a run that is cut off finds its way on and back."""
    deployed.begin_upgrade(job.cluster, job.manifest, job.release)


@run_task("upload kubeadm's configuration")
def upload_configuration(job: Job) -> None:
    """kubeadm's document as it is now into the cluster, by which the kubeadm of a node that joins goes."""
    with connection(job.cluster, job.cluster.control_plane.name) as ssh:
        upgrade.upload_configuration(ssh, job.manifest)


@run_task("proof before the upgrade")
def prove_before(job: Job, absent: Container[str], others: Mapping[str, str]) -> None:
    """The proof of a cluster that is to be upgraded, so that nothing is laid to the upgrade's charge which is not its.

    Args:
        job: What the cluster runs.
        absent: Nodes that have not joined yet.
        others: The versions of kubelets that may be another one, by node.

    Raises:
        NodeError: A check does not hold.
    """
    todo = "mend that first, or deploy what it runs; nothing of Kubernetes was replaced"
    _prove(job, "before the upgrade", absent, others, todo)


@run_task("proof after {after}")
def prove(job: Job, after: str, absent: Container[str], others: Mapping[str, str]) -> tuple[Check, ...]:
    """The proof in the middle of an upgrade or at its end, which goes back when a check does not hold.

    Args:
        job: What is being deployed.
        after: What was replaced last.
        absent: Nodes that have not joined yet.
        others: The versions of kubelets that are not the release's yet, by node.

    Raises:
        NodeError: A check does not hold.
    """
    with connection(job.cluster, job.cluster.control_plane.name) as ssh:
        members.take_pods_again(ssh)  # nodes that an upgrade which was cut off has left without pods
    return _prove(job, f"after {after}", absent, others)


def _change(step: Step, part: Part) -> Change:
    return Change("static pod", part.component, "replace", part.before, part.after, node=step.node)


def _prove(job: Job, when: str, absent: Container[str], others: Mapping[str, str], todo: str = "") -> tuple[Check, ...]:
    nodes = tuple(node for node in job.cluster.nodes if node.name not in absent)
    # An upgrade leaves kube-proxy in its mode, which may not be the file's yet.
    there = job.cluster.model_copy(update={"nodes": nodes, "kube_proxy": KubeProxy()})
    checks = verify(there, job.manifest, partial(connection, job.cluster), others=others)
    if absent:  # of a node that was reset its cluster still has the object, until it has joined again
        checks = tuple(check for check in checks if check.name != NO_OTHER_NODE)
    emit(ChecksJudged(checks=checks))
    if bad := [f"{check.name} from {check.source} to {check.target}: {check.seen}" for check in checks if not check.ok]:
        more = [f"{len(bad) - WORDS} more of {len(checks)} checks"] if len(bad) > WORDS else []
        raise NodeError(job.cluster.name, f"proof {when}", "; ".join([*bad[:WORDS], *more]), todo=todo)
    return checks
