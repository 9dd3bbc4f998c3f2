"""Modules of the kernel."""

from __future__ import annotations

from configs.plan.state import StageState
from tasks.node.resources.kind import Changes, Earlier, Kind


class Modules(Kind[list[str]]):
    """The facts are those that are loaded or built in."""

    name = "module"
    field = "modules"
    line = "module {}"

    def changes(self, stage: StageState, facts: list[str], earlier: Earlier) -> Changes:
        return (self.change(name, "load") for name in stage.modules if name not in facts)
