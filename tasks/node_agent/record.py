"""What a node was before us: written down before anything is changed, so that all of it can be undone.

What is replaced is kept under ``backup``; the rest stands in ``record.json``.
"""

import json
import os
import shutil
from contextlib import contextmanager
from typing import Any, Iterator, List, Sequence, Tuple

from tasks.node_agent.blocks import block_fact
from tasks.node_agent.files import (
    fingerprint,
    make_directories,
    missing_directories,
    sync_directory,
    text_of,
    write_atomically,
)
from tasks.node_agent.protocol import Failed, Json

HOME = "/var/lib/kubev6"
FILE = "record.json"
STAGES = ("network", "support", "runtime", "kubernetes")
"""In the order in which they are applied."""
FORMS = {
    "digests.json": {"*": {"sha256": str, "identity": [int]}},
    FILE: {
        "cluster": {"*": str},
        "pending_restarts": [str],
        "unbegun": [[str]],
        "stages": {"*": {"*": {}, "files": {"*": {}}, "deleted_files": {"*": {}}, "services": {"*": {}}}},
    },
}  # type: Json
"""What the files hold that everything else relies on; ``*`` is every other key."""


@contextmanager
def kept_in(directory: str) -> Iterator[None]:
    """While the block runs, records and copies are kept in another directory."""
    global HOME
    usual, HOME = HOME, directory
    try:
        yield
    finally:
        HOME = usual


def read_json(name: str) -> Json:
    """An object that is kept in :data:`HOME`; empty when there is none.

    Raises:
        Failed: The file is damaged.
    """
    text = text_of(os.path.join(HOME, name))
    if not text:
        return {}
    try:
        found = json.loads(text)
        if not is_of_form(found, FORMS.get(name, {})):
            raise ValueError("it holds something else than was written there")
        return dict(found)
    except (ValueError, RecursionError) as error:
        todo = "move it away; what was there before it is then no longer known"
        raise Failed("{}/{} is damaged: {}".format(HOME, name, error), todo) from None


def is_of_form(found: Any, form: Any) -> bool:
    """Whether something that was read is of a form: what :data:`FORMS` is made of; None stands for anything."""
    if isinstance(form, dict):
        every = form.get("*")
        return isinstance(found, dict) and all(is_of_form(each, form.get(key, every)) for key, each in found.items())
    if isinstance(form, list):
        return isinstance(found, list) and all(is_of_form(each, form[0]) for each in found)
    return form is None or isinstance(found, form)


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
        self.unbegun: List[List[str]] = self.all.setdefault("unbegun", [])

    def save(self) -> None:
        """Write the record down. What is noted before is kept only by this."""
        write_json(FILE, self.all)

    def note(self, kind: str, subject: str, before: Any) -> None:
        """Remember what was there before us; the first answer stands."""
        self.stage.setdefault(kind, {}).setdefault(subject, before)

    def note_ahead(self, kind: str, subject: str, before: Any) -> None:
        """Remember what is there before a change whose :meth:`begin` comes later.

        Until then nothing was done, by this run or by one that died: what somebody else has changed meanwhile is what
        was there, and there is nothing to undo.
        """
        mark = [self.name, kind, subject]
        notes = self.stage.setdefault(kind, {})
        if subject not in notes:
            self.unbegun.append(mark)
        if mark in self.unbegun:
            notes[subject] = before

    def begin(self, kinds: Sequence[str], subjects: Sequence[str]) -> None:
        """Write down that changes are begun, so that their notes stand from now on."""
        left = [
            mark for mark in self.unbegun if mark[0] != self.name or mark[1] not in kinds or mark[2] not in subjects
        ]
        if left != self.unbegun:
            self.unbegun[:] = left
            self.save()

    def drop_unbegun(self) -> None:
        """Drop the notes of this stage about changes that were not even begun."""
        for stage, kind, subject in self.unbegun:
            if stage == self.name:
                self.forget(kind, subject)
        self.unbegun[:] = [mark for mark in self.unbegun if mark[0] != self.name]
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
                if [name, kind, subject] not in self.unbegun:
                    yield name, subject, before

    def take_out(self, stage: str, kind: str, subject: str) -> None:
        """Forget a note of any stage: it has been undone."""
        self.all["stages"][stage][kind].pop(subject, None)

    def owns(self, path: str) -> bool:
        """Whether a stage of ours wrote this file, or was about to."""
        return any(path in stage.get("files", {}) for stage in self.all["stages"].values())

    def wrote(self, path: str) -> bool:
        """Whether what is in this file now is of ours, so that it is not an original."""
        return any(
            is_ours(path, stage["files"][path])
            for stage in self.all["stages"].values()
            if path in stage.get("files", {})
        )


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
    return Record(stage, read_json(FILE))


def refuse_other_cluster(known: Json, wanted: Json) -> None:
    """Leave a machine to the cluster that its record names. Records of versions before this one name none.

    Raises:
        Failed: It is another.
    """
    named = known.get("cluster", wanted)
    if named != wanted:
        raise Failed(
            "belongs to the cluster {} at {}, not {} at {}".format(
                *(each.get(key, "unknown") for each in (named, wanted) for key in ("name", "server"))
            ),
            "`kubev6 reset` it with that cluster's file, or correct the one that named this machine",
        )


def is_ours(path: str, entry: Json) -> bool:
    """Whether a file has what a note of it says that we wrote or were about to write.

    Versions before this one did not say what that was.
    """
    if entry["block"]:
        return block_fact(path) is not None
    return "ours" not in entry or fingerprint(path) in (entry["ours"], entry["next"])


def room_for(name: str) -> str:
    """A new directory for what is being made, for root alone; that of a killed run goes by the next one, or a reset."""
    room = os.path.join(HOME, name + ".partial")
    shutil.rmtree(room, ignore_errors=True)
    make_directories(room, 0o700)
    return room


def backup_path(path: str) -> str:
    """Where the original of a file is kept."""
    return os.path.join(HOME, "backup") + path


def back_up(path: str) -> None:
    """Keep a copy of an original, durable before anything refers to it.

    A copy that is there already is one that no note refers to, or of what somebody has replaced since.
    """
    copy = backup_path(path)
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
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
    os.rename(temporary, copy)
    sync_directory(os.path.dirname(copy))
