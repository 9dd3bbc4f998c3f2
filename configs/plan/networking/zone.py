"""firewalld's zone for the fabric.

The machine's own firewall goes on guarding its other interfaces; what comes by the fabric or from pods is the
cluster's, and is let through.
"""

from __future__ import annotations

from configs.plan.derived import Derived
from configs.plan.state import File, Reload
from configs.schema.cluster import Node

ZONE = "kubev6"
PATH = f"/etc/firewalld/zones/{ZONE}.xml"


def zone_of(derived: Derived, interface: str) -> str:
    """The zone of an interface, as the tool that configures it must name it; empty to leave that to firewalld."""
    return ZONE if derived.machine.firewalld and interface == derived.cluster.fabric.interface else ""


def zone(derived: Derived, node: Node) -> tuple[File, Reload] | None:
    """The zone's file and what makes firewalld read it; None where there is no firewalld."""
    if not derived.machine.firewalld:
        return None
    # Behind the fabric is the CNI bridge on nodes of Kubernetes, and tayga's device on the support node.
    interfaces = (derived.cluster.fabric.interface, "cbr0" if node.in_kubernetes else "nat64")
    text = derived.render("firewalld-zone.xml", zone=ZONE, interfaces=interfaces)
    return File(PATH, text), Reload(("firewall-cmd", "--reload"), when=(PATH,))
