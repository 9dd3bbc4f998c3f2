"""The order in which a cluster that is up goes from one build of Kubernetes to another, and back when that fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from prefect import allow_failure
from prefect.futures import PrefectFuture

from configs.errors import CombinedError, KubeV6Error, defect
from configs.plan import upgrade as plan
from configs.plan.upgrade import Found, Step
from flows.run.context import this_run
from flows.run.results import error_of, result, results, settled, value
from flows.steps import nodes, upgrade
from flows.steps.job import Job
from tasks import deployed
from tasks.kubernetes import upgrade as verbs
from tasks.node import membership

Futures = list[PrefectFuture[Any]]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What is replaced on a cluster that is up.

    Attributes:
        job: What is deployed.
        former: What ran before, which a failed upgrade goes back to; None where there is no other.
        steps: What is replaced, in order; nothing on a cluster that is not upgraded.
        cut_off: Whether an upgrade of an earlier run did not come to its end.
        goes_back: Whether it goes back to what ran before an upgrade that was cut off.
        before: Task runs that come before anything is replaced.
        begun: The task runs whose failure is the upgrade's.
    """

    job: Job
    former: Job | None = None
    steps: tuple[Step, ...] = ()
    cut_off: bool = False
    goes_back: bool = False
    before: Futures = field(default_factory=list)
    begun: Futures = field(default_factory=list)

    @property
    def is_one(self) -> bool:
        """Whether the cluster is upgraded, or an upgrade of it is brought to its end."""
        return bool(self.steps) or self.cut_off

    @property
    def kubelets(self) -> frozenset[str]:
        """The nodes whose kubelets are replaced one after another."""
        return frozenset(each.node for each in self.steps if each.is_kubelet)

    @property
    def is_minor(self) -> bool:
        """Whether it goes to the next minor version."""
        return any(each.is_minor for each in self.steps)

    def has_failed(self) -> bool:
        """Whether one of its own task runs failed, all of which have ended, and it is known what ran before.

        Who stops a run goes on by running it again.
        """
        return self.former is not None and not this_run().stop_signal.asked and any(map(error_of, self.begun))


def of(job: Job, found: Found) -> Upgrade:
    """What has to be replaced.

    Args:
        job: What is deployed.
        found: What the machines say of themselves.

    Raises:
        KubeV6Error: It cannot be done in place.
    """
    way = verbs.way(job.cluster, job.release, job.manifest, found)
    last, former = way.former, None
    goes_back = way.cut_off and last is not None and last.manifest == job.manifest
    if last and last.release and last.proved and last.manifest != job.manifest:
        former = Job(plan.holding(job.cluster, last.manifest), last.release, last.manifest)
    return Upgrade(job, former, way.steps, way.cut_off, goes_back)


def replaced(upgrading: Upgrade, found: Found, after: Futures) -> Futures:
    """Replace one thing after another, with a proof before the first, and one between; the deploy ends with the last.

    kube-proxy is an add-on of kubeadm's, and replaced with those. A cluster that does not hold its proof before is left
    as it is, unless an upgrade that was cut off may be the reason. Of a way back to what ran before such a one, only
    the end is proved.

    Args:
        upgrading: What is replaced.
        found: What the machines say of themselves.
        after: What has to be in place before.

    Returns:
        What has to be waited for; the same as ``after`` when there is nothing to replace.
    """
    if not upgrading.is_one:
        return after
    job, last = upgrading.job, after
    others = {each.node: each.parts[0].before for each in upgrading.steps if each.is_kubelet}
    absent = absent_nodes(upgrading, found)
    if upgrading.steps and upgrading.former and not upgrading.cut_off:
        last = [upgrade.prove_before.submit(upgrading.former, absent, dict(others), wait_for=last)]
    last = [*last, upgrade.begin.submit(job, wait_for=last)]
    upgrading.before.extend(last)
    if upgrading.goes_back:
        upgrading.begun.extend(_backwards(job, upgrading.steps, found, last))
        last = [*last, *upgrading.begun]
        last = [upgrade.upload_configuration.submit(job, wait_for=_whatever(last))]
        upgrading.begun.extend(last)
        return last
    # An upgrade that was cut off may have replaced all of it.
    for each, following in zip_longest(upgrading.steps, upgrading.steps[1:]):
        if each.is_kube_proxy:
            break
        others.pop(each.node if each.is_kubelet else "", None)
        last = [upgrade.replace.submit(job, each, found[each.node], wait_for=last)]
        upgrading.begun.extend(last)
        if following:
            title = f"{each.title} of {each.node}"
            last = [upgrade.prove.submit(job, title, absent, dict(others), wait_for=last)]
            upgrading.begun.extend(last)
    last = [upgrade.upload_configuration.submit(job, wait_for=last)]
    upgrading.begun.extend(last)
    return last


