"""Runs on a machine that is to be a control plane again: puts its cluster's authorities where kubeadm keeps them."""

import json
import os
import shutil
from typing import Dict

from tasks.node_agent.certificates import PKI
from tasks.node_agent.commands import prepare
from tasks.node_agent.files import make_directories, write_atomically
from tasks.node_agent.lock import alone
from tasks.node_agent.protocol import Json
from tasks.node_agent.record import FILE, read_json, refuse_other_cluster
from tasks.node_agent.restore_state import state, write


def put(backup: str, files: Dict[str, str]) -> None:
    """Put them there; what kubeadm has signed by others goes.

    Args:
        backup: The id of the backup that they come from.
        files: Their contents, by their paths below kubeadm's directory.
    """
    if state()["backup"] != backup:
        shutil.rmtree(PKI, ignore_errors=True)
        write(backup, "begun")
    for name, content in sorted(files.items()):
        path = os.path.join(PKI, name)
        make_directories(os.path.dirname(path))
        write_atomically(path, content.encode(), 0o600 if name.endswith(".key") else 0o644)


def main(cluster: Json, backup: str, files: Dict[str, str]) -> None:
    """Print the state of the restore."""
    prepare()
    with alone():
        refuse_other_cluster(read_json(FILE), cluster)
        put(backup, files)
    print(json.dumps(state()))


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
