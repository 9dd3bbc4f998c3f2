"""Where kubev6 keeps things on the controller, by the XDG base directory rules."""

from __future__ import annotations

import os
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
"""The checkout: ``build/`` and the shipped ``configs/`` are read from here."""


def data_dir() -> Path:
    """Releases, labs, run logs, kubeconfigs: ``$KUBEV6_DATA``, else ``$XDG_DATA_HOME/kubev6``."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(os.environ.get("KUBEV6_DATA") or Path(home) / "kubev6")


def cache_dir() -> Path:
    """What can be made again: ``$KUBEV6_CACHE``, else ``$XDG_CACHE_HOME/kubev6``."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("KUBEV6_CACHE") or Path(home) / "kubev6")


def cluster_dir(name: str) -> Path:
    """What is kept of one cluster, such as its kubeconfig.

    Args:
        name: The cluster's name.
    """
    return data_dir() / "clusters" / name


def cluster_lock(name: str) -> Path:
    """The file that who works on a cluster holds, for as long as that takes. It outlives the cluster: one that was
    removed would let two in, who each hold a file of this name.

    Args:
        name: The cluster's name.
    """
    return cluster_dir(name) / "lock"
