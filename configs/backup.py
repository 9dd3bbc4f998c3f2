"""What a backup of a cluster says of itself, and onto which cluster it may be restored. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from configs.errors import CombinedError, ConfigError, KubeV6Error, NodeError
from configs.manifest import SHA256, Manifest
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster
from configs.schema.release import Release

FORMAT = 1
"""The newest form of a backup that this kubev6 writes and reads."""
STEP = "restore"
OLDEST = "1.16.0"
_FIXED = ("name", "fabric", "pods", "services", "endpoint")
"""What all that is in a cluster goes by: its objects, certificates and kubeconfigs."""
_OF_NODES = ("roles", "address", "pod_subnet")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Frozen):
    """One file in a backup.

    Attributes:
        name: Its path there.
        size: In bytes.
        sha256: Its checksum, hexadecimal.
    """

    name: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=SHA256)


class Backup(_Frozen):
    """What a backup says of itself.

    Attributes:
        format: Its form, see :data:`FORMAT`.
        id: What tells it from every other one: the SHA-256 of etcd's snapshot.
        made: UTC time of making, ISO 8601.
        by: The version of kubev6 that made it.
        topology: The cluster, as its file said.
        release: How its release wants to be configured, as its file said.
        manifest: What its release holds.
        authority: Its certificate authority, as base64 of the DER form.
        fingerprint: The SHA-256 of that, hexadecimal, as ``openssl x509 -fingerprint`` has it.
        control_plane: The control plane that was asked.
        etcd: The version of its etcd.
        revision: The newest of etcd's that the snapshot has.
        objects: How many keys it has; each object of Kubernetes is one.
        nodes: The nodes that the cluster knew.
        parts: All other files in it.
    """

    format: int
    id: str = Field(pattern=SHA256)
    made: str
    by: str
    topology: Cluster
    release: Release
    manifest: Manifest
    authority: str
    fingerprint: str = Field(pattern=SHA256)
    control_plane: str
    etcd: str
    revision: int = Field(ge=0)
    objects: int = Field(ge=1)
    nodes: tuple[str, ...]
    parts: tuple[Part, ...]


def understood(told: Any, where: str) -> Backup:
    """What a backup says of itself, in its typed form.

    Args:
        told: The same as JSON has it.
        where: The file, for the error.

    Raises:
        ConfigError: It is of a newer form, or of none.
    """
    form = told.get("format") if isinstance(told, dict) else None
    if isinstance(form, int) and form > FORMAT:
        raise ConfigError(
            f"{where}: it is of format {form}, made by kubev6 {told.get('by', 'unknown')}, and this kubev6 reads "
            f"formats up to {FORMAT}",
            todo="restore it with a kubev6 that is as new; nothing was changed",
        )
    try:
        return Backup.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{where}: what it says of itself cannot be understood: {path}: {first['msg']}",
            todo="restore it with the kubev6 that made it; nothing was changed",
        ) from None


def differences(then: Cluster, now: Cluster) -> tuple[str, ...]:
    """Why a backup is not one of a cluster; nothing when it is.

    How machines are reached, where they stand and which others there are may have changed.

    Args:
        then: The topology as the backup has it.
        now: As the cluster file says.
    """
    found = [
        f"{name} was {_told(before)}, and the file says {_told(after)}"
        for name in _FIXED
        if (before := _dumped(then, name)) != (after := _dumped(now, name))
    ]
    if then.cni.by != now.cni.by:
        found.append(f"cni.by was {then.cni.by}, and the file says {now.cni.by}")
    if found:
        return tuple(found)
    known = {node.name: node for node in now.nodes}
    for node in then.kubernetes_nodes:
        other = known.get(node.name)
        if other is None:
            found.append(f"the node {node.name} of the backup is not in the file")
            continue
        found += [
            f"{name} of {node.name} was {_told(before)}, and the file says {_told(after)}"
            for name in _OF_NODES
            if (before := _dumped(node, name)) != (after := _dumped(other, name))
        ]
    return tuple(found)


def refuse_other_cluster(backup: Backup, cluster: Cluster, where: str) -> None:
    """Refuse a backup of another cluster.

    Args:
        backup: What the backup says.
        cluster: The topology.
        where: The file, for the error.

    Raises:
        ConfigError: It is one.
    """
    if not (found := differences(backup.topology, cluster)):
        return
    seen, *more = found
    also = f" (and {len(more)} more)" if more else ""
    if backup.topology.name != cluster.name:
        todo = "name that cluster's file with --cluster"
    else:
        todo = "restore it with the cluster file as it was then (it is in the backup), and change that by deploys"
    raise ConfigError(
        f"{where} is a backup of the cluster {backup.topology.name} of {backup.made}, and cannot be restored as "
        f"{cluster.name}: {seen}{also}",
        todo=f"{todo}; nothing was changed",
    )


def refuse_machines(
    backup: Backup, cluster: Cluster, found: Mapping[str, Machine | None], under_way: Mapping[str, str]
) -> None:
    """Refuse machines that a backup cannot be restored onto.

    A control plane must not be one any more, unless a restore of this backup has made it one again that did not come to
    its end. A worker may go on as it is when it is of the cluster that comes back.

    Args:
        backup: What the backup says.
        cluster: The topology.
        found: What the machines say of themselves; None of one that could not be asked.
        under_way: By control plane, the id of the backup whose restore did not come to its end there.

    Raises:
        KubeV6Error: There are some; each is named.
    """
    errors = tuple(_unfit(backup, cluster, found, under_way))
    if errors:
        raise errors[0] if len(errors) == 1 else CombinedError(errors)


def _unfit(
    backup: Backup, cluster: Cluster, found: Mapping[str, Machine | None], under_way: Mapping[str, str]
) -> Iterable[KubeV6Error]:
    goes_on = backup.id in under_way.values()
    for node in cluster.control_planes:
        machine = found.get(node.name)
        other = under_way.get(node.name, backup.id)
        if other != backup.id:
            seen = f"a restore of another backup ({other[:12]}, this is {backup.id[:12]}) did not come to its end there"
            yield NodeError(node.name, STEP, seen, todo=f"go on with that one, or `kubev6 reset {node.name}` first")
            continue
        if machine is None or not (machine.membership.is_node or machine.membership.is_control_plane):
            continue
        if not goes_on:
            yield NodeError(
                node.name,
                STEP,
                f"it is a control plane of {cluster.name} still, and what that knows would be lost",
                todo="`kubev6 deploy` mends what it lacks; to go back to the backup, `kubev6 reset` the cluster first; "
                "nothing was changed",
            )
        elif node.name not in under_way and (why := _other_authority(backup, machine)):
            yield NodeError(node.name, STEP, why, todo=f"`kubev6 reset {node.name}` first; nothing was changed")
    for node in cluster.worker_nodes:
        machine = found.get(node.name)
        if machine is None or not machine.membership.is_node:
            continue
        if why := _unfit_worker(backup, node.name, machine):
            yield NodeError(node.name, STEP, why, todo=f"`kubev6 reset {node.name}` first; nothing was changed")


def _unfit_worker(backup: Backup, name: str, machine: Machine) -> str:
    if why := _other_authority(backup, machine):
        return why
    if name not in backup.nodes:
        return f"it joined the cluster after the backup of {backup.made}, which does not know it"
    version = machine.membership.version
    if version and version != backup.manifest.version:
        return f"its kubelet is {version}, and the backup is of {backup.manifest.version}"
    return ""


def _other_authority(backup: Backup, machine: Machine) -> str:
    there = machine.membership.authorities
    if there and backup.authority not in there:
        return "it is a node of another cluster, or of another life of this one: its certificate authority is another"
    return ""


def _dumped(model: BaseModel, name: str) -> Any:
    return model.model_dump(mode="json")[name]


def _told(value: Any) -> str:
    if value is None:
        return "absent"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_told(each)}" for name, each in value.items() if each is not None)
    return ", ".join(map(_told, value)) if isinstance(value, list) else str(value)
