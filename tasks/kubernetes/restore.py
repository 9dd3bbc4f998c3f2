"""A cluster that comes back from a backup: the backup opened, and what of it goes onto which machine.

The first control plane gets the authorities, an etcd of its own with the keys of the backup in it, and only then an API
server; everybody else joins that, or is a member already. Each step is written down on the control plane, so that the
same restore goes on where it was cut off.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from configs.backup import STEP, Backup, refuse_other_cluster
from configs.errors import NodeError
from configs.manifest import Manifest
from configs.membership import identity
from configs.schema.cluster import Cluster
from tasks.backup import archive, files, keys, snapshot
from tasks.backup.archive import PKI, SNAPSHOT
from tasks.backup.keys import Identities
from tasks.backup.snapshot import Snapshot
from tasks.kubernetes import kubeadm
from tasks.ssh.connection import Connection
from tasks.ssh.program import program
from tasks.steps import step

SHORTEST_LEASE = 60
"""Seconds: what lives by a shorter one is no object, but the word of an API server that it is there (15 s)."""
BEGUN, FILLED, UP = "begun", "filled", "up"
"""How far a restore is on the first control plane: the authorities are there; etcd has all keys; its API answers."""
STATE_SECONDS, FILL_SECONDS, AGAIN_SECONDS = 60, 1800, 300


@dataclass(frozen=True, slots=True)
class Restoring:
    """A backup that is being restored.

    Attributes:
        path: Its file.
        key: The file of the private key that opens it.
        backup: What it says of itself.
    """

    path: str
    key: str
    backup: Backup


@dataclass(frozen=True, slots=True)
class State:
    """How far a restore is on a control plane; see :mod:`tasks.node_agent.restore_state`."""

    backup: str
    state: str
    data: bool


def opened(cluster: Cluster, path: str, key: str) -> Restoring:
    """Open a backup as a whole, and refuse it when it is not this cluster's.

    Args:
        cluster: The topology.
        path: Its file.
        key: The file of the private key.

    Raises:
        ConfigError: It cannot be opened, is damaged, newer than this kubev6, or of another cluster.
    """
    backup, _ = _content(path, keys.private(key))
    refuse_other_cluster(backup, cluster, path)
    return Restoring(str(Path(path).absolute()), key, backup)


def state(ssh: Connection) -> State:
    """How far a restore is on a control plane; nothing where there is none.

    Args:
        ssh: To the control plane.
    """
    found: State = ssh.run_python(program("restore_state"), {}, step=STEP, timeout=STATE_SECONDS, kind=State)
    return found


def refuse_data(cluster: Cluster, states: Mapping[str, State]) -> None:
    """Refuse a control plane that has data of etcd of which nothing else there tells; it may be the last that there is.

    Args:
        cluster: The topology.
        states: What the control planes say, by name.

    Raises:
        NodeError: There is one.
    """
    for node in cluster.control_planes:
        there = states.get(node.name)
        if there and there.data and not any(each.backup for each in states.values()):
            raise NodeError(
                node.name,
                STEP,
                "there is data of an etcd in /var/lib/etcd",
                todo=f"if the backup is what you want, `kubev6 reset {node.name}` or move it away; nothing was changed",
            )


def refuse_unfinished(ssh: Connection) -> None:
    """Refuse to begin a cluster where a restore did not come to its end.

    Args:
        ssh: To the control plane.

    Raises:
        NodeError: One did not.
    """
    there = state(ssh)
    if there.state in (BEGUN, FILLED):
        raise NodeError(
            ssh.node,
            "kubeadm init",
            f"a restore of the backup {there.backup[:12]} did not come to its end here",
            todo="run `kubev6 restore` again, which goes on; or `kubev6 reset` the cluster to begin a new one",
        )


def begin(ssh: Connection, cluster: Cluster, manifest: Manifest, restoring: Restoring) -> bool:
    """Make the first control plane of a cluster that comes back, with all that its API knew.

    Args:
        ssh: To that control plane, whose kubernetes stage has been applied.
        cluster: The topology.
        manifest: The release.
        restoring: The backup.

    Returns:
        Whether anything was done.

    Raises:
        KubeV6Error: It could not be done.
    """
    identifier = restoring.backup.id
    there = state(ssh)
    if there.backup == identifier and there.state == UP:
        return False
    if not (there.backup == identifier and there.state == FILLED):
        _fill(ssh, cluster, manifest, restoring)
    kubeadm.init(ssh, cluster, manifest)
    _write(ssh, identifier, UP)
    return True


def end(ssh: Connection) -> None:
    """Write down that a restore has come to its end.

    Args:
        ssh: To the control plane on which it began.
    """
    _write(ssh, "", "")


def start_again(ssh: Connection) -> None:
    """Start the kubelet and the pods of a worker again that has been a member all the time.

    Args:
        ssh: To the worker.
    """
    ssh.run_python(program("start_again"), {}, step="start again", timeout=AGAIN_SECONDS, kind=dict)


def keys_of(held: Snapshot) -> tuple[list[list[Any]], dict[str, int]]:
    """The keys that are put into etcd, in the form of the program that does, and the leases that they live by. Pure.

    Args:
        held: What the snapshot holds.
    """
    lasting = {number: seconds for number, seconds in held.leases.items() if seconds >= SHORTEST_LEASE}
    told = [
        [base64.b64encode(key.name).decode(), base64.b64encode(key.value).decode(), key.lease]
        for key in held.keys
        if not key.lease or key.lease in lasting
    ]
    used = {key.lease for key in held.keys}
    return told, {str(number): seconds for number, seconds in lasting.items() if number in used}


def _fill(ssh: Connection, cluster: Cluster, manifest: Manifest, restoring: Restoring) -> None:
    backup, content = _content(restoring.path, keys.private(restoring.key))
    if backup.id != restoring.backup.id:
        seen = f"{restoring.path} is another backup than a moment ago"
        raise NodeError(ssh.node, STEP, seen, todo="leave it alone, and run the restore again")
    with step(ssh.node, "authorities"):
        order = {
            "cluster": asdict(identity(cluster)),
            "backup": backup.id,
            "files": {name.removeprefix(PKI): text.decode() for name, text in content.items() if name.startswith(PKI)},
        }
        ssh.run_python(program("put_authorities"), order, step=STEP, timeout=STATE_SECONDS, kind=State)
    with step(ssh.node, "etcd") as shown:
        kubeadm.init_etcd(ssh, cluster, manifest)
        told, leases = keys_of(snapshot.read(content[SNAPSHOT]))
        packed = base64.b64encode(zlib.compress(json.dumps(told).encode(), 1)).decode()
        order = {"backup": backup.id, "content": packed, "leases": leases}
        ssh.run_python(
            program("fill_etcd"), order, step=STEP, timeout=FILL_SECONDS, kind=State, progress=shown.progress
        )
        shown.ended_as(f"{len(told)} keys")


def _write(ssh: Connection, backup: str, now: str) -> None:
    order = {"backup": backup, "state_now": now, "ended": not now}
    ssh.run_python(program("restore_state"), order, step=STEP, timeout=STATE_SECONDS, kind=State)


def _content(path: str, private: Identities) -> tuple[Backup, dict[str, bytes]]:
    """A backup, opened and looked through.

    Raises:
        ConfigError: It is not whole, or not to be opened by these keys.
    """
    return archive.unpacked(keys.opened(files.content(Path(path)), private, path), path)
