"""The files and blocks of a stage: written, removed, and taken back."""

import os
import stat

from tasks.node_agent.blocks import new_text
from tasks.node_agent.files import write_atomically
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import Record, backup_path


def write_file(change: Json) -> None:
    path, mode = change["subject"], change["mode"]
    if change.get("block"):
        real = os.path.realpath(path)
        text = new_text(real, change["content"])
        if os.path.exists(real):
            seen = os.stat(real)
            write_atomically(real, text.encode(), stat.S_IMODE(seen.st_mode), (seen.st_uid, seen.st_gid))
        else:
            write_atomically(real, text.encode(), mode)
        return
    write_atomically(path, change["content"].encode(), mode, (0, 0))


def remove_file(change: Json) -> None:
    """Remove a file, whose copy is kept."""
    if os.path.lexists(change["subject"]):
        os.unlink(change["subject"])


def undo_file(change: Json, record: Record) -> None:
    """Take back a file or block that an earlier run put there and that is no longer wanted."""
    path = change["subject"]
    restore_file(path, record.stage["files"].get(path, {}))
    record.forget("files", path)
    record.save()
    if os.path.lexists(backup_path(path)):
        os.unlink(backup_path(path))


def restore_file(path: str, entry: Json) -> None:
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
