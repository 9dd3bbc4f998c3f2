"""What a node's interfaces carry, whichever tool configures them."""

from __future__ import annotations

from dataclasses import dataclass

from configs.derived import Derived
from configs.routes import routes, uplink_routes
from configs.schema.cluster import Node
from configs.state import File, Reload, Route, Service


@dataclass(frozen=True, slots=True)
class Link:
    """An interface of a node.

    Attributes:
        interface: Its name.
        purpose: What it is for, as comments in files say it.
        address: Its IPv6 address with the prefix length; empty when it takes one from router advertisements.
        routes: The routes that go out by it.
    """

    interface: str
    purpose: str
    address: str
    routes: tuple[Route, ...]

    @property
    def autoconf(self) -> bool:
        """Whether addresses and default route come from router advertisements (RFC 4862)."""
        return not self.address


@dataclass(frozen=True, slots=True)
class Configured:
    """What makes a tool configure interfaces at every start.

    Attributes:
        files: Its files.
        services: Units that run, and are restarted when those files change.
        reloads: Commands that make it take over changed files.
    """

    files: tuple[File, ...]
    services: tuple[Service, ...] = ()
    reloads: tuple[Reload, ...] = ()


def links(derived: Derived, node: Node) -> tuple[Link, ...]:
    """The interfaces of a node that are configured: the fabric's, and the uplink if the topology has one."""
    cluster = derived.cluster
    fabric = Link(
        cluster.fabric.interface,
        "the cluster's fabric",
        f"{node.address}/{cluster.fabric.subnet.prefixlen}",
        routes(cluster, node, derived.version),
    )
    if cluster.uplink is None:
        return (fabric,)
    subnet = cluster.uplink.subnet
    address = f"{node.uplink_address}/{subnet.prefixlen}" if subnet else ""
    return fabric, Link(cluster.uplink.interface, "the uplink", address, uplink_routes(cluster))
