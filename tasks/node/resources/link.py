"""Interfaces that are switched on."""

from __future__ import annotations

from configs.plan.state import StageState
from tasks.node.resources.kind import Changes, Earlier, Kind


class Links(Kind[list[str]]):
    """The facts are the names of those that are."""

    name = "link"
    field = "links_up"
    line = "interface {} up"

    def changes(self, stage: StageState, facts: list[str], earlier: Earlier) -> Changes:
        return (self.change(name, "set up", "down") for name in stage.links_up if name not in facts)
