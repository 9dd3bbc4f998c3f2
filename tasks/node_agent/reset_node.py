"""A program: takes a node out of Kubernetes and makes it what it was before us, by the record that is kept on it.

Every step is tried, also on a node that is half dead. What could not be done is told, and stays in the record, so that
it can be tried again.
"""

import json
import os
import shutil
from typing import List

from tasks.node_agent.commands import prepare
from tasks.node_agent.confirmation import disarm, forget_killed
from tasks.node_agent.files import partial_path
from tasks.node_agent.leave_kubernetes import leave, remove_empty_directories, remove_whole, server
from tasks.node_agent.lock import alone
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import HOME, LostRecord, read_record, refuse_other_cluster
from tasks.node_agent.reread import reread
from tasks.node_agent.undo import attempting, undo

RECORD = os.path.join(HOME, "record.json")
BACKUP = os.path.join(HOME, "backup")
UNKNOWN = (
    "what was there before is not known, so files, routes and services stay as they are; put back by hand the copies "
    "in {}, if there are any, and remove {}".format(BACKUP, HOME)
)
OWN = (
    "/run/kubev6-registry-blobs.json",
    "/var/lib/kubev6-nat64",
    *(
        "/run/kubev6-version-" + program + end
        for program in ("kubelet", "containerd", "docker")
        for end in ("", ".new")
    ),
)
"""What is ours beside the record's directory."""


def reset(cluster: Json) -> Json:
    """Undo everything.

    Args:
        cluster: The ``name`` and the API ``server`` of the cluster that this node may be taken out of.

    Returns:
        What was ``done``, what ``stays`` because the connection needs it, and what is ``left`` because it could not be
        done, one line each; nothing of all on a node that is not ours.

    Raises:
        Failed: The node belongs to another cluster.
    """
    done: List[str] = []
    stays: List[str] = []
    left: List[str] = []
    unknown: List[str] = []

    attempt = attempting(done, stays, left)
    recorded = os.path.exists(RECORD)
    member_of = server()
    if member_of not in ("", cluster["server"]):
        raise Failed(
            "belongs to the cluster at {}, not {}".format(member_of, cluster["server"]),
            "take it out of there, by `kubev6 reset` with that cluster's file or by `kubeadm reset` on the node",
        )
    if not recorded and not member_of and not os.path.isdir(HOME):
        return {"done": done, "stays": stays, "left": left}
    with alone():
        disarm()  # nobody has to put back what is undone now
        try:
            record = read_record("reset")
        except Failed as error:
            unknown.append("{}: {}".format(error.seen, UNKNOWN))
            record = LostRecord()
        refuse_other_cluster(record.all, cluster)
        if not recorded and (member_of or os.path.isdir(BACKUP)):
            unknown.append("{} is gone: {}".format(RECORD, UNKNOWN))
        if member_of == cluster["server"]:
            # Begun here; goes on from here, too, when the configuration that says so has been removed.
            record.all["stages"].setdefault("kubernetes", {})
            record.save()
        if "kubernetes" in record.all["stages"]:
            leave(record, attempt)
        files = [path for _, path, _ in record.notes("files")]
        undo(record, attempt)
        reread(files, attempt)
        attempt(remove_own)
        if not left and not (unknown and (recorded or os.path.isdir(BACKUP))):
            shutil.rmtree(HOME)
    return {"done": done, "stays": stays, "left": unknown + left}


def remove_own() -> List[str]:
    """Remove :data:`OWN`, what systemd keeps of killed units, and directories that have become empty by all of it."""
    forget_killed()
    for path in OWN:
        remove_whole(path)
        remove_whole(partial_path(path))
    remove_empty_directories()
    return []


def main(cluster: Json) -> None:
    """Print what :func:`reset` returns as JSON, or what was ``seen`` that forbids it."""
    prepare()
    try:
        result = reset(cluster)
    except Failed as error:
        result = {"seen": error.seen, "todo": error.todo, "transient": error.transient}
    print(json.dumps(result))


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
