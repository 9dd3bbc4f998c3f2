"""Runs on a control plane: says, or writes down, how far a restore is that did not come to its end there."""

import json
import os

from tasks.node_agent.commands import prepare
from tasks.node_agent.files import make_directories, sync_directory, write_atomically
from tasks.node_agent.protocol import Json
from tasks.node_agent.record import HOME, read_json

FILE = os.path.join(HOME, "restore.json")
ETCD_DATA = "/var/lib/etcd/member"


def state() -> Json:
    """The ``backup`` by its id, the ``state``, both empty where there is none, and whether etcd has ``data``."""
    known = read_json(FILE)
    return {
        "backup": known.get("backup", ""),
        "state": known.get("state", ""),
        "data": bool(os.path.isdir(ETCD_DATA) and os.listdir(ETCD_DATA)),
    }


def write(backup: str, state: str) -> None:
    """Write down how far the restore of a backup is; with no state that it has come to its end."""
    if state:
        make_directories(HOME, 0o700)
        write_atomically(FILE, json.dumps({"backup": backup, "state": state}).encode(), 0o600)
    elif os.path.exists(FILE):
        os.unlink(FILE)
        sync_directory(HOME)


def main(backup: str = "", state_now: str = "", ended: bool = False) -> None:
    """Print the state, after having written it down when one is given."""
    prepare()
    if state_now or ended:
        write(backup, state_now)
    print(json.dumps(state()))


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
