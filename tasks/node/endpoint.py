"""Whether the address of a cluster's API is free, asked of the link before any machine is changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from configs.errors import NodeError
from configs.plan.upgrade import Found
from configs.schema.cluster import Cluster
from tasks.node import membership
from tasks.ssh.connection import Connection
from tasks.ssh.program import program

STEP = "preflight"
log = logging.getLogger("kubev6.survey")


@dataclass(frozen=True, slots=True)
class _Told:
    """What :mod:`tasks.node_agent.neighbour` says."""

    held: bool
    by: str
    seen: str


def refuse_taken(
    cluster: Cluster, found: Found, connection: Callable[[str], AbstractContextManager[Connection]]
) -> None:
    """Refuse an address that a machine has which is none of the cluster's.

    A cluster that is up holds it itself, and is not asked. Nor can a machine be that has no Python yet, or whose
    interface is still off.

    Args:
        cluster: The topology.
        found: What its machines say of themselves.
        connection: Gives a connection to one.

    Raises:
        NodeError: Somebody else has it.
    """
    endpoint = cluster.endpoint
    asked = [node.name for node in cluster.control_planes if (machine := found.get(node.name)) and machine.python]
    joined = any(membership.has_joined(cluster, found.get(node.name)) for node in cluster.control_planes)
    if endpoint is None or endpoint.by != "keepalived" or joined:
        return
    told: dict[str, _Told] = {}
    for name in asked:
        with connection(name) as ssh:
            payload = {"interface": cluster.fabric.interface, "address": str(endpoint.address)}
            told[name] = ssh.run_python(program("neighbour"), payload, step=STEP, timeout=30, kind=_Told)
        if told[name].seen:
            log.warning("%s: whether %s is free could not be asked: %s", name, endpoint.address, told[name].seen)
    if any(each.held for each in told.values()):  # of a deploy that did not come to its end
        return
    for name, each in told.items():
        if each.by:
            raise NodeError(
                name,
                STEP,
                f"endpoint.address: {endpoint.address} is answered on {cluster.fabric.interface} by {each.by}",
                todo="choose an address that nobody has, or take it from that machine; nothing was changed",
            )
