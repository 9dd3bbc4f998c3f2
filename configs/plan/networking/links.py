"""What a node's interfaces carry, whichever tool configures them."""

from __future__ import annotations

from dataclasses import dataclass

from configs.plan.derived import Derived
from configs.plan.routes import routes, uplink_routes
from configs.plan.state import File, Reload, Route, Service, Trial
from configs.schema.cluster import Node


@dataclass(frozen=True, slots=True)
class Link:
    """An interface of a node.

    Attributes:
        interface: Its name.
        purpose: What it is for, as comments in files say it.
        address: Its IPv6 address with the prefix length; empty when it takes one from router advertisements.
        routes: The routes that go out by it.
        kind: What makes it, where it is no card, such as ``vlan``.
        kept: Lines of the file that configured it so far which have to stay.
    """

    interface: str
    purpose: str
    address: str
    routes: tuple[Route, ...]
    kind: str = ""
    kept: tuple[str, ...] = ()

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
        trial: How it is asked whether it can read its files; None where it cannot be asked.
    """

    files: tuple[File, ...]
    services: tuple[Service, ...] = ()
    reloads: tuple[Reload, ...] = ()
    trial: Trial | None = None


def links(derived: Derived, node: Node) -> tuple[Link, ...]:
    """The interfaces of a node that are configured: the fabric's, and the uplink if the topology has one."""
    cluster, machine = derived.cluster, derived.machine
    interface = machine.interface(cluster.fabric.interface)
    fabric = Link(
        interface.name,
        "the cluster's fabric",
        f"{node.address}/{cluster.fabric.subnet.prefixlen}",
        routes(cluster, node, derived.version),
        interface.kind,
        interface.kept,
    )
    if cluster.uplink is None:
        return (fabric,)
    subnet = cluster.uplink.subnet
    address = f"{node.uplink_address}/{subnet.prefixlen}" if subnet else ""
    interface = machine.interface(cluster.uplink.interface)
    return fabric, Link(interface.name, "the uplink", address, uplink_routes(cluster), interface.kind, interface.kept)
