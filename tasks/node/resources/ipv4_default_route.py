"""IPv4 default routes, where there shall be none. The path of the SSH connection is kept by a host route."""

from __future__ import annotations

from configs.plan.state import StageState
from tasks.node.resources.kind import Changes, Earlier, Kind


class Ipv4DefaultRoutes(Kind[list[str]]):
    """The facts are the arguments that the node's own ``ip route`` takes for each, which it is handed back."""

    name = "ipv4-default-route"
    field = "no_ipv4_default_route"
    line = "no IPv4 default route"

    def changes(self, stage: StageState, facts: list[str], earlier: Earlier) -> Changes:
        return (self.change(route, "remove") for route in facts if stage.no_ipv4_default_route)
