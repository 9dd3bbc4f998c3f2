"""Which cluster a machine is of, by what kubeadm and kubev6 have left on it."""

from __future__ import annotations

from dataclasses import dataclass

from configs.manifest import tag_and_digest
from configs.schema.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Identity:
    """A cluster, as the record on its machines names it.

    Attributes:
        name: Its name.
        server: The URL of its API server.
    """

    name: str
    server: str

    def __str__(self) -> str:
        return f"{self.name} at {self.server}"


@dataclass(frozen=True, slots=True)
class Membership:
    """What a machine says of the cluster that it is of. The default is a machine that is of none.

    Attributes:
        recorded: The cluster that kubev6 has changed the machine for; None without a record, or by one of a version
            that did not name it.
        server: The URL of the API server that its kubeconfigs name.
        is_node: Whether it has the kubelet's kubeconfig, which a join is the last to write.
        is_control_plane: Whether it has an API server's manifest, or the key of a certificate authority.
        authorities: The cluster's certificate authority, as base64 of its DER form, for each place that holds it:
            those that are not the same are of two clusters.
        static_pods: Each static pod that kubeadm has written there, and the reference of its image.
        version: The kubelet's, of a node.
        cni: The files that configure its CNI, of which the first by name counts.
        address: The address that its kubelet was told at its join; empty where it says none, as before 1.11.
        pods: The addresses of its pods, where kubev6's bridge connects them.
        domain: The domain in which its kubelet names Services.
        services: The subnet from which its API server gives Services addresses.
    """

    recorded: Identity | None = None
    server: str = ""
    is_node: bool = False
    is_control_plane: bool = False
    authorities: frozenset[str] = frozenset()
    static_pods: tuple[tuple[str, str], ...] = ()
    version: str = ""
    cni: tuple[str, ...] = ()
    address: str = ""
    pods: tuple[str, ...] = ()
    domain: str = ""
    services: str = ""

    @property
    def tag(self) -> str:
        """The tag of its API server's image; empty without one."""
        return tag_and_digest(self._api_server)[0]

    @property
    def digest(self) -> str:
        """The digest of that image; empty where its reference has none."""
        return tag_and_digest(self._api_server)[1]

    @property
    def _api_server(self) -> str:
        return dict(self.static_pods).get("kube-apiserver", "")


def api_server(cluster: Cluster) -> str:
    """The URL of a cluster's API server."""
    address, port = cluster.api
    return f"https://[{address}]:{port}"


def identity(cluster: Cluster) -> Identity:
    """The cluster of a topology, as the record on its machines names it."""
    return Identity(cluster.name, api_server(cluster))
