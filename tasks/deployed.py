"""What was deployed last on each cluster from here, and what it ran before.

Which release its proof and its kubectl belong to, what a failed upgrade goes back to, and on which machines, so that
one can be taken out of the cluster when its file no longer names it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from configs.errors import KubeV6Error
from configs.manifest import Manifest
from configs.schema.cluster import Cluster
from configs.schema.release import Release
from tasks import bounded, inventory
from tasks.disk import writing_data
from tasks.paths import cluster_dir
from tasks.replace import write_whole
from tasks.ssh.endpoint import Endpoint


class Deployed(BaseModel):
    """A release on a cluster.

    Attributes:
        manifest: What it holds.
        release: How it wants to be configured, as its file said then; None of what an older kubev6 has written down.
        proved: Whether the cluster has held its proof with it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: Manifest
    release: Release | None = None
    proved: bool = False


class OnTheWay(BaseModel):
    """What a cluster is being brought to, the last of them, and before that by runs that did not come to their end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    builds: tuple[Deployed, ...] = ()


LAST, BEFORE, UPGRADING = "release.json", "previous-release.json", "upgrade.json"
FAILED = "failed-{}.json"
"""Which build of a release has failed there (:mod:`tasks.release.failed_builds`)."""
log = logging.getLogger("kubev6.deployed")


def remember(cluster: Cluster, manifest: Manifest, release: Release, *, proved: bool = False) -> None:
    """Write down the release that a cluster runs, and keep what it ran before.

    When it went back to that, there is nothing more to go back to.

    Args:
        cluster: The topology.
        manifest: What the release holds.
        release: How it wants to be configured.
        proved: Whether the cluster has held its proof with it. Once is enough.

    Raises:
        KubeV6Error: The data directory cannot be written.
    """
    former, before = last(cluster), previous(cluster)
    if former and former.manifest == manifest:
        proved = proved or former.proved
    elif before and before.manifest == manifest:
        _path(cluster, BEFORE).unlink()
    elif former:
        _write(cluster, BEFORE, former)
    if former != (now := Deployed(manifest=manifest, release=release, proved=proved)):
        _write(cluster, LAST, now)


def begin_upgrade(cluster: Cluster, manifest: Manifest, release: Release) -> None:
    """Write down what a cluster is about to be brought to; what it ran until then stays the last release.

    Raises:
        KubeV6Error: The data directory cannot be written.
    """
    others = (each for each in upgrading(cluster) if each.manifest != manifest)
    _write(cluster, UPGRADING, OnTheWay(builds=(*others, Deployed(manifest=manifest, release=release))))


def end_upgrade(cluster: Cluster, manifest: Manifest, release: Release) -> None:
    """Write down what a cluster runs after an upgrade that was proved.

    Raises:
        KubeV6Error: The data directory cannot be written.
    """
    remember(cluster, manifest, release, proved=True)
    _path(cluster, UPGRADING).unlink(missing_ok=True)


def last(cluster: Cluster) -> Deployed | None:
    """The release that was deployed last on a cluster from here; None when that is not known."""
    return _known(cluster, LAST)


def previous(cluster: Cluster) -> Deployed | None:
    """The release that a cluster ran before; None when there was none, or it went back to it."""
    return _known(cluster, BEFORE)


def upgrading(cluster: Cluster) -> tuple[Deployed, ...]:
    """What a cluster was being brought to by runs that did not come to their end, the last of them last."""
    path = _path(cluster, UPGRADING)
    try:
        return _on_the_way(path) if path.exists() else ()
    except KubeV6Error as error:
        log.warning("%s; it is passed over", error.message)
        return ()


def deployed(cluster: Cluster) -> Manifest:
    """The release that a cluster runs.

    Raises:
        KubeV6Error: It has not been deployed from here, or what is written down cannot be understood.
    """
    path = _path(cluster, LAST)
    if path.exists():
        return _read(path).manifest
    raise KubeV6Error(
        f"cluster {cluster.name} has not been deployed from here ({path} is not there)", todo="kubev6 deploy does it"
    )


def deployed_on() -> dict[str, Manifest]:
    """What is needed for each cluster that was deployed to from here: by its name what it runs, and what it may go to.

    Raises:
        KubeV6Error: What is written down cannot be understood.
    """
    words = {LAST: "{}", BEFORE: "{} before"}
    places = sorted(cluster_dir("any").parent.glob("*/*.json"))
    found = {words[path.name].format(path.parent.name): _read(path).manifest for path in places if path.name in words}
    for path in (path for path in places if path.name == UPGRADING):
        on_the_way = enumerate(_on_the_way(path), 1)
        found |= {f"{path.parent.name} in upgrade {number}": each.manifest for number, each in on_the_way}
    return found


def forget(cluster: Cluster) -> None:
    """Forget the release, and remove the kubeconfig: there is no control plane any more."""
    for name in (LAST, BEFORE, UPGRADING, "kubeconfig"):
        _path(cluster, name).unlink(missing_ok=True)
    for path in cluster_dir(cluster.name).glob(FAILED.format("*")):
        path.unlink(missing_ok=True)


def remember_machines(cluster: Cluster) -> None:
    """Write down how the machines of a cluster are reached, beside those that were deployed to before.

    Raises:
        KubeV6Error: The data directory cannot be written.
    """
    before = remembered_machines(cluster)
    known = {**before, **inventory.endpoints(cluster)}
    if known != before:
        _write_machines(cluster, known)


def remembered_machines(cluster: Cluster) -> dict[str, Endpoint]:
    """How the machines are reached that were deployed to and not reset since, by name.

    Raises:
        KubeV6Error: What is written down cannot be understood.
    """
    path = _machines(cluster)
    try:
        return bounded.read(path, dict[str, Endpoint])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise KubeV6Error(
            f"{path} cannot be understood: {bounded.reason(error)}",
            todo="remove it; machines that the cluster's file no longer names have then to be reset by hand",
        ) from None


def forget_machine(cluster: Cluster, name: str) -> None:
    """Forget a machine that has been reset."""
    known = remembered_machines(cluster)
    if known.pop(name, None):
        _write_machines(cluster, known)


def machines(cluster: Cluster) -> dict[str, Endpoint]:
    """How to reach every machine of a cluster: those of its file, and those that were deployed to before.

    Raises:
        KubeV6Error: The lab of this cluster is not up.
    """
    return {**remembered_machines(cluster), **inventory.known_endpoints(cluster)}


def _write_machines(cluster: Cluster, known: Mapping[str, Endpoint]) -> None:
    with writing_data():
        told = {name: asdict(known[name]) for name in sorted(known)}
        write_whole(_machines(cluster), json.dumps(told, indent=1) + "\n")


def _write(cluster: Cluster, name: str, what: BaseModel) -> None:
    with writing_data():
        write_whole(_path(cluster, name), what.model_dump_json(indent=1) + "\n")


def _known(cluster: Cluster, name: str) -> Deployed | None:
    """What is written down, for a run that can do without it: what cannot be understood is passed over."""
    try:
        return _read(_path(cluster, name)) if _path(cluster, name).exists() else None
    except KubeV6Error as error:
        log.warning("%s; it is passed over", error.message)
        return None


def _read(path: Path) -> Deployed:
    try:
        value = bounded.parsed(bounded.content(path))
        if isinstance(value, dict) and "manifest" not in value:  # as an older kubev6 has written it
            value = {"manifest": value}
        return bounded.shaped(value, Deployed)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from None


def _on_the_way(path: Path) -> tuple[Deployed, ...]:
    try:
        return bounded.read(path, OnTheWay).builds
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: OSError | ValueError) -> KubeV6Error:
    return KubeV6Error(
        f"{path} cannot be understood: {bounded.reason(error)}",
        todo=f"deploy {path.parent.name} again; or remove the file, if that cluster is no more",
    )


def _path(cluster: Cluster, name: str) -> Path:
    return cluster_dir(cluster.name) / name


def _machines(cluster: Cluster) -> Path:
    return cluster_dir(cluster.name) / "machines.json"
