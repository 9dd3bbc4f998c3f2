"""netplan: one YAML file, from which it makes the files of networkd or NetworkManager."""

from __future__ import annotations

from configs.derived import Derived
from configs.networking.links import Configured, Link
from configs.schema.cluster import Node
from configs.state import File, Reload

PATH = "/etc/netplan/90-kubev6.yaml"


def configured(derived: Derived, node: Node, links: tuple[Link, ...]) -> Configured:
    """What makes netplan configure a node's interfaces. What it writes for listens to router advertisements itself."""
    dhcp = derived.machine.dhcp if node.in_kubernetes else ()
    # It complains of a file that others may read.
    file = File(PATH, derived.render("netplan.yaml", links=links, dhcp=dhcp), mode=0o600)
    return Configured((file,), reloads=(Reload(("netplan", "apply"), when=(PATH,)),))
