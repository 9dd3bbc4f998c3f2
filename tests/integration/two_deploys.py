"""Two deploys at once in one process, of two clusters whose machines have the same names; they are fakes.

Run as a program: its words are two cluster files. What each run changed, recorded and logged is for the test to read.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from configs.membership import Identity
from configs.plan.state import StageState
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster
from flows.deploy import deploy
from tasks import secrets
from tasks.node import engine
from tasks.node.change import Change
from tasks.ssh import pool
from tasks.ssh.endpoint import Endpoint
from tasks.steps import step
from tests.fakes import substitute_for_good
from tests.integration import fake_machines
from tests.integration.fake_machines import FakeConnection

log = logging.getLogger("kubev6.two_deploys")
SECRETS = {"lab": "hunter2-of-the-lab", "other": "hunter2-of-the-other"}
"""What each run comes to know, by its cluster."""
at_once = threading.Barrier(2, timeout=60)


def machines(cluster: Cluster) -> dict[str, Endpoint]:
    """The machines of a cluster; their user tells whose they are."""
    return {node.name: Endpoint(node.name, "::1", user=cluster.name) for node in cluster.nodes}


def bring_to(
    connection: FakeConnection, stage: StageState, *, of: Identity, made: Callable[[Change], None], **_: object
) -> None:
    """As the fake machines do; and both runs are in the middle of it at the same time."""
    whose = connection.endpoint.user
    if (connection.node, stage.name) == ("kube-support", "network"):
        at_once.wait()
        secrets.remember(SECRETS[str(whose)])
        at_once.wait()
        with step(connection.node, "secrets") as shown:
            shown.ended_as(", ".join(SECRETS.values()))
            log.warning("said by %s: %s", whose, ", ".join(SECRETS.values()))
            at_once.wait()
    made(Change("file", f"/etc/of-{whose}", "create", node=connection.node, stage=stage.name))
    fake_machines.bring_to(connection, stage, of=of, made=made)


if __name__ == "__main__":
    fake_machines.behaviour = "new"
    fake_machines.install_fakes()
    substitute_for_good(engine, "bring_to", bring_to)
    substitute_for_good(pool, "machines", machines)
    with ThreadPoolExecutor(2) as both:
        begun = {load_cluster(file).name: both.submit(deploy, file, return_state=True) for file in sys.argv[1:]}
    sys.stdout.write(json.dumps({name: str(state.result().message) for name, state in begun.items()}))
