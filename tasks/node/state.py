"""What a machine must look like, which depends on what it says of itself."""

from __future__ import annotations

import logging

from configs.manifest import Manifest
from configs.plan import plan_node
from configs.schema.cluster import Cluster
from configs.schema.release import Release
from configs.state import NodeState
from configs.systems import system_of
from configs.translation import warnings
from tasks.node import fitting, preflight, survey
from tasks.ssh.connection import Connection

log = logging.getLogger("kubev6.flows")


def node_state(ssh: Connection, cluster: Cluster, release: Release, manifest: Manifest | None, name: str) -> NodeState:
    """The state of a node whose machine is asked what it is. Changes nothing there.

    Args:
        ssh: To its machine.
        cluster: The topology.
        release: How the release wants to be configured.
        manifest: What it holds; without it the state lacks digests.
        name: The node.

    Raises:
        KubeV6Error: The machine cannot become that.
    """
    machine = survey.machine(ssh)
    node = cluster.node(name)
    preflight.check(cluster, release, node, machine)
    if "support" in node.roles:
        for warning in warnings(cluster, machine.resolvers):
            log.warning("%s", warning)
    fitting.check(ssh, cluster, release, manifest, system_of(machine), node)
    return plan_node(cluster, release, manifest, name, machine)
