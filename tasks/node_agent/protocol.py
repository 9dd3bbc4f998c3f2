"""What a program on a node and its controller say to one another."""

import json
import sys
from typing import Any, Dict, Sequence

Json = Dict[str, Any]


class Failed(Exception):  # noqa: N818 - a report, not a defect
    """A change that cannot be made: what was seen, and perhaps what to do."""

    def __init__(self, seen: str, todo: str = "", detail: str = "", transient: bool = False) -> None:
        super().__init__(seen)
        self.seen = seen
        self.todo = todo
        self.detail = detail
        self.transient = transient


def progress(text: str, done: int = 0, total: int = 0) -> None:
    """Say how far the work is, in words and, where that is counted, how much of how much is done."""
    _tell({"progress": text, "done": done, "total": total} if total else {"progress": text})


def ran(words: Sequence[str]) -> None:
    """Say which command is run."""
    _tell({"command": " ".join(words)})


def made(count: int) -> None:
    """Say that the first ``count`` changes of the order are made, whatever becomes of the others."""
    _tell({"made": count})


def _tell(line: Json) -> None:
    try:
        sys.stderr.write(json.dumps(line) + "\n")
        sys.stderr.flush()
    except OSError:
        pass  # the controller is gone; what was begun is still ended well
