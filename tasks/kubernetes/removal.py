"""Machines that leave a cluster, because a person resets them or because the cluster's file no longer names them.

Nothing here knows Prefect: a preview and a question to a person need none.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from configs.errors import ConfigError, KubeV6Error
from configs.schema.cluster import Cluster
from tasks import deployed
from tasks.events import ChangeMade, emit
from tasks.kubernetes import certificates, control_planes, etcd, members
from tasks.kubernetes.certificates import CertificatesEndedError
from tasks.kubernetes.members import Members
from tasks.lab import lab
from tasks.node import reset as task
from tasks.node.change import Change
from tasks.node.reset import Reset
from tasks.ssh.pool import connection

log = logging.getLogger("kubev6.flows")


@dataclass(frozen=True, slots=True)
class Leaving:
    """The machines that are to be reset.

    Attributes:
        cluster: The topology.
        groups: Their names: those of a group go side by side, and one group after the other.
        drained: Those that are taken out of a cluster that goes on.
    """

    cluster: Cluster
    groups: tuple[tuple[str, ...], ...]
    drained: frozenset[str]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, in their order."""
        return tuple(name for group in self.groups for name in group)


def chosen(cluster: Cluster, names: Sequence[str]) -> Leaving:
    """What is reset when a person names some machines: workers before the control plane, the support node last.

    Of several control planes some may go; when all do, they go at once.

    Args:
        cluster: The topology.
        names: The machines; none for all, also those that the topology no longer names and that are remembered.

    Raises:
        ConfigError: There is no such machine, or the control plane would go from under its workers.
        KubeV6Error: The lab of this cluster is not up.
    """
    known = tuple(deployed.machines(cluster))
    for name in names:
        if name not in known:
            raise ConfigError(f"cluster {cluster.name} has no machine {name!r}", todo=f"there are {', '.join(known)}")
    controlling = [node.name for node in cluster.control_planes]
    leaving = [name for name in known if name in names or not names]
    left = [each.name for each in cluster.worker_nodes if each.name in known and each.name not in leaving]
    whole = set(controlling) <= set(leaving)
    if whole and left:
        raise ConfigError(
            f"{', '.join(controlling)} cannot be reset while its workers stay: {', '.join(left)}",
            todo="name them too, or nobody for the whole cluster",
        )
    support = [node.name for node in cluster.nodes if node.name in leaving and not node.in_kubernetes]
    workers = [name for name in leaving if name not in (*controlling, *support)]
    going = [name for name in leaving if name in controlling]
    # One after the other out of a cluster that goes on, so that etcd has a majority all the time.
    groups = (tuple(workers), *([tuple(going)] if whole else [(name,) for name in going]), tuple(support))
    return Leaving(cluster, tuple(filter(None, groups)), frozenset(() if whole else (*workers, *going)))


def members_of(cluster: Cluster) -> Members:
    """The members of a cluster; none of one whose control plane is gone for the moment, as its own work will tell.

    Raises:
        CertificatesEndedError: It does not answer, and its certificates have ended, by which all else would fail.
    """
    try:
        with control_planes.connected(cluster) as ssh:
            found = members.members(ssh)
            if not found.names:
                certificates.refuse_ended(ssh, cluster)
            return found
    except CertificatesEndedError:
        raise
    except KubeV6Error as error:
        log.debug("the members of %s are not known: %s", cluster.name, error)
        return Members()


def orphaned(cluster: Cluster, found: Sequence[str], *, prune: bool = False) -> tuple[str, ...]:
    """Machines that are to leave a cluster, because its file does not name them.

    These are those that were deployed to from here. A member that somebody else has joined goes only when a person has
    said so, and is told otherwise. Only what a cluster says whose control plane is the file's counts: one that is
    another, or gone for the moment, is no reason to take anybody out.

    Args:
        cluster: The topology.
        found: Names of its members.
        prune: Whether members that nobody has deployed to from here go too.
    """
    if not any(node.name in found for node in cluster.control_planes):
        return ()
    named = {node.name for node in cluster.nodes}
    known = [name for name in deployed.remembered_machines(cluster) if name not in named]
    others = [name for name in found if name not in named and name not in known]
    if prune:
        return (*others, *known)
    for name in others:
        log.warning("%s is a member that neither the file nor a deploy from here has made one: it stays", name)
        log.warning("%s: `kubev6 deploy --prune` drains it and deletes it from the cluster", name)
    return tuple(known)


def reset(leaving: Leaving, name: str) -> Reset:
    """One machine out of its cluster, and made what it was."""
    cluster = leaving.cluster
    if name in leaving.drained:
        _take_out(cluster, name)
    with connection(cluster, name) as ssh:
        done = task.reset(ssh, cluster)
    for line in done.done:
        emit(ChangeMade(change=Change("", line, "", node=name, stage="reset")))
    deployed.forget_machine(cluster, name)
    if name == cluster.control_plane.name and name not in leaving.drained:
        deployed.forget(cluster)
    return done


def remove(cluster: Cluster, name: str) -> None:
    """A machine that the cluster's file no longer names: out of the cluster while that still works, and reset.

    One that cannot be reached keeps nobody from going on: it is said, and how to reset it later.
    """
    _take_out(cluster, name)
    try:
        with connection(cluster, name) as ssh:
            if task.reset(ssh, cluster).done:
                emit(ChangeMade(change=Change("machine", name, "reset", node=name)))
    except KubeV6Error as error:
        if cluster.lab is None:
            log.warning("%s has left the cluster, but its machine was not reset: %s", name, error)
            log.warning("%s: when it can be reached, run `kubev6 reset %s`", name, name)
            return
    if cluster.lab is not None and lab.remove_machine(cluster.name, name):
        emit(ChangeMade(change=Change("machine", name, "remove", node=name)))
    deployed.forget_machine(cluster, name)


def _take_out(cluster: Cluster, name: str) -> None:
    """Drain a machine and delete it from the cluster, if there is anybody to ask.

    Its member of etcd has to leave, unless it is known to have none: one that is just gone counts for a majority still.

    Raises:
        NodeError: That does not leave.
    """
    try:
        with control_planes.connected(cluster, but=name) as ssh:
            if members.take_out(ssh, name):
                left = Change("cluster", cluster.name, "leave", after="drained and deleted", node=name)
                emit(ChangeMade(change=left))
    except KubeV6Error as error:
        log.warning("%s could not be drained and deleted from the cluster: %s", name, error)
    if cluster.endpoint and name not in {node.name for node in cluster.worker_nodes}:
        with control_planes.connected(cluster, but=name) as ssh:
            etcd.leave(ssh, name)
