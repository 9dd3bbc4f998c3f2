"""How to reach each machine of a cluster."""

from __future__ import annotations

from pathlib import Path

from configs.errors import KubeV6Error
from configs.schema.cluster import Cluster
from tasks.lab import lab
from tasks.ssh.endpoint import Endpoint


def endpoints(cluster: Cluster) -> dict[str, Endpoint]:
    """Where each machine's SSH server is, by node name.

    A lab knows its own machines; others are reached as the topology's ``ssh`` settings say, and where they say
    nothing, at the node's fabric address as root.

    Raises:
        KubeV6Error: The lab of this cluster is not up, or has not all of its machines.
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
    """
    if cluster.lab is not None:
        return lab.endpoints(cluster.name)
    found = {}
    for node in cluster.nodes:
        ssh = node.ssh.over(cluster.ssh)
        found[node.name] = Endpoint(
            node=node.name,
            host=ssh.host or str(node.address),
            port=ssh.port or 22,
            user=ssh.user or "root",
            key_file=_expanded(ssh.key_file),
            known_hosts=_expanded(ssh.known_hosts),
        )
    return found


def _expanded(path: str | None) -> str | None:
    return str(Path(path).expanduser()) if path else None
