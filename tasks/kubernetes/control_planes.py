"""The control planes of a cluster: which of them is asked, and how another one joins or leaves."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from configs.errors import KubeV6Error, NodeError
from configs.schema.cluster import API_PORT, Cluster
from tasks.kubernetes.kubeadm import ADMIN, KUBECTL
from tasks.shell import quote
from tasks.ssh.connection import Connection
from tasks.ssh.pool import connection

RESTART_SECONDS = 180
"""How long an API server may take to come back: on a slow machine a minute."""
log = logging.getLogger("kubev6.kubernetes")


@contextmanager
def connected(cluster: Cluster, *, but: str = "") -> Iterator[Connection]:
    """A connection to a control plane that can be asked: the only one, or the first that is a member and is reached.

    What is asked there of the API goes to whichever API server answers, as the kubeconfig names the endpoint.

    Args:
        cluster: The topology.
        but: One that is not to be asked, as it is about to leave.

    Raises:
        KubeV6Error: None can be reached.
    """
    names = [node.name for node in cluster.control_planes if node.name != but]
    with ExitStack() as stack:
        yield _first(cluster, names, stack)


def restart_api_server(connection: Connection, cluster: Cluster) -> None:
    """Start the API server of a control plane again, so that whoever watches something there asks anew.

    When etcd's second member joins, the first has no leader until that runs. What was watched through that on an API
    server of 1.20 stayed silent afterwards for up to ten minutes: Services came into being, and kube-proxies that had
    been there before heard nothing of them.

    Args:
        connection: To the control plane.
        cluster: The topology.

    Raises:
        NodeError: It does not come back.
    """
    server = f"https://[{cluster.node(connection.node).address}]:{API_PORT}"
    ready = quote([*KUBECTL.split(), "--server", server, "--request-timeout=5s", "get", "--raw", "/readyz"])
    # Told once, it waits for what it is asked; told twice, it ends.
    connection.run(
        f"pkill -x kube-apiserver; sleep 1; pkill -x kube-apiserver; end=$(( $(date +%s) + {RESTART_SECONDS} )); "
        f"until {ready} >/dev/null 2>&1; do [ $(date +%s) -lt $end ] || exec {ready}; sleep 1; done",
        step="restart the API server",
        timeout=RESTART_SECONDS + 30,
    )


def _first(cluster: Cluster, names: list[str], stack: ExitStack) -> Connection:
    if len(names) == 1:
        return stack.enter_context(connection(cluster, names[0]))
    errors: list[KubeV6Error] = []
    for name in names:
        try:
            ssh = stack.enter_context(connection(cluster, name))
            if ssh.run(f"[ -s {ADMIN} ]", step="control plane", timeout=20, check=False).status == 0:
                return ssh
        except KubeV6Error as error:
            log.debug("%s is not asked: %s", name, error)
            errors.append(error)
    if errors:
        raise errors[0]
    raise NodeError(cluster.name, "control plane", f"none of {', '.join(names)} is one yet", todo="`kubev6 deploy` it")
