"""netplan: one YAML file, from which it makes the files of networkd or NetworkManager."""

from __future__ import annotations

from configs.plan.derived import Derived
from configs.plan.interfaces import Definition
from configs.plan.networking.links import Configured, Link
from configs.plan.state import File, Reload, Trial
from configs.plan.systems import Machine
from configs.schema.cluster import Node

PATH = "/etc/netplan/90-kubev6.yaml"
DIRECTORIES = ("/etc/netplan", "/run/netplan", "/usr/lib/netplan")
"""Where it reads files."""


def configured(derived: Derived, node: Node, links: tuple[Link, ...]) -> Configured:
    """What makes netplan configure a node's interfaces. What it writes for listens to router advertisements itself."""
    machine = derived.machine
    types: dict[str, list[Link | Definition]] = {}
    for link in links:
        types.setdefault(type_of(machine, link.interface), []).append(link)
    for definition in machine.definitions if node.in_kubernetes else ():
        if definition.dhcp4 or definition.dhcp6:
            types.setdefault(definition.type, []).append(definition)
    # It complains of a file that others may read.
    file = File(PATH, derived.render("netplan.yaml", types=types), mode=0o600)
    return Configured(
        (file,),
        reloads=(Reload(("netplan", "apply"), when=(PATH,)),),
        trial=Trial("netplan", (file,), DIRECTORIES, 'netplan generate --root-dir "$PWD"'),
    )


def type_of(machine: Machine, interface: str) -> str:
    """The key that an interface stands under; a name has the same in all files, and what is nowhere is a card."""
    return next((each.type for each in machine.definitions if each.name == interface), "ethernets")
