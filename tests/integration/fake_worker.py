"""What a Dask worker preloads in a test: the machines are fakes there too."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from tests.integration import fake_machines


def dask_setup(worker: Any) -> None:  # noqa: ARG001 - Dask's signature
    """Called by Dask when the worker begins."""
    behave(os.environ.get("KUBEV6_TEST_MACHINES", "new"))


def behave(behaviour: str) -> None:
    """How the machines behave from now on, for every run that uses this worker."""
    fake_machines.behaviour = behaviour
    fake_machines.tried.clear()
    fake_machines.install_fakes()


def at_work() -> int:
    """How many threads of this worker are at work on machines."""
    return sum(frame.f_code.co_name == "bring_to" for top in sys._current_frames().values() for frame in _stack(top))


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
