"""systemd-networkd: a .network file for each interface; the first in the order of their names that matches counts."""

from __future__ import annotations

from configs.plan.derived import Derived
from configs.plan.networking.links import Configured, Link
from configs.plan.state import File, Service
from configs.schema.cluster import Node

DIRECTORY = "/etc/systemd/network"
UNIT = "systemd-networkd.service"


def configured(derived: Derived, node: Node, links: tuple[Link, ...]) -> Configured:
    """What makes networkd configure a node's interfaces. It listens to router advertisements itself."""
    files = [
        File(path_of(link), derived.render("networkd.network", link=link, own_resolver=node.in_kubernetes))
        for link in links
    ]
    if node.in_kubernetes:
        dhcp = derived.render("networkd-dhcp.conf")
        files += [File(f"{DIRECTORY}/{name}.d/90-kubev6.conf", dhcp) for name in derived.machine.dhcp]
    return Configured(tuple(files), (Service(UNIT, restart_on=tuple(file.path for file in files)),))


def path_of(link: Link) -> str:
    """The file of an interface."""
    return f"{DIRECTORY}/10-kubev6-{link.interface}.network"
