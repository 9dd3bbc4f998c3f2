"""Swap, off now and after a restart."""

from __future__ import annotations

from collections.abc import Mapping

from configs.plan.state import StageState
from tasks.node.resources.kind import Changes, Earlier, Kind


class Swap(Kind[Mapping[str, list[str]]]):
    """The facts are the ``devices`` in use, in a container its host's, and the lines of ``fstab`` that make some."""

    name = "swap"
    field = "swap_off"
    line = "swap off"

    def changes(self, stage: StageState, facts: Mapping[str, list[str]], earlier: Earlier) -> Changes:
        if stage.swap_off and (facts["devices"] or facts["fstab"]):
            devices = facts["devices"] or [line.split()[0] for line in facts["fstab"]]
            yield self.change(", ".join(devices), "off", "in use" if facts["devices"] else "on at boot")
