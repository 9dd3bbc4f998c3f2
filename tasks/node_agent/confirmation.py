"""Whether a node waits for the confirmation that its changes have not cut it off (:mod:`tasks.node_agent.rollback`)."""

import os
import shutil
from contextlib import suppress
from typing import List

from tasks.node_agent.files import sync_directory, text_of
from tasks.node_agent.lock import alone
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import HOME, kept_in, read_json
from tasks.node_agent.resources.service import reset_failed

DIRECTORY = os.path.join(HOME, "rollback")
STATE = "state.json"
WAITING = os.path.join(DIRECTORY, "waiting")
"""Is there when the program waits."""
UNITS = "kubev6-rollback*"
"""The units of systemd's that it runs as."""
NEXT_START = "/etc/systemd/system/kubev6-rollback.service"
WANTED = "/etc/systemd/system/multi-user.target.wants/kubev6-rollback.service"
"""The one that runs it again when the node is started before all is well, and what has that started."""


def confirm() -> Json:
    """Tell the switch, if it is armed, that the node is reached. Called over a connection that was made afterwards.

    Returns:
        ``busy`` when it is too early or too late to tell, ``put_back`` with ``left``, what could not be put back, when
        the changes are gone again; else nothing.
    """
    state = read_state()
    if "armed" not in state:
        return {"put_back": state["put_back"]} if state else {}
    try:
        if process(state["by"][0]) == state["by"]:
            return {"busy": True}
        with alone(0):
            state = read_state()
            if "armed" in state:
                disarm()
            return {"put_back": state["put_back"]} if "put_back" in state else {}
    except Failed:
        return {"busy": True}


def disarm() -> None:
    """Let nothing more be put back, neither now nor after the next start. Called by the one who holds the lock."""
    forget_next_start()
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    sync_directory(HOME)
    forget_killed()


def forget_next_start() -> None:
    """Have nothing put back after the next start, also when that is because the power fails now."""
    for path in (WANTED, NEXT_START):
        with suppress(FileNotFoundError):
            os.unlink(path)
            sync_directory(os.path.dirname(path))


def forget_killed() -> None:
    """Let systemd forget units of the switch that were killed, which it keeps as failed (systemctl(1))."""
    if os.path.isdir("/run/systemd/system"):
        reset_failed(UNITS)


def process(number: int) -> List[int]:
    """A process by its number and when it began, which no later one of that number has; nothing when it has ended."""
    words = text_of("/proc/{}/stat".format(number)).rpartition(")")[2].split()
    return [number, int(words[19])] if words and words[0] != "Z" else []


def read_state() -> Json:
    """What is known of the switch: nothing when it was never armed, or was told that all is well."""
    with kept_in(DIRECTORY):
        return read_json(STATE)
