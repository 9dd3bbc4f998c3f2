"""Reading cluster files, release files, and profiles of tests.

That either gives a value that can be right, or one :class:`ConfigError` that names the file, the path of the field, the
value seen there and what would be right.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address
from pathlib import Path
from typing import Literal

from configs.errors import ConfigError
from configs.schema.cluster import Cluster, Node, pod_subnet
from configs.schema.e2e import Profile
from configs.schema.reading import checked, read_yaml, told
from configs.schema.release import Release
from configs.schema.topology import problems
from configs.words import shortened

CONFIGS = Path(__file__).resolve().parent.parent
Kind = Literal["clusters", "releases", "e2e"]
_WORDS = {"clusters": "cluster", "releases": "release", "e2e": "profile of tests"}


def load_cluster(where: str | Path) -> Cluster:
    """Read and check a cluster file.

    Args:
        where: A path, or the bare name of a file shipped in ``configs/clusters``.

    Raises:
        ConfigError: The file cannot be read or cannot be right.
    """
    path = _find(where, "clusters")
    cluster = checked(path, Cluster, read_yaml(path))
    nodes = (*_with_pod_subnets(cluster, _all_nodes(cluster)),)
    manifests = tuple(str(path.parent / each) for each in cluster.cni.manifests)
    cluster = cluster.model_copy(
        update={
            "nodes": nodes,
            "release": _beside(path, cluster.release),
            "cni": cluster.cni.model_copy(update={"manifests": manifests}),
        }
    )
    if found := problems(cluster):
        raise ConfigError(f"{path}: {told(found)}")
    return cluster


def load_release(where: str | Path) -> Release:
    """Read and check a release file.

    Args:
        where: A path, or the bare name of a file shipped in ``configs/releases``.

    Raises:
        ConfigError: The file cannot be read or cannot be right.
    """
    path = _find(where, "releases")
    release = checked(path, Release, read_yaml(path))
    if release.build is None and release.fetch is None:
        raise ConfigError(f"{path}: has neither build nor fetch", todo="say what to build it from or where to fetch it")
    if release.build is None:
        return release
    build = release.build.model_copy(update={"series": _beside(path, release.build.series)})
    return release.model_copy(update={"build": build})


def load_profile(where: str | Path) -> Profile:
    """Read and check a profile of upstream's tests.

    Args:
        where: A path, or the bare name of a file shipped in ``configs/e2e``.

    Raises:
        ConfigError: The file cannot be read or cannot be right.
    """
    path = _find(where, "e2e")
    return checked(path, Profile, read_yaml(path))


def shipped(kind: Kind) -> tuple[str, ...]:
    """Names of the files shipped in a directory of ``configs``."""
    return tuple(sorted(path.stem for path in (CONFIGS / kind).glob("*.yaml")))


def is_path(where: str | Path) -> bool:
    """Whether this is the path of a file, and not the bare name of a shipped one."""
    path = Path(where)
    return path.suffix in (".yaml", ".yml") or len(path.parts) > 1


def _beside(path: Path, named: str) -> str:
    """What the file at ``path`` names, where that is a path: a relative one begins at the directory of the file."""
    return str(path.parent / named) if is_path(named) else named


def _find(where: str | Path, kind: Kind) -> Path:
    path = Path(where)
    if is_path(path):
        return path
    if str(where) not in (known := shipped(kind)):
        seen = f"there is no {_WORDS[kind]} called {shortened(str(where), 100)}"
        raise ConfigError(seen, todo=f"name a file, or one of: {', '.join(known)}")
    return CONFIGS / kind / f"{where}.yaml"


def _all_nodes(cluster: Cluster) -> tuple[Node, ...]:
    """The nodes listed, then ``kube-worker-1`` and so on, ``workers`` of them, at ``::101`` and following."""
    base = int(cluster.fabric.subnet.network_address) + 0x100
    generated = (
        Node.model_validate(
            {"name": f"kube-worker-{number}", "roles": ["worker"], "address": str(IPv6Address(base + number))}
        )
        for number in range(1, cluster.workers + 1)
    )
    return (*cluster.nodes, *generated)


def _with_pod_subnets(cluster: Cluster, nodes: Iterable[Node]) -> Iterable[Node]:
    for node in nodes:
        if node.in_kubernetes and node.pod_subnet is None and 16 <= cluster.pods.prefix.prefixlen <= 48:
            yield node.model_copy(update={"pod_subnet": pod_subnet(cluster.pods.prefix, node.address)})
        else:
            yield node
