"""Whether a machine can become a node, asked before any machine is changed."""

from __future__ import annotations

import logging

from configs.errors import NodeError
from configs.manifest import Manifest
from configs.plan.derived import container_runtime
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster
from configs.schema.release import Release
from tasks.node import host_facts
from tasks.node.compatibility import Candidate, kubernetes_version, problems, warnings
from tasks.ssh.connection import Connection

STEP = "preflight"
log = logging.getLogger("kubev6.survey")


def survey(
    connection: Connection, cluster: Cluster, release: Release, name: str, manifest: Manifest | None = None
) -> Machine:
    """Ask a machine for its host facts, in one round trip, and check them. Changes nothing there.

    Args:
        connection: To the machine.
        cluster: The topology.
        release: The release that is to run there.
        name: The node that it is to become.
        manifest: What the release holds, when that is known: the exact versions, and whether it was fetched.

    Returns:
        What the machine says of itself, for :func:`configs.plan.node.plan_node`.

    Raises:
        ConfigError: The release does not work with the container runtime that the topology names.
        NodeError: The machine could not be asked, or cannot become that node; the one line names every reason.
    """
    node = cluster.node(name)
    version = kubernetes_version(release, manifest)
    machine = host_facts.ask(connection, container_runtime(cluster, release, version) if node.in_kubernetes else "")
    candidate = Candidate(cluster, release, node, machine, manifest)
    check(candidate)
    for warning in warnings(candidate):
        log.warning("%s: %s", name, warning)
    return machine


def check(candidate: Candidate) -> None:
    """Refuse a machine that cannot become what the topology says.

    Raises:
        NodeError: It cannot; the one line names every reason.
    """
    if found := problems(candidate):
        raise NodeError(candidate.node.name, STEP, "; ".join(found), todo="nothing was changed there")
