"""Files, marked blocks inside files that others write too, and directories that hold no other files."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from configs.plan.state import File, StageState
from tasks.node.resources.kind import Changes, Earlier, Kind


@dataclass(frozen=True, slots=True)
class FileFact:
    """What is at a path.

    Attributes:
        kind: ``file``, ``link`` or ``other`` (a directory, a device).
        sha256: Of a file's content.
        mode: Permission bits of a file.
        target: Where a link points.
    """

    kind: str
    sha256: str = ""
    mode: int = 0
    target: str = ""

    def __str__(self) -> str:
        return {"file": "a file", "link": f"a link to {self.target}"}.get(self.kind, "not a file")


@dataclass(frozen=True, slots=True)
class AddedFile:
    """What an earlier run did at a path.

    Attributes:
        block: Whether it is a block in a file.
        original: Whether what was there before is kept.
    """

    block: bool
    original: bool


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is at the paths that a stage, an earlier run or a directory of the stage speaks of.

    Attributes:
        files: By path; None where nothing is.
        blocks: By path: sha256 of our block, None without one, or the trouble with its marks after ``!``.
        added: By path, what earlier runs did.
    """

    files: Mapping[str, FileFact | None]
    blocks: Mapping[str, str | None]
    added: Mapping[str, AddedFile]


class Files(Kind[FileFacts]):
    """Files of their own are compared whole, blocks by what stands between our marks."""

    name = "file"
    field = "files"

    def query(self, stages: Sequence[StageState]) -> object:
        return {
            "files": [file.path for stage in stages for file in stage.files if not file.block],
            "blocks": [file.path for stage in stages for file in stage.files if file.block],
            "directories": [directory for stage in stages for directory in stage.only_files_in],
        }

    def parse(self, there: Any, added: Any) -> FileFacts:
        return FileFacts(
            {path: FileFact(**fact) if fact else None for path, fact in there["files"].items()},
            there["blocks"],
            {path: AddedFile(**noted) for path, noted in added.items()},
        )

    def changes(self, stage: StageState, facts: FileFacts, earlier: Earlier) -> Changes:
        for file in stage.files:
            yield from (self._block if file.block else self._file)(file, facts)
        wanted = {file.path for file in stage.files}
        for path, fact in sorted(facts.files.items()):
            foreign = path not in wanted and path not in facts.added
            if fact and fact.kind != "other" and foreign and posixpath.dirname(path) in stage.only_files_in:
                yield self.change(path, "delete", str(fact))
        for path, added in sorted(facts.added.items()):
            if path in wanted:
                continue
            if added.block and facts.blocks.get(path):
                yield self.change(path, "undo", "our block, no longer wanted")
            elif not added.block and (facts.files.get(path) or added.original):
                yield self.change(path, "undo", "no longer wanted", "what was there before" * added.original)

    def _file(self, file: File, facts: FileFacts) -> Changes:
        fact, mode = facts.files.get(file.path), f"mode {file.mode:04o}"
        if fact is None:
            yield self.change(file.path, "create", after=mode, resource=file)
        elif (fact.kind, fact.sha256) != ("file", sha256(file.content)):
            yield self.change(file.path, "replace", str(fact), "other content", file)
        elif fact.mode != file.mode:
            yield self.change(file.path, "replace", f"mode {fact.mode:04o}", mode, file)

    def _block(self, file: File, facts: FileFacts) -> Changes:
        fact = facts.blocks.get(file.path)
        if fact is None:
            yield self.change(file.path, "create", after="a block of lines", resource=file)
        elif fact != sha256(file.content):
            was = fact.removeprefix("!") if fact.startswith("!") else "our block"
            yield self.change(file.path, "replace", was, "other lines", file)

    def lines(self, stage: StageState) -> Iterable[str]:
        for file in stage.files:
            yield f"{'block in' if file.block else 'file'} {file.path} ({file.mode:04o})"
            yield from (f"  | {line}" for line in file.content.splitlines())
        yield from (f"no other file in {directory}" for directory in stage.only_files_in)


def sha256(text: str) -> str:
    """Hexadecimal digest of a text as UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
