"""How to reach each machine of a cluster."""

from __future__ import annotations

from dataclasses import replace

from configs.errors import KubeV6Error
from configs.schema.cluster import Cluster, Node
from tasks.lab import lab
from tasks.paths import expanded
from tasks.ssh import resolve, ssh_config
from tasks.ssh.endpoint import Endpoint
from tasks.ssh.ssh_config import SshConfig


def endpoints(cluster: Cluster) -> dict[str, Endpoint]:
    """Where each machine's SSH server is, by node name.

    A lab knows its own machines, and nothing else takes part there. Others are reached as the topology's ``ssh``
    settings say, then as the user's SSH configuration says of the host that these name; and where both say nothing, at
    the node's fabric address as root.

    Raises:
        KubeV6Error: The lab of this cluster is not up, or has not all of its machines.
        ConfigError: The user's SSH configuration cannot be right.
    """
    known = known_endpoints(cluster)
    if missing := [node.name for node in cluster.nodes if node.name not in known]:
        seen = f"the lab {cluster.name!r} has no machine {', '.join(missing)}"
        raise KubeV6Error(seen, todo="run `kubev6 lab up`")
    return known


def known_endpoints(cluster: Cluster) -> dict[str, Endpoint]:
    """The same, of a lab only those machines that there are, also such as the topology does not name.

    Raises:
        KubeV6Error: The lab of this cluster is not up.
        ConfigError: The user's SSH configuration cannot be right.
    """
    if cluster.lab is not None:
        return lab.endpoints(cluster.name)
    config = ssh_config.read()
    return {node.name: _endpoint(cluster, node, config) for node in cluster.nodes}


def _endpoint(cluster: Cluster, node: Node, config: SshConfig) -> Endpoint:
    ssh = node.ssh.over(cluster.ssh)
    found = resolve.endpoint(config, node.name, ssh.host or "", user=ssh.user, port=ssh.port, address=str(node.address))
    return replace(found, key_file=_expanded(ssh.key_file), known_hosts=_expanded(ssh.known_hosts))


def _expanded(path: str | None) -> str | None:
    return expanded(path) if path else None
