"""Processes of ours on this machine, told from others that have their ids later."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A process.

    Attributes:
        pid: Its id.
        started: When it started, in the kernel's clock ticks since boot: with it, a reused id is told apart.
    """

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether it is still there and still the same."""
        return start_time(self.pid) == self.started


def this_process() -> Process:
    """The one that asks."""
    return Process(os.getpid(), start_time(os.getpid()))


def start_time(pid: int) -> int:
    """Field 22 of /proc/PID/stat (proc(5)); 0 for a process that is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])
