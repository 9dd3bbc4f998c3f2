"""Host names that ``/etc/hosts`` gives no IPv4 address."""

from __future__ import annotations

from collections.abc import Mapping

from configs.plan.state import StageState
from tasks.node.resources.kind import Changes, Earlier, Kind


class Ipv4Names(Kind[Mapping[str, list[str]]]):
    """The facts are the IPv4 addresses of those that have any."""

    name = "ipv4-name"
    field = "no_ipv4_names"
    line = "no IPv4 address of {} in /etc/hosts"

    def changes(self, stage: StageState, facts: Mapping[str, list[str]], earlier: Earlier) -> Changes:
        for name in stage.no_ipv4_names:
            if name in facts:
                yield self.change(name, "remove", f"{', '.join(facts[name])} in /etc/hosts")
