"""A backup of a cluster: what etcd knows, the certificate authorities, kubeadm's document and the topology.

It is put together in the memory of this process, and nowhere else: what reaches a disk is encrypted by then.
"""

from __future__ import annotations

import base64
import hashlib
import ssl
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from configs.backup import FORMAT, OLDEST, Backup
from configs.errors import ConfigError, NodeError
from configs.manifest import Manifest
from configs.plan.versions import reaches
from configs.schema.cluster import Cluster
from configs.schema.loading import load_release
from configs.words import counted
from tasks import bounded, deployed
from tasks.backup import archive, files, keys, snapshot
from tasks.backup.archive import CLUSTER_FILE, PKI, SNAPSHOT
from tasks.backup.files import Made
from tasks.kubernetes import control_planes
from tasks.ssh.connection import Connection
from tasks.ssh.program import program
from tasks.steps import step

STEP = "etcd snapshot"
SECONDS = 1800
KUBEADM = "kubeadm.yaml"
"""How kubeadm's document is called in a backup."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that was made.

    Attributes:
        path: Its file.
        size: Bytes of that.
        objects: How many keys of etcd it has.
        control_plane: The control plane that was asked.
        gone: Older ones that were removed.
    """

    path: str
    size: int
    objects: int
    control_plane: str
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Told:
    """What the program on the control plane says before the snapshot."""

    pki: dict[str, str]
    kubeadm: str
    etcd: str


def refuse(cluster: Cluster, recipients: tuple[str, ...], to: str) -> None:
    """Refuse what cannot become a backup, before anybody is asked.

    Args:
        cluster: The topology.
        recipients: The public keys or the files of some.
        to: Where it goes; empty for the directory of the cluster's backups.

    Raises:
        KubeV6Error: There is no key to encrypt to, the place is taken, or it is not known what the cluster runs.
    """
    _public(recipients)
    files.place(cluster.name, to)
    _deployed(cluster)


def take(cluster: Cluster, recipients: tuple[str, ...], to: str = "") -> Taken:
    """Make a backup.

    Args:
        cluster: The topology.
        recipients: The public keys to which it is encrypted, or files of some.
        to: A directory or a file; empty for the directory of the cluster's backups.

    Raises:
        KubeV6Error: It could not be made; no file of it is left.
    """
    public = _public(recipients)
    manifest = _deployed(cluster)
    with control_planes.connected(cluster) as ssh, step(ssh.node, STEP) as shown:
        told, database = _ask(ssh, shown.progress)
        held = _read(ssh, database)
        shown.ended_as(f"{counted(len(held.keys), 'key')}, revision {held.revision}")
        node = ssh.node
    content = {
        SNAPSHOT: database,
        KUBEADM: told.kubeadm.encode(),
        CLUSTER_FILE: cluster_file(cluster).encode(),
        **{f"{PKI}{name}": text.encode() for name, text in told.pki.items()},
    }
    known = deployed.last(cluster)
    authority = ssl.PEM_cert_to_DER_cert(told.pki["ca.crt"].strip())
    made = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    backup = Backup(
        format=FORMAT,
        id=hashlib.sha256(database).hexdigest(),
        made=made,
        by=version("kubev6"),
        topology=cluster,
        release=(known.release if known else None) or load_release(manifest.name),
        manifest=manifest,
        authority=base64.b64encode(authority).decode(),
        fingerprint=hashlib.sha256(authority).hexdigest(),
        control_plane=node,
        etcd=told.etcd,
        revision=held.revision,
        objects=len(held.keys),
        nodes=held.nodes,
        parts=archive.parts(content),
    )
    with step(cluster.name, "backup file") as shown:
        path, named = files.place(cluster.name, to)
        path = path.absolute()
        sealed = keys.sealed(archive.packed(backup, content), public)
        digest = files.write(path, sealed)
        files.remember(cluster.name, Made(path=str(path), sha256=digest, made=made, named=named))
        shown.ended_as(f"{path} ({len(sealed) >> 10} KiB)")
    return Taken(str(path), len(sealed), len(held.keys), node)


def prune(cluster: Cluster, taken: Taken, keep: int) -> tuple[str, ...]:
    """Remove the oldest backups that were made from here into the directory of a new one, which is whole.

    Args:
        cluster: The topology.
        taken: The new one.
        keep: How many stay.

    Returns:
        Those that were removed.
    """
    return tuple(map(str, files.prune(cluster.name, Path(taken.path).parent, keep)))


def cluster_file(cluster: Cluster) -> str:
    """The cluster file of a topology: with all of its nodes, as it was read."""
    told: dict[str, Any] = cluster.model_dump(mode="json", exclude_defaults=True) | {"workers": 0}
    if cluster.lab is not None:
        told["lab"] = cluster.lab.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True)


def _public(recipients: tuple[str, ...]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(key for each in recipients for key in keys.public(each)))
    if not found:
        raise ConfigError(
            "a backup is encrypted to a key, and none is named", todo="name a public key, such as ~/.ssh/id_ed25519.pub"
        )
    return found


def _deployed(cluster: Cluster) -> Manifest:
    manifest = deployed.deployed(cluster)
    if deployed.upgrading(cluster):
        raise ConfigError(
            f"cluster {cluster.name} is in the middle of an upgrade that did not come to its end",
            todo="bring that to its end first: deploy the same release again, or `kubev6 rollback`",
        )
    if not reaches(manifest.version, OLDEST):
        raise ConfigError(
            f"cluster {cluster.name} runs {manifest.version}, and kubeadm restores a control plane from {OLDEST} on",
            todo="keep a snapshot of etcd and /etc/kubernetes/pki by hand",
        )
    return manifest


def _ask(ssh: Connection, progress: Any) -> tuple[_Told, bytes]:
    said = ssh.read_python(program("take_backup"), step=STEP, timeout=SECONDS, progress=progress)
    line, _, packed = said.partition(b"\n")
    try:
        unpacker = zlib.decompressobj()
        database = unpacker.decompress(packed, archive.LARGEST)
        if not unpacker.eof:
            raise ValueError("its end is missing")
        return bounded.formed(line, _Told), database
    except (ValueError, zlib.error) as error:
        seen = f"what it sent of the snapshot is not whole: {error}"
        raise NodeError(ssh.node, STEP, seen, todo="make the backup again", transient=True) from None


def _read(ssh: Connection, database: bytes) -> snapshot.Snapshot:
    try:
        held = snapshot.read(database)
    except ValueError as error:
        raise NodeError(
            ssh.node, STEP, f"the snapshot is not whole: {error}", todo="make the backup again", transient=True
        ) from None
    if not held.keys:
        raise NodeError(ssh.node, STEP, "there is nothing in etcd", todo="see `kubev6 verify`")
    return held
