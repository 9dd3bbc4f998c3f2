"""Files, and marked blocks inside files that others write too: written, removed and undone."""

import hashlib
import os
import stat
from typing import Any, List

from tasks.node_agent.blocks import END, block_fact, new_text
from tasks.node_agent.files import (
    attributes_of,
    exact_bytes,
    exact_text_of,
    file_fact,
    files_in,
    fingerprint,
    partial_path,
    rewrite,
    sync_directory,
    write_atomically,
)
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import Record, back_up, backup_path, is_ours
from tasks.node_agent.resources.kind import Kind


def undo_file(path: str, entry: Any) -> List[str]:
    """Make of a file or block of ours what was there before."""
    there = os.path.lexists(path)
    return ["file {}".format(path)] if restore(path, entry) and (there or entry.get("before")) else []


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
        record.note_directories(path)
        if change["action"] == "delete":
            if not record.wrote(path):
                back_up(path)
                record.stage.setdefault("deleted_files", {})[path] = {"before": "backup", "block": False}
        else:
            note_original(change["resource"], record)

    def make(self, change: Json, record: Record) -> None:
        path = change["subject"]
        if change["action"] == "undo":
            restore(path, record.stage["files"].get(path, {}))
            record.forget("files", path)
            record.save()
            path = backup_path(path)
        elif change["action"] != "delete":
            write(change["resource"])
            record.stage["files"][path]["ours"] = record.stage["files"][path]["next"]
            return
        if os.path.lexists(path):
            os.unlink(path)


def note_original(file: Json, record: Record) -> None:
    """Note what a file or block takes the place of.

    The note says what we have written there (``ours``) and are about to write (``next``), as fingerprints. A file that
    has neither is somebody else's, also when a run that died has noted that there was none, or has kept a copy: it is
    copied. Only where we did write before, the first original stays the one that comes back.
    """
    path, there = file["path"], os.path.lexists(file["path"])
    ours = there and record.wrote(path)
    entry = record.stage.setdefault("files", {}).setdefault(path, {"before": "", "ours": "", "next": ""})
    if ours:
        entry["ours"] = fingerprint(path)
    elif there and not (entry["before"] and entry.get("ours", True)):
        back_up(path)
        entry["before"] = "backup"
    entry["block"] = file["block"]
    entry["next"] = hashlib.sha256(file["content"].encode()).hexdigest()
    if file["block"] and not ours:
        text = exact_text_of(path)
        entry["unended"] = bool(text) and not text.endswith("\n")


def write(file: Json) -> None:
    """Write a whole file as root's, or our block into one that keeps its owner and mode."""
    path, mode = file["path"], file["mode"]
    if not file["block"]:
        write_atomically(path, file["content"].encode(), mode, (0, 0))
        return
    text = new_text(path, file["content"])
    if os.path.exists(path):
        rewrite(path, text)
    else:
        write_atomically(os.path.realpath(path), exact_bytes(text), mode)


def restore(path: str, entry: Json) -> bool:
    """Make of a file or block of ours what was there before; ``entry`` is what the record says of it.

    The copy stays where it is, so that the same can be done again by a run that follows one that died.

    Returns:
        False when the run that was about to write it did not come to that, and it is somebody else's.
    """
    if entry.get("block"):
        if block_fact(path) is None:
            return False
        text = new_text(path, None)
        if entry.get("unended") and exact_text_of(path).endswith(END + "\n"):
            text = text[:-1]  # the newline that our first mark needed
        if text or entry["before"]:
            rewrite(path, text)
        else:
            os.unlink(path)
        return True
    if not entry.get("ours", True) and not is_ours(path, entry):
        return False
    if entry.get("before"):
        copy = backup_path(path)
        if not os.path.lexists(copy):
            raise Failed("{}: the copy of what was there before is gone ({})".format(path, copy))
        if os.path.islink(copy):
            os.symlink(os.readlink(copy), partial_path(path))
            os.replace(partial_path(path), path)
            sync_directory(os.path.dirname(path))
        else:
            seen = os.stat(copy)
            with open(copy, "rb") as file:
                content, owner = file.read(), (seen.st_uid, seen.st_gid)
            write_atomically(path, content, stat.S_IMODE(seen.st_mode), owner, attributes_of(copy))
    elif os.path.lexists(path):
        os.unlink(path)
    return True
