"""What a node was before us: written down before anything is changed, so that all of it can be undone.

What is replaced is kept under ``backup``; the rest stands in ``record.json``.
"""

import json
import os
import shutil
from typing import Any, Iterator, List, Tuple

from tasks.node_agent.files import make_directories, missing_directories, text_of, write_atomically
from tasks.node_agent.protocol import Failed, Json

HOME = "/var/lib/kubev6"
STAGES = ("network", "support", "runtime", "kubernetes")
"""In the order in which they are applied."""


def read_json(name: str) -> Json:
    """An object that is kept in :data:`HOME`; empty when there is none.

    Raises:
        Failed: The file is damaged.
    """
    text = text_of(os.path.join(HOME, name))
    if not text:
        return {}
    try:
        return dict(json.loads(text))
    except ValueError as error:
        todo = "move it away; what was there before it is then no longer known"
        raise Failed("{}/{} is damaged: {}".format(HOME, name, error), todo) from None


def write_json(name: str, value: Json) -> None:
    """Keep an object in :data:`HOME`, readable for root alone."""
    write_atomically(os.path.join(HOME, name), json.dumps(value, indent=1, sort_keys=True).encode() + b"\n", 0o600)


class Record:
    """What this node was before, and which restarts are still owed. Written before anything is changed."""

    def __init__(self, stage: str, known: Json) -> None:
        self.name = stage
        self.all = known
        self.all.setdefault("version", 1)
        self.all.setdefault("pending_restarts", [])
        self.stage = self.all.setdefault("stages", {}).setdefault(stage, {})
        self.fresh: List[Tuple[str, str]] = []

    def save(self) -> None:
        """Write the record down. What is noted before is kept only by this."""
        write_json("record.json", self.all)

    def note(self, kind: str, subject: str, before: Any) -> None:
        """Remember what was there before us; the first answer stands."""
        notes = self.stage.setdefault(kind, {})
        if subject not in notes:
            notes[subject] = before
            self.fresh.append((kind, subject))

    def drop_fresh(self, subjects: List[str]) -> None:
        """Drop the notes of this run about changes that were not even begun."""
        for kind, subject in self.fresh:
            if subject in subjects:
                self.forget(kind, subject)
        self.save()

    def note_directories(self, path: str) -> None:
        """Remember which directories are made because of a file."""
        for directory in missing_directories(path):
            self.note("directories", directory, None)

    def owed(self) -> List[str]:
        """The units whose restart, and the commands whose run, is owed because files of theirs have changed."""
        return list(self.all["pending_restarts"])

    def owe(self, subject: str) -> None:
        """Remember that a restart, or the run of a command, is owed."""
        self.all["pending_restarts"] = sorted({subject, *self.owed()})

    def paid(self, subject: str) -> None:
        """Drop what is owed no longer, and save that."""
        if subject in self.owed():
            self.all["pending_restarts"].remove(subject)
            self.save()

    def forget(self, kind: str, subject: str) -> None:
        """Drop a note of this stage, if there is one."""
        self.stage.get(kind, {}).pop(subject, None)

    def notes(self, kind: str) -> Iterator[Tuple[str, str, Any]]:
        """Stage, subject and what was there before, of every note of a kind; the stage that was applied last first."""
        stages = self.all["stages"]
        order = [name for name in STAGES if name in stages] + sorted(set(stages) - set(STAGES))
        for name in reversed(order):
            for subject, before in stages[name].get(kind, {}).items():
                yield name, subject, before

    def take_out(self, stage: str, kind: str, subject: str) -> None:
        """Forget a note of any stage: it has been undone."""
        self.all["stages"][stage][kind].pop(subject, None)

    def owns(self, path: str) -> bool:
        """Whether a stage of ours wrote this file, so that it is not an original."""
        return any(path in stage.get("files", {}) for stage in self.all["stages"].values())


class LostRecord(Record):
    """In place of one that is damaged. It knows nothing and is not written: a person may yet mend the file."""

    def __init__(self) -> None:
        super().__init__("", {})

    def save(self) -> None:
        """Write nothing."""


def read_record(stage: str) -> Record:
    """The record of this node, to note what is done for a stage.

    Raises:
        Failed: It is damaged.
    """
    return Record(stage, read_json("record.json"))


def backup_path(path: str) -> str:
    """Where the original of a file is kept."""
    return os.path.join(HOME, "backup") + path


def back_up(path: str) -> None:
    """Keep a copy of an original; a copy that is there already is the older one and stays."""
    copy = backup_path(path)
    if os.path.lexists(copy):
        return
    make_directories(os.path.dirname(copy), 0o700)
    temporary = copy + ".partial"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    if os.path.islink(path):
        os.symlink(os.readlink(path), temporary)
    else:
        shutil.copy2(path, temporary)
        seen = os.stat(path)
        os.chown(temporary, seen.st_uid, seen.st_gid)
    os.rename(temporary, copy)
