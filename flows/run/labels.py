"""The labels of a flow run by which its process is known, so that its end can be told when that is gone."""

from __future__ import annotations

import socket
from pathlib import Path

from tasks.process import this_process

HOST, PROCESSES, PID, STARTED = "kubev6.host", "kubev6.processes", "kubev6.pid", "kubev6.started"


def labels() -> dict[str, str | int]:
    """What a run of this process says of it."""
    here = this_process()
    return {**machine(), PID: here.pid, STARTED: here.started}


def machine() -> dict[str, str | int]:
    """Where a process id means what it means here: a container has others, be its host name the machine's or not."""
    return {HOST: socket.gethostname(), PROCESSES: str(Path("/proc/self/ns/pid").readlink())}
