"""Directories that others put files into, which go when the node is made what it was."""

from __future__ import annotations

from typing import Any

from configs.plan.state import StageState
from tasks.node.resources.kind import Changes, Earlier, Kind


class Directories(Kind[frozenset[str]]):
    """The facts are those of which the record says what was in them."""

    name = "directory"
    field = "shared_directories"
    line = "directory {}, for others too"

    def parse(self, there: Any, added: Any) -> frozenset[str]:
        return frozenset(added)

    def changes(self, stage: StageState, facts: frozenset[str], earlier: Earlier) -> Changes:
        return (self.change(path, "share") for path in stage.shared_directories if path not in facts)