def absent_nodes(upgrading: Upgrade, found: Found) -> frozenset[str]:
    """The nodes that have not joined yet, and are not proved in the middle of an upgrade."""
    cluster = upgrading.job.cluster
    there = (node.name for node in cluster.worker_nodes)
    return frozenset(name for name in there if not membership.has_joined(cluster, found.get(name)))


def put_back(upgrading: Upgrade, found: Found, error: Exception) -> KubeV6Error:
    """Bring a cluster back to what it ran before an upgrade that failed, and prove that; or say that there is no way.

    Args:
        upgrading: What was replaced, or was to be.
        found: What the machines said of themselves before.
        error: Why it failed.

    Returns:
        The error, with what became of the cluster.
    """
    former = upgrading.former
    assert former is not None
    cluster, version = former.cluster, former.manifest.version
    if version == upgrading.job.manifest.version:  # as those of a working tree are
        version += f" (tree {former.manifest.source.tree[:10]})"
    told: list[BaseException] = [*getattr(error, "errors", (error,))]
    if upgrading.is_minor:
        told.append(verbs.between(cluster, version, upgrading.job.manifest.version))
        return CombinedError((*told,))
    try:
        _go_back(former, upgrading.job, absent_nodes(upgrading, found))
    except Exception as second:
        seen = second.message if isinstance(second, KubeV6Error) else defect(second)
        why = KubeV6Error(
            f"cluster {cluster.name} could not be put back to {version} either: {seen}",
            todo=f"mend that, and `kubev6 rollback` brings it to {version}; or deploy a build that is mended",
            detail=getattr(second, "detail", ""),
        )
        return CombinedError((*told, why))
    told.append(verbs.PutBackError(f"cluster {cluster.name} was put back to {version}, and its proof holds"))
    try:
        deployed.end_upgrade(cluster, former.manifest, former.release)
    except KubeV6Error as unwritten:
        told.append(unwritten)
    return CombinedError(tuple(told))


def _go_back(former: Job, job: Job, absent: frozenset[str]) -> None:
    """What ran before onto the machines, by what each of them says that it runs now.

    Where both builds are of one version that does not tell them apart, so all that differs between them is replaced.

    Backwards: what was replaced last is what is broken, and what was replaced before that has been proved. Only
    kube-proxy, which needs an API server to be replaced, comes in the end.
    """
    cluster = former.cluster
    names = [node.name for node in cluster.kubernetes_nodes]
    surveys = {name: nodes.survey.submit(cluster, former.release, name) for name in names}
    settled(surveys.values())
    result(surveys[cluster.control_plane.name])
    found = {name: machine for name, survey in surveys.items() if (machine := value(survey))}
    replaced = (
        plan.build(cluster, job.release, job.manifest) if job.manifest.version == former.manifest.version else None
    )
    steps = plan.steps(cluster, plan.build(cluster, former.release, former.manifest), replaced, found)
    pushed = nodes.push.submit(former)
    begun: Futures = [pushed]
    for name, machine in found.items():
        if machine.membership.is_node and not machine.membership.version:  # a kubelet that runs no more starts no pod
            begun.append(nodes.bring_to.submit(former, name, machine, "kubernetes", wait_for=_whatever([pushed])))
    begun += _backwards(former, steps, found, _whatever(begun))
    for name, machine in found.items():  # the rest of what the other build has brought, of which mostly nothing is
        runtime = nodes.bring_to.submit(former, name, machine, "runtime", wait_for=_whatever(begun))
        begun += [runtime, nodes.bring_to.submit(former, name, machine, "kubernetes", wait_for=[runtime])]
    begun.append(upgrade.upload_configuration.submit(former, wait_for=_whatever(begun)))
    begun.append(nodes.add_ons.submit(former, upgraded=True, wait_for=_whatever(begun)))
    begun.append(nodes.cluster_dns.submit(former, wait_for=_whatever(begun)))
    begun.append(upgrade.prove.submit(former, "going back", absent, {}, wait_for=list(begun)))
    results(begun)


def _backwards(job: Job, steps: tuple[Step, ...], found: Found, after: list[Any]) -> Futures:
    """What is to be replaced, the last of it first. What one machine fails in keeps no other from it."""
    begun: Futures = []
    for each in reversed([each for each in steps if not each.is_kube_proxy]):
        last = [*after, *_whatever(begun[-1:])]
        begun.append(upgrade.replace.submit(job, each, found[each.node], wait_for=last))
    return begun


def _whatever(futures: Futures) -> list[Any]:
    """To be waited for, however they end."""
    return [allow_failure(future) for future in futures]
