"""A dead man's switch: a node puts changes back by itself unless it is told over a new connection that it is reached.

It is armed before the changes, by the program that makes them. What it needs is kept on the node: what was there
before, and a program that waits (:mod:`tasks.node_agent.await_confirmation`), which is of no session.
"""

import os
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from typing import List, Set

from tasks.node_agent.commands import run
from tasks.node_agent.confirmation import (
    DIRECTORY,
    NEXT_START,
    STATE,
    UNITS,
    WAITING,
    WANTED,
    disarm,
    forget_killed,
    forget_next_start,
    process,
    read_state,
)
from tasks.node_agent.files import make_directories, sync_directory, write_atomically
from tasks.node_agent.network_state import network_state, restore
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import FILE, HOME, Record, back_up, backup_path, kept_in, read_record, write_json
from tasks.node_agent.resources.kinds import BEFORE_THE_NETWORK, KINDS
from tasks.node_agent.resources.service import RUNNING, SERVICE_SECONDS
from tasks.node_agent.undo import attempting, undo

UNIT = """# Written by kubev6, and gone when the node was reached after its changes or has put them back.
[Unit]
Description=Put changes back unless a new connection confirms that this machine is reached
ConditionPathExists={path}

[Service]
ExecStart={python} -IS {path}
"""
START_SECONDS = 20
SETTLE_SECONDS = 5
"""How long is looked after what networking tools do that read their old files again."""


def arm(stage: str, changes: List[Json], known: Json, program: str, seconds: int) -> None:
    """Arm the switch for changes that are about to be made.

    Args:
        stage: The stage that they belong to.
        changes: The changes.
        known: The record as it is to be when they are put back; empty to have none.
        program: The source of the program that waits.
        seconds: How long it waits for a confirmation, from when the calling program has ended.

    Raises:
        Failed: The program does not run, so nothing would put the changes back.
    """
    disarm()
    make_directories(DIRECTORY, 0o700)
    armed = str(time.monotonic())
    with kept_in(DIRECTORY):
        before = Record(stage, {})
        for name in [kind.name for kind in BEFORE_THE_NETWORK if kind.name != "file"]:
            KINDS[name].note_all([each for each in changes if each["kind"] == name], before)
        for change in changes:
            if change["kind"] == "file":
                note_whole(change["subject"], before)
        before.unbegun[:] = []  # all of it is put back, whatever of it is done by then
        before.save()
    resources = [each["resource"] or {} for each in changes]
    state = {
        "armed": armed,
        "by": process(os.getpid()),
        "seconds": seconds,
        "stage": stage,
        "record": known,
        "copies": copies(),
        "network": network_state(),
        "addresses": [each["address"] for each in resources if "address" in each],
        "destinations": [each["destination"] for each in resources if "destination" in each],
        "commands": [each["resource"]["command"] for each in changes if each["kind"] == "command"],
    }
    source = "PAYLOAD = {!r}\n{}".format({"armed": armed}, program)
    path = os.path.join(DIRECTORY, "program.py")
    write_atomically(path, source.encode(), 0o600)
    with kept_in(DIRECTORY):
        write_json(STATE, state)
    arm_next_start(path)
    start([sys.executable, "-IS", path], armed)


def arm_next_start(program: str) -> None:
    """Have the program run after the next start too: who is cut off may be started again before it has put all back."""
    if not has_systemd():
        return
    write_atomically(NEXT_START, UNIT.format(python=sys.executable, path=program).encode(), 0o644)
    make_directories(os.path.dirname(WANTED))
    os.symlink(NEXT_START, WANTED)
    sync_directory(os.path.dirname(WANTED))


def has_systemd() -> bool:
    """Whether systemd runs here."""
    return os.path.isdir("/run/systemd/system")


def note_whole(path: str, before: Record) -> None:
    """Note a file whole, also where only a block of it is ours, whoever wrote what is in it now."""
    there = os.path.lexists(path)
    if there:
        back_up(path)
    before.note_directories(path)
    before.note("files", path, {"before": "backup" if there else "", "block": False})


def start(words: List[str], armed: str) -> None:
    """Start the program that waits, as a unit of systemd's own where there is systemd, and see that it runs."""
    unit = UNITS.replace("*", "-" + armed.replace(".", "-"))
    try:
        if not has_systemd():
            raise Failed("no systemd")
        forget_killed()
        run(["systemd-run", "--unit=" + unit] + words)
    except Failed:
        null = subprocess.DEVNULL
        own = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
        subprocess.Popen(words, stdin=null, stdout=null, stderr=null, start_new_session=True, cwd="/", env=own)
    deadline = time.monotonic() + START_SECONDS
    while not os.path.exists(WAITING):
        if time.monotonic() > deadline:
            disarm()
            raise Failed("nothing would put the changes back if they cut the connection: {} does not run".format(unit))
        time.sleep(0.02)


def put_back() -> None:
    """Make everything what it was before the changes. Called by the one who holds the lock of the node."""
    state = read_state()
    left = []  # type: List[str]
    attempt = attempting([], left, left)
    kept = read_record(state["stage"]).stage.get("keep_routes", {})
    with kept_in(DIRECTORY):
        record = read_record(state["stage"])
        services = [(unit, before) for _, unit, before in record.notes("services")]
        undo(record, attempt)
    for words in state["commands"]:
        # What it was told to load is gone.
        again = ["nmcli", "connection", "reload"] if words[0] == "nmcli" else words
        attempt(partial(run_again, again))
    for unit, before in services:
        for verb in ["enable"] * (before.get("enabled") == "enabled") + ["start"] * (before.get("active") in RUNNING):
            attempt(partial(run_again, ["systemctl", verb, unit]))
    places = {each.replace("::/0", "default").replace("/128", "") for each in state["destinations"]}
    places |= {words.split("/")[0] for words in kept}
    deadline = time.monotonic() + SETTLE_SECONDS
    network = []  # type: List[str]
    while time.monotonic() < deadline:
        network = restored(state["network"], places | set(state["addresses"]))
        time.sleep(1)
    for copy in set(copies()) - set(state["copies"]):
        os.unlink(copy)
        with suppress(OSError):  # somebody else's copy is in it
            os.removedirs(os.path.dirname(copy))
    if state["record"]:
        write_json(FILE, state["record"])
    elif os.path.exists(os.path.join(HOME, FILE)):
        os.unlink(os.path.join(HOME, FILE))
    with kept_in(DIRECTORY):
        write_json(STATE, {"put_back": {"left": left + network}})
    forget_next_start()


def run_again(words: List[str]) -> List[str]:
    """A step that makes a program read its old files again."""
    run(words, timeout=SERVICE_SECONDS)
    return [" ".join(words)]


def restored(network: Json, ours: Set[str]) -> List[str]:
    """The network made what it was; why something of it is not."""
    try:
        return restore(network, ours)
    except Failed as error:
        return [error.seen]


def copies() -> List[str]:
    """The originals that are kept on the node."""
    found = os.walk(backup_path(""))
    return [os.path.join(directory, name) for directory, _, names in found for name in names]
