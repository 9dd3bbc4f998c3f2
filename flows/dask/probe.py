"""What is asked of every Dask worker before a run uses it; light, as a worker answers nobody else meanwhile."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import configs
import flows
import tasks
from tasks.paths import data_dir

PACKAGES = ("distributed", "dask", "cloudpickle", "prefect", "pydantic")
"""What both sides have to have alike: what they say to each other is made by these."""


def likeness(file: str) -> dict[str, str]:
    """What has to be the same here and there.

    Args:
        file: A file in the data directory that was made a moment ago.
    """
    found = {"Python": ".".join(platform.python_version_tuple()[:2]), "kubev6": _own_sources()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    found["the data directory"] = str(data_dir()) if (data_dir() / file).is_file() else f"{data_dir()}, another one"
    return found


def _own_sources() -> str:
    """A digest: versions say little of a project that is installed where it is worked on."""
    digest = hashlib.sha256()
    for package in (configs, flows, tasks):
        top = Path(package.__path__[0])
        for path in sorted(top.rglob("*.py")):
            digest.update(f"{path.relative_to(top)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]
