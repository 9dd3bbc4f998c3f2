"""The network scripts of the RHEL family, up to its version 8: the how-to's ``ifcfg`` and ``route6`` files."""

from __future__ import annotations

from configs.plan.derived import Derived
from configs.plan.networking.links import Configured, Link
from configs.plan.networking.zone import zone_of
from configs.plan.state import File, Trial
from configs.schema.cluster import Node

DIRECTORY = "/etc/sysconfig/network-scripts"


def configured(derived: Derived, node: Node, links: tuple[Link, ...]) -> Configured:  # noqa: ARG001 - one shape for all
    """What makes ifup configure a node's interfaces. Nothing is run now: what the files say is set already."""
    files = []
    for link in links:
        files.append(File(path_of(link), derived.render("ifcfg", link=link, zone=zone_of(derived, link.interface))))
        if link.routes:
            files.append(File(f"{DIRECTORY}/route6-{link.interface}", derived.render("route6", link=link)))
    # They are read by sh itself.
    script = "; ".join(f"sh -n .{path_of(link)} || exit" for link in links)
    return Configured(tuple(files), trial=Trial("sh", tuple(files), (), script))


def path_of(link: Link) -> str:
    """The file of an interface."""
    return f"{DIRECTORY}/ifcfg-{link.interface}"
