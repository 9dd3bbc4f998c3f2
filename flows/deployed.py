"""What was deployed last on each cluster from here: which release its proof and its kubectl belong to."""

from __future__ import annotations

from pathlib import Path

from configs.errors import KubeV6Error
from configs.manifest import Manifest
from configs.schema import Cluster
from tasks.paths import cluster_dir


def remember(cluster: Cluster, manifest: Manifest) -> None:
    """Write down the release that a cluster now runs. It only informs: no deploy reads it."""
    path = _path(cluster)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(manifest.model_dump_json(indent=1) + "\n")
    temporary.replace(path)


def deployed(cluster: Cluster) -> Manifest:
    """The release that a cluster runs.

    Raises:
        KubeV6Error: It has not been deployed from here.
    """
    path = _path(cluster)
    if not path.exists():
        raise KubeV6Error(
            f"cluster {cluster.name} has not been deployed from here ({path} is not there)",
            todo="kubev6 deploy does it",
        )
    return Manifest.model_validate_json(path.read_text())


def _path(cluster: Cluster) -> Path:
    return cluster_dir(cluster.name) / "release.json"
