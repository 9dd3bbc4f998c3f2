"""What a machine says of itself, and whether it can become what the topology says."""

from __future__ import annotations

import logging

from configs.schema.cluster import Cluster
from configs.schema.release import Release
from configs.systems import Machine, system_of
from configs.translation import warnings
from tasks.node import fitting, preflight
from tasks.node.survey import machine as survey_machine
from tasks.ssh.connection import Connection

log = logging.getLogger("kubev6.flows")


def survey(connection: Connection, cluster: Cluster, release: Release, name: str) -> Machine:
    """What the machine of a node says of itself; one that cannot become that node is refused. Changes nothing there.

    Args:
        connection: To its machine.
        cluster: The topology.
        release: How the release wants to be configured.
        name: The node.

    Raises:
        KubeV6Error: The machine cannot become that.
    """
    machine = survey_machine(connection)
    node = cluster.node(name)
    preflight.check(cluster, release, node, machine)
    if "support" in node.roles:
        for warning in warnings(cluster, machine.resolvers):
            log.warning("%s", warning)
    fitting.check(connection, cluster, release, None, system_of(machine), node)
    return machine
