"""Executables, fetched by the node itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from configs.plan.state import StageState
from tasks.node.resources.kind import Changes, Earlier, Kind


@dataclass(frozen=True, slots=True)
class BinaryFacts:
    """The executables that a stage speaks of.

    Attributes:
        digests: By path; None where nothing is.
        ours: By path, the digests of what earlier runs put there, where they did.
    """

    digests: Mapping[str, str | None]
    ours: Mapping[str, frozenset[str]]

    def is_changed_since(self, path: str) -> bool:
        """Whether somebody, or something, has made another one of that which an earlier run put there."""
        return path in self.ours and self.digests[path] not in (None, *self.ours[path])


class Binaries(Kind[BinaryFacts]):
    """Compared by their digests."""

    name = "binary"
    field = "binaries"
    key = "path"
    line = "binary {0.path} sha256 {0.sha256} from {0.url}"

    def parse(self, there: Any, added: Any) -> BinaryFacts:
        return BinaryFacts(there, {path: frozenset(digests) for path, digests in added.items()})

    def changes(self, stage: StageState, facts: BinaryFacts, earlier: Earlier) -> Changes:
        for binary in stage.binaries:
            digest = facts.digests[binary.path]
            if digest != binary.sha256:
                was = f"sha256 {digest[:12]}" if digest else ""
                since = ", changed by somebody since" if facts.is_changed_since(binary.path) else ""
                yield self.change(binary.path, "fetch", was + since, f"sha256 {binary.sha256[:12]}", binary)

    def warnings(self, stage: StageState, facts: BinaryFacts) -> Iterable[str]:
        for binary in stage.binaries:
            digest = facts.digests[binary.path]
            if digest != binary.sha256 and facts.is_changed_since(binary.path):
                yield (
                    f"{binary.path} was changed by somebody, or damaged, since it was put there: its sha256 is "
                    f"{digest}; it is replaced, and no copy of it is kept"
                )
