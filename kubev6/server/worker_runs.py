"""The runs that a worker has under way on this machine, as processes.

They are ended in order, and so are those that a worker which was killed has left behind.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from configs.errors import KubeV6Error
from kubev6.server.api import ask

SECONDS_TO_CANCEL = 15.0
SECONDS_TO_END = 5.0
_RUN, _SERVER = b"PREFECT__FLOW_RUN_ID=", b"PREFECT_API_URL="
"""A worker gives these to every process of a run; nothing else has them both."""


def end_all(api: str, worker: int) -> int:
    """End the runs that a server knows of: those of a worker that lives by cancelling them, others by a signal.

    Args:
        api: The server's API.
        worker: The worker's process.

    Returns:
        How many there were.
    """
    found = dict(processes(api))
    for pid, run in found.items():
        if _parent(pid) == worker:
            with suppress(KubeV6Error):  # the server does not answer
                ask(api, f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
        else:
            _send(pid, signal.SIGTERM)
    left = _wait(api, SECONDS_TO_CANCEL) if found else ()
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in left:
            _send(pid, number)
        left = _wait(api, SECONDS_TO_END) if left else ()
    return len(set(found.values()))


def processes(api: str) -> Iterator[tuple[int, str]]:
    """The processes of the runs that workers of a server have under way here, each with the id of its run.

    Args:
        api: The server's API.
    """
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = path.read_bytes().split(b"\0")
        except OSError:  # gone, or another user's
            continue
        runs = [each.removeprefix(_RUN).decode() for each in variables if each.startswith(_RUN)]
        if runs and _SERVER + api.encode() in variables:
            yield int(path.parent.name), runs[0]


def _wait(api: str, seconds: float) -> tuple[int, ...]:
    """Wait for them to end, and say which have not."""
    deadline = time.monotonic() + seconds
    while (left := tuple(pid for pid, _ in processes(api))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _parent(pid: int) -> int:
    """Field 4 of /proc/PID/stat (proc(5)); 0 for a process that is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
