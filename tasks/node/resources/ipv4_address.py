"""Interfaces that carry no IPv4 address."""

from __future__ import annotations

from collections.abc import Mapping

from configs.plan.state import StageState
from tasks.node.resources.kind import Changes, Earlier, Kind


class Ipv4Addresses(Kind[Mapping[str, list[str]]]):
    """The facts are the addresses by interface, of those that have any."""

    name = "ipv4-address"
    field = "no_ipv4_on"
    line = "no IPv4 address on {}"

    def changes(self, stage: StageState, facts: Mapping[str, list[str]], earlier: Earlier) -> Changes:
        for interface in stage.no_ipv4_on:
            if interface in facts:
                yield self.change(interface, "remove", ", ".join(facts[interface]))
