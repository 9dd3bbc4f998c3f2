"""What runs of flows are called in Prefect: a cluster or release by its name, also where its file is a path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from prefect.runtime import flow_run

from configs.errors import KubeV6Error
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from configs.schema.release import Release
from configs.words import visible


def of_cluster(command: str, *parameters: str) -> Callable[[], str]:
    """``deploy-lab``.

    Args:
        command: What is run.
        parameters: The flow's parameters that may say on which cluster; the first that is given counts.
    """
    return _named(command, parameters, load_cluster)


def of_release(command: str, *parameters: str) -> Callable[[], str]:
    """``build-debian-1.20``.

    Args:
        command: What is run.
        parameters: The flow's parameters that may say of which release; the first that is given counts.
    """
    return _named(command, parameters, load_release)


def _named(command: str, parameters: Sequence[str], load: Callable[[str], Cluster | Release]) -> Callable[[], str]:
    def name() -> str:
        given = next((str(value) for name in parameters if (value := flow_run.parameters.get(name))), "")
        try:
            return f"{command}-{load(given).name}"
        except KubeV6Error:  # the run itself will tell
            return f"{command}-{visible(Path(given).stem)}"

    return name
