"""DNS64 on the support node, as a part of its support stage."""

from __future__ import annotations

from configs.plan.derived import Derived
from configs.plan.state import File, Service, StageState
from configs.plan.translation import asks_itself


def dns64(derived: Derived) -> StageState:
    """What answers names on the support node; nothing when an existing server does."""
    match derived.cluster.dns64.by:
        case "bind":
            return _server(derived, "bind", "named.conf.options")
        case "unbound":
            return _server(derived, "unbound", "unbound.conf")
        case "existing":
            return StageState("support")


def _server(derived: Derived, name: str, template: str) -> StageState:
    cluster, system = derived.cluster, derived.system
    own = tuple(resolver for resolver in derived.machine.resolvers if not asks_itself(cluster, resolver))
    settings = File(
        system.paths[name],
        derived.render(
            template,
            forwarders=cluster.dns64.forwarders or own,
            pod_subnets=[node.pod_subnet for node in cluster.kubernetes_nodes if node.pod_subnet],
        ),
    )
    return StageState(
        name="support",
        packages=system.packages_of(name),
        files=(settings,),
        services=(Service(system.units[name], restart_on=(settings.path,)),),
    )
