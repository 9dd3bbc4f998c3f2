"""Settings of the kernel, as they are now; that they last is the business of a file."""

from __future__ import annotations

from collections.abc import Mapping

from configs.plan.state import StageState
from tasks.node.resources.kind import Changes, Earlier, Kind


class Sysctls(Kind[Mapping[str, str | None]]):
    """The facts are values by key; None where the kernel has no such setting."""

    name = "sysctl"
    field = "sysctls"
    key = "key"
    line = "sysctl {0.key}={0.value}"

    def changes(self, stage: StageState, facts: Mapping[str, str | None], earlier: Earlier) -> Changes:
        for sysctl in stage.sysctls:
            now = facts[sysctl.key]
            if now is None or now.split() != sysctl.value.split():
                yield self.change(sysctl.key, "set", now or "", sysctl.value, sysctl)
