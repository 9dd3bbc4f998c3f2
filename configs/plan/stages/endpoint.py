"""Who holds the address of the API, as a part of the kubernetes stage of every control plane.

keepalived alone: it moves the address (VRRP over IPv6, RFC 5798) to a control plane whose own API server answers, so
that nothing stands between the two that could fail by itself. A load balancer on the same machines would need another
port, and would be one thing more to watch; what one API server cannot carry alone wants one that is there already.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from configs.plan.derived import Derived
from configs.plan.state import File, Service, StageState
from configs.schema.cluster import Node

KEEPALIVED_CONFIG = "/etc/keepalived/keepalived.conf"


def endpoint(derived: Derived, node: Node) -> StageState:
    """What makes a machine one of those that hold the address; nothing where a load balancer does, or there is none."""
    wanted = derived.cluster.endpoint
    if wanted is None or wanted.by != "keepalived":
        return StageState("kubernetes")
    text = derived.render("keepalived.conf", node=node, virtual_router=virtual_router(wanted.address))
    settings = File(KEEPALIVED_CONFIG, text)
    return StageState(
        name="kubernetes",
        packages=derived.system.packages_of("keepalived", "curl"),
        files=(settings,),
        services=(Service(derived.system.units["keepalived"], restart_on=(settings.path,)),),
    )


def virtual_router(address: IPv6Address) -> int:
    """The number by which VRRP tells groups of routers on one link apart, 1 to 255: it follows from their address."""
    return int(address) % 255 + 1
