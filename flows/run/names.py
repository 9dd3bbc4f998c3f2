"""What runs of flows are called in Prefect: a cluster or release by its name, also where its file is a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prefect.runtime import flow_run

from configs.errors import KubeV6Error
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from configs.schema.release import Release


def of_cluster(command: str, parameter: str) -> Callable[[], str]:
    """``deploy-lab``.

    Args:
        command: What is run.
        parameter: The flow's parameter that says on which cluster.
    """
    return _named(command, parameter, load_cluster)


def of_release(command: str, parameter: str) -> Callable[[], str]:
    """``build-debian-1.20``.

    Args:
        command: What is run.
        parameter: The flow's parameter that says of which release.
    """
    return _named(command, parameter, load_release)


def _named(command: str, parameter: str, load: Callable[[str], Cluster | Release]) -> Callable[[], str]:
    def name() -> str:
        given = str(flow_run.parameters[parameter])
        try:
            return f"{command}-{load(given).name}"
        except KubeV6Error:  # the run itself will tell
            return f"{command}-{Path(given).stem}"

    return name
