"""Directories that others put files into while the node is one of Kubernetes."""

import os
import shutil
from typing import Any, List

from tasks.node_agent.files import make_directories
from tasks.node_agent.pods import names_in
from tasks.node_agent.protocol import Json
from tasks.node_agent.record import Record
from tasks.node_agent.resources.kind import Kind

NOTES = "shared_directories"


def clear(directory: str, before: Any) -> List[str]:
    """Take away what has come since."""
    come = sorted(set(names_in(directory)) - set(before))
    for name in come:
        path = os.path.join(directory, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    return ["{} of {} removed".format(", ".join(come), directory)] if come else []


class Directories(Kind):
    """Noted by path with the names of what is there; what has to be made of it goes with the directories of files."""

    name = "directory"
    undoes = ((NOTES, clear),)

    def added(self, record: Record) -> List[str]:
        return sorted(record.stage.get(NOTES, {}))

    def note(self, change: Json, record: Record) -> None:
        path = change["subject"]
        record.note_directories(os.path.join(path, "any"))
        record.note(NOTES, path, names_in(path))

    def make(self, change: Json, record: Record) -> None:
        make_directories(change["subject"])
