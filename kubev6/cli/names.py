"""What an argument may be, for completion in a shell. Each function is called as argcomplete calls completers."""

from __future__ import annotations

import argparse
from collections.abc import Iterable


def clusters(prefix: str, **_: object) -> Iterable[str]:
    """Names of shipped clusters, and cluster files."""
    from configs.schema.loading import shipped

    return [*shipped("clusters"), *_yaml_files(prefix)]


def nodes(prefix: str, parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:  # noqa: ARG001
    """Names of the nodes of the cluster that was given before."""
    from configs.errors import KubeV6Error
    from configs.schema.loading import load_cluster

    try:
        return [node.name for node in load_cluster(parsed_args.cluster).nodes]
    except KubeV6Error:
        return []


def releases(prefix: str, **_: object) -> Iterable[str]:
    """Names of shipped releases, and release files."""
    from configs.schema.loading import shipped

    return [*shipped("releases"), *_yaml_files(prefix)]


def profiles(prefix: str, **_: object) -> Iterable[str]:
    """Names of shipped profiles of upstream's tests, and files of others."""
    from configs.schema.loading import shipped

    return [*shipped("e2e"), *_yaml_files(prefix)]


def series(prefix: str, **_: object) -> Iterable[str]:
    """Names of shipped series of patches, and series files."""
    from tasks.release.series.series_file import SERIES

    return [*sorted(path.stem for path in SERIES.glob("*.yaml")), *_yaml_files(prefix)]


def runs(prefix: str, **_: object) -> Iterable[str]:  # noqa: ARG001
    """Names of recorded runs."""
    from flows.run.record import runs_dir

    return sorted((path.stem for path in runs_dir().glob("*.json")), reverse=True)


def _yaml_files(prefix: str) -> Iterable[str]:
    from argcomplete.completers import FilesCompleter

    found = FilesCompleter(("yaml", "yml"))(prefix)
    return [path for path in found if prefix or not path.startswith(".")]
