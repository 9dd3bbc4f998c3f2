"""IPv6 routes of the main table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from configs.plan.state import Route, StageState
from tasks.node.resources.kind import Changes, Earlier, Kind


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """The IPv6 routes of a node.

    Attributes:
        there: Those of the main table, without the kernel's own.
        added: Those that earlier runs added for this stage.
    """

    there: frozenset[Route]
    added: frozenset[Route]


class Routes(Kind[RouteFacts]):
    """The kernel keeps routes by destination and metric: to change the rest of one is to replace it."""

    name = "route"
    field = "routes"
    line = "route {}"

    def parse(self, there: Any, added: Any) -> RouteFacts:
        return RouteFacts(frozenset(Route(**each) for each in there), frozenset(Route(**each) for each in added))

    def changes(self, stage: StageState, facts: RouteFacts, earlier: Earlier) -> Changes:
        places = {_place(route) for route in stage.routes}
        for route in sorted(facts.added & facts.there, key=str):
            if _place(route) not in places:
                yield self.change(str(route), "remove", "no longer wanted", resource=route)
        for route in stage.routes:
            if route in facts.there:
                continue
            others = [other for other in facts.there if _place(other) == _place(route)]
            was = ", ".join(sorted(f"via {other.via} dev {other.interface}" for other in others))
            yield self.change(str(route), "replace" if others else "add", was, resource=route)


def _place(route: Route) -> tuple[str, int]:
    return route.destination, route.metric
