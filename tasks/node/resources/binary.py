"""Executables, fetched by the node itself."""

from __future__ import annotations

from collections.abc import Mapping

from configs.plan.state import StageState
from tasks.node.resources.kind import Changes, Earlier, Kind


class Binaries(Kind[Mapping[str, str | None]]):
    """The facts are digests by path; None where nothing is."""

    name = "binary"
    field = "binaries"
    key = "path"
    line = "binary {0.path} sha256 {0.sha256} from {0.url}"

    def changes(self, stage: StageState, facts: Mapping[str, str | None], earlier: Earlier) -> Changes:
        for binary in stage.binaries:
            digest = facts[binary.path]
            if digest != binary.sha256:
                was = f"sha256 {digest[:12]}" if digest else ""
                yield self.change(binary.path, "fetch", was, f"sha256 {binary.sha256[:12]}", binary)
