"""A program: waits on a node for the confirmation that its changes have not cut it off, else puts them back."""

import os
import time
from contextlib import ExitStack

from tasks.node_agent.commands import prepare
from tasks.node_agent.confirmation import WAITING, process, read_state
from tasks.node_agent.lock import alone
from tasks.node_agent.protocol import Failed
from tasks.node_agent.rollback import put_back

LOOK_SECONDS = 0.5


def wait(armed: str) -> None:
    """Wait until the changes are made, and then for the confirmation; put them back when none comes in time.

    Args:
        armed: Which arming of the switch this is about; another one has a program of its own.
    """
    open(WAITING, "w").close()
    deadline = None
    while True:
        state = read_state()
        if state.get("armed") != armed:
            return
        if deadline is None and process(state["by"][0]) != state["by"]:
            deadline = time.monotonic() + state["seconds"]
        if deadline is not None and time.monotonic() > deadline:
            break
        time.sleep(LOOK_SECONDS)
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(alone())
                break
            except Failed:  # a run that works for long, maybe for a controller that no longer reaches this machine
                continue
        if read_state().get("armed") == armed:
            print("nobody has confirmed over a new connection that this machine is reached: its changes are put back")
            put_back()


def main(armed: str) -> None:
    """Wait, by no connection of anybody's."""
    prepare()
    os.environ.pop("SSH_CONNECTION", None)
    wait(armed)


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
