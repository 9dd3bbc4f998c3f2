"""What was deployed last on each cluster from here.

Which release its proof and its kubectl belong to, and on which machines, so that one can be taken out of the cluster
when its file no longer names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from configs.errors import KubeV6Error
from configs.manifest import Manifest
from configs.schema.cluster import Cluster
from tasks import bounded, inventory
from tasks.disk import writing_data
from tasks.paths import cluster_dir
from tasks.replace import write_whole
from tasks.ssh.endpoint import Endpoint


def remember(cluster: Cluster, manifest: Manifest) -> None:
    """Write down the release that a cluster now runs. It only informs: no deploy reads it.

    Raises:
        KubeV6Error: The data directory cannot be written.
    """
    with writing_data():
        write_whole(_path(cluster), manifest.model_dump_json(indent=1) + "\n")


def deployed(cluster: Cluster) -> Manifest:
    """The release that a cluster runs.

    Raises:
        KubeV6Error: It has not been deployed from here, or what is written down cannot be understood.
    """
    path = _path(cluster)
    if not path.exists():
        raise KubeV6Error(
            f"cluster {cluster.name} has not been deployed from here ({path} is not there)",
            todo="kubev6 deploy does it",
        )
    return _read(path)


def deployed_on() -> dict[str, Manifest]:
    """The release that each cluster runs which was deployed from here, by the cluster's name.

    Raises:
        KubeV6Error: What is written down cannot be understood.
    """
    return {path.parent.name: _read(path) for path in sorted(cluster_dir("any").parent.glob("*/release.json"))}


def forget(cluster: Cluster) -> None:
    """Forget the release, and remove the kubeconfig: there is no control plane any more."""
    for path in (_path(cluster), cluster_dir(cluster.name) / "kubeconfig"):
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


def _read(path: Path) -> Manifest:
    try:
        return bounded.read(path, Manifest)
    except (OSError, ValueError) as error:
        raise KubeV6Error(
            f"{path} cannot be understood: {bounded.reason(error)}",
            todo=f"deploy {path.parent.name} again; or remove the file, if that cluster is no more",
        ) from None


def _path(cluster: Cluster) -> Path:
    return cluster_dir(cluster.name) / "release.json"


def _machines(cluster: Cluster) -> Path:
    return cluster_dir(cluster.name) / "machines.json"
