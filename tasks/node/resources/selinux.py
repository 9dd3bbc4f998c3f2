"""SELinux, which may not enforce anything, now and after a restart."""

from __future__ import annotations

from collections.abc import Mapping

from configs.plan.state import StageState
from tasks.node.resources.kind import Changes, Earlier, Kind


class Selinux(Kind[Mapping[str, str]]):
    """The facts are what it does ``now`` and from ``boot`` on: ``enforcing``, ``permissive``, or nothing without it."""

    name = "selinux"
    field = "selinux_permissive"
    line = "SELinux permissive"

    def changes(self, stage: StageState, facts: Mapping[str, str], earlier: Earlier) -> Changes:
        if stage.selinux_permissive and "enforcing" in facts.values():
            was = "enforcing" if facts["now"] == "enforcing" else "enforcing at boot"
            yield self.change("mode", "set", was, "permissive")
