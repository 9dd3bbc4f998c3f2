"""Where kubev6 finds what it is shipped with, and where it keeps things on the controller (XDG base directories)."""

from __future__ import annotations

import os
from pathlib import Path

_IN_THE_WHEEL = Path(__file__).resolve().parent / "recipes"
CHECKOUT = None if _IN_THE_WHEEL.is_dir() else Path(__file__).resolve().parents[1]
"""The checkout that kubev6 is run from; None where it was installed from a wheel."""
RECIPES = CHECKOUT / "build" if CHECKOUT else _IN_THE_WHEEL
"""How a release is made: ``build/`` of the checkout, or where pyproject.toml puts it in the wheel."""


def expanded(path: str) -> str:
    """A path whose ``~`` is a home directory; as it is where there is no such user."""
    return os.path.expanduser(path)  # noqa: PTH111 - Path's raises then


def data_dir() -> Path:
    """Releases, labs, run logs, kubeconfigs: ``$KUBEV6_DATA``, else ``$XDG_DATA_HOME/kubev6``."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(os.environ.get("KUBEV6_DATA") or Path(home) / "kubev6").absolute()


def working_dir() -> Path:
    """Where the runs of deployments work, which have no directory of a person's: the checkout, else the data."""
    return CHECKOUT or data_dir()


def cache_dir() -> Path:
    """What can be made again: ``$KUBEV6_CACHE``, else ``$XDG_CACHE_HOME/kubev6``."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("KUBEV6_CACHE") or Path(home) / "kubev6").absolute()


def cluster_dir(name: str) -> Path:
    """What is kept of one cluster, such as its kubeconfig.

    Args:
        name: The cluster's name.
    """
    return data_dir() / "clusters" / name


def cluster_lock(name: str) -> Path:
    """The file that who works on a cluster holds, for as long as that takes.

    It outlives the cluster: one that was removed would let two in, who each hold a file of this name.

    Args:
        name: The cluster's name.
    """
    return cluster_dir(name) / "lock"
