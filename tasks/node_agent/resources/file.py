"""Files, and marked blocks inside files that others write too: written, removed and undone."""

import os
import stat
from typing import Any, List

from tasks.node_agent.blocks import block_fact, new_text
from tasks.node_agent.files import file_fact, files_in, write_atomically
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import Record, back_up, backup_path
from tasks.node_agent.resources.kind import Kind


def undo_file(path: str, entry: Any) -> List[str]:
    """Make of a file or block of ours what was there before."""
    there = os.path.lexists(path)
    restore(path, entry)
    return ["file {}".format(path)] if there or entry.get("before") else []


def undo_deleted_file(path: str, entry: Any) -> List[str]:
    """Put back a file that had to go, unless there is one again."""
    return [] if os.path.lexists(path) or not entry.get("before") else undo_file(path, entry)


def undo_directory(path: str, _: Any) -> List[str]:
    """Remove a directory that was made for a file of ours, if it is empty."""
    try:
        os.rmdir(path)
    except OSError:
        return []  # gone, or somebody keeps something in it
    return ["directory {}".format(path)]


class Files(Kind):
    """Noted by path with ``block``, and ``before``, which is empty where nothing was; the original is backed up."""

    name = "file"
    undoes = (("files", undo_file), ("deleted_files", undo_deleted_file), ("directories", undo_directory))

    def facts(self, query: Json, records: List[Record], answers: List[str]) -> Json:
        """Files and blocks by path, those of the directories asked about and of earlier runs too."""
        files = set(query["files"]).union(*(files_in(directory) for directory in query["directories"]))
        blocks = set(query["blocks"])
        for record in records:
            for path, added in self.added(record).items():
                (blocks if added["block"] else files).add(path)
        return {
            "files": {path: file_fact(path) for path in files},
            "blocks": {path: block_fact(path) for path in blocks},
        }

    def added(self, record: Record) -> Json:
        noted = record.stage.get("files", {})
        return {path: {"block": each["block"], "original": bool(each["before"])} for path, each in noted.items()}

    def note(self, change: Json, record: Record) -> None:
        path = change["subject"]
        if change["action"] == "undo":
            return
        there = os.path.lexists(path)
        if there and not os.path.islink(path) and not os.path.isfile(path):
            raise Failed("{} is a directory or a device, not a file".format(path), "move it away")
        original = there and not record.owns(path)
        if original:
            back_up(path)
        record.note_directories(path)
        notes = "deleted_files" if change["action"] == "delete" else "files"
        record.note(notes, path, {"before": "backup" if original else "", "block": False})
        if change["action"] != "delete" and change["resource"]["block"]:
            record.stage["files"][path]["block"] = True

    def make(self, change: Json, record: Record) -> None:
        path = change["subject"]
        if change["action"] == "undo":
            restore(path, record.stage["files"].get(path, {}))
            record.forget("files", path)
            record.save()
            path = backup_path(path)
        elif change["action"] != "delete":
            write(change["resource"])
            return
        if os.path.lexists(path):
            os.unlink(path)


def write(file: Json) -> None:
    """Write a whole file as root's, or our block into one that keeps its owner and mode."""
    path, mode = file["path"], file["mode"]
    if not file["block"]:
        write_atomically(path, file["content"].encode(), mode, (0, 0))
        return
    real = os.path.realpath(path)
    text = new_text(real, file["content"])
    if os.path.exists(real):
        seen = os.stat(real)
        write_atomically(real, text.encode(), stat.S_IMODE(seen.st_mode), (seen.st_uid, seen.st_gid))
    else:
        write_atomically(real, text.encode(), mode)


def restore(path: str, entry: Json) -> None:
    """Make of a file or block of ours what was there before; ``entry`` is what the record says of it.

    The copy stays where it is, so that the same can be done again by a run that follows one that died.
    """
    if entry.get("block"):
        if not os.path.exists(path):
            return
        text = new_text(path, None)
        if text or entry["before"]:
            seen = os.stat(path)
            write_atomically(os.path.realpath(path), text.encode(), stat.S_IMODE(seen.st_mode))
        else:
            os.unlink(path)
    elif entry.get("before"):
        copy = backup_path(path)
        if not os.path.lexists(copy):
            raise Failed("{}: the copy of what was there before is gone ({})".format(path, copy))
        if os.path.islink(copy):
            if os.path.lexists(path):
                os.unlink(path)
            os.symlink(os.readlink(copy), path)
        else:
            seen = os.stat(copy)
            with open(copy, "rb") as file:
                write_atomically(path, file.read(), stat.S_IMODE(seen.st_mode), (seen.st_uid, seen.st_gid))
    elif os.path.lexists(path):
        os.unlink(path)
