"""Packages of the node's own distribution."""

from __future__ import annotations

from configs.plan.state import StageState
from tasks.node.resources.kind import Changes, Earlier, Kind


class Packages(Kind[list[str]]):
    """The facts are the installed ones."""

    name = "package"
    field = "packages"
    line = "package {}"

    def changes(self, stage: StageState, facts: list[str], earlier: Earlier) -> Changes:
        return (self.change(name, "install") for name in stage.packages if name not in facts)
