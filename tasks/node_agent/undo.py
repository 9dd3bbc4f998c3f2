"""The record backwards: a node made what it was before us.

Everything is tried, and what cannot be undone stays in the record and is told. The network comes last, and nothing of
it that carries the SSH connection is taken away.
"""

import os
import subprocess
from functools import partial
from typing import Any, Callable, List, Sequence

from tasks.node_agent.commands import run
from tasks.node_agent.files import partial_path
from tasks.node_agent.protocol import Failed, progress
from tasks.node_agent.record import Record
from tasks.node_agent.resources.address import noted_address
from tasks.node_agent.resources.ipv4_name import HOSTS
from tasks.node_agent.resources.kind import Kind, Stays, Undo
from tasks.node_agent.resources.kinds import BEFORE_THE_NETWORK, LEFT, NETWORK
from tasks.node_agent.resources.selinux import CONFIG
from tasks.node_agent.resources.service import RUNNING, SERVICE_SECONDS, reload_units
from tasks.node_agent.resources.swap import FSTAB
from tasks.node_agent.ssh_connection import connected

NETWORKD = "systemd-networkd.service"
LEFT_UNFINISHED = ("files", "deleted_files", "binaries", "certificates")
"""The notes that are called after files which are written beside their places first."""
Attempt = Callable[[Callable[[], List[str]]], None]
"""Runs a step, and remembers what it did or why it could not."""


def attempting(done: List[str], stays: List[str], left: List[str]) -> Attempt:
    """An attempt that goes on whatever becomes of a step, and adds what it did, or why not, to one of the lists."""

    def attempt(step: Callable[[], List[str]]) -> None:
        try:
            for line in step():
                progress(line)
                done.append(line)
        except Stays as error:
            stays.append(error.seen)
        except Failed as error:
            left.append("; ".join(part for part in (error.seen, error.todo) if part))
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            left.append(str(error))
        except Exception as error:  # a note of another form than we write: the others are undone all the same
            left.append("{}: {}".format(type(error).__name__, error))

    return attempt


def undo(record: Record, attempt: Attempt) -> None:
    """Undo every note of the record; what has been undone is taken out of it."""
    ran = [unit for _, unit, before in record.notes("services") if before.get("active") in RUNNING]
    attempt(lambda: remove_partials(record))
    files_undone = any(True for _ in record.notes("files"))
    undo_all(BEFORE_THE_NETWORK, record, attempt)
    if files_undone:
        attempt(reload_units)
        attempt(lambda: restart(ran, record))
    undo_all(NETWORK + LEFT, record, attempt)


def remove_partials(record: Record) -> List[str]:
    """Remove what a run that was killed has left unfinished beside the places of files and executables."""
    noted = [path for notes in LEFT_UNFINISHED for _, path, _ in record.notes(notes)]
    for path in {os.path.realpath(each) for each in noted + [HOSTS, FSTAB, CONFIG]} | set(noted):
        if os.path.lexists(partial_path(path)):
            os.unlink(partial_path(path))
    return []


def undo_all(kinds: Sequence[Kind], record: Record, attempt: Attempt) -> None:
    """Undo all notes of some kinds, of each the last stage's first."""
    for notes, one in (undoes for kind in kinds for undoes in kind.undoes):
        noted = list(record.notes(notes))
        if notes == "directories":
            noted.sort(key=lambda note: note[1], reverse=True)  # what is inside another comes first
        for stage, subject, before in noted:
            attempt(partial(undo_one, one, record, stage, notes, subject, before))
        # Once for all: each can be undone a second time when this run dies before.
        record.save()


def undo_one(one: Undo, record: Record, stage: str, notes: str, subject: str, before: Any) -> List[str]:
    """Undo one note and take it out of the record, also when it stays for good."""
    try:
        done = one(subject, before)
    except Stays:
        record.take_out(stage, notes, subject)
        raise
    record.take_out(stage, notes, subject)
    return done


def restart(units: List[str], record: Record) -> List[str]:
    """Let what ran before us read its own configuration again.

    Raises:
        Stays: networkd would take away the address of ours by which the SSH connection comes.
    """
    held = [unit for unit in units if unit == NETWORKD and connected_by_ours(record)]
    for unit in [each for each in units if each not in held]:
        run(["systemctl", "restart", unit], timeout=SERVICE_SECONDS)
    if held:
        raise Stays("what {} has read".format(NETWORKD))
    return ["service {} restarted".format(unit) for unit in units]


def connected_by_ours(record: Record) -> bool:
    """Whether the SSH connection comes by an address of ours."""
    noted = [noted_address(words, before)["address"] for _, words, before in record.notes("addresses")]
    return connected()[1] in [address.split("/")[0] for address in noted]
