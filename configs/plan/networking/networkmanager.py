"""NetworkManager: a keyfile for each interface (nm-settings-keyfile(5))."""

from __future__ import annotations

from uuid import NAMESPACE_DNS, uuid5

from configs.plan.derived import Derived
from configs.plan.networking.links import Configured, Link
from configs.plan.networking.zone import zone_of
from configs.plan.state import File, Reload, Trial
from configs.schema.cluster import Node

PRIORITY = 100
"""Of our profiles: of those that an interface may be given by itself, the one with the highest is (nm-settings(5))."""
DIRECTORY = "/etc/NetworkManager/system-connections"
TRIAL = """
nmcli --offline connection add type dummy ifname none || exit 0  # it learned that with 1.40
for file in etc/NetworkManager/system-connections/*; do
    nmcli --offline connection modify connection.autoconnect yes <"$file" || exit
done"""
"""Reads profiles as NetworkManager does (nmcli(1))."""


def configured(derived: Derived, node: Node, links: tuple[Link, ...]) -> Configured:
    """What makes NetworkManager configure a node's interfaces. It listens to router advertisements itself.

    An interface that it manages without knowing what ours is for is one whose addresses it may take away, so a new
    profile is loaded and brought up.
    """
    files, reloads = [], []
    for link in links:
        path, name = path_of(link), f"kubev6-{link.interface}"
        uuid = uuid5(NAMESPACE_DNS, f"{link.interface}.{node.name}.{derived.cluster.name}")
        zone = zone_of(derived, link.interface)
        text = derived.render(
            "networkmanager.nmconnection", link=link, name=name, uuid=uuid, zone=zone, priority=PRIORITY
        )
        files.append(File(path, text, mode=0o600))  # one that others may read is not read at all
        reloads.append(Reload(("nmcli", "connection", "load", path), when=(path,)))
        reloads.append(Reload(("nmcli", "connection", "up", "id", name), when=(path,)))
    return Configured(tuple(files), reloads=tuple(reloads), trial=Trial("nmcli", tuple(files), (), TRIAL))


def path_of(link: Link) -> str:
    """The file of an interface."""
    return f"{DIRECTORY}/kubev6-{link.interface}.nmconnection"
