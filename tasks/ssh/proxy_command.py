"""A command of this machine in the place of a TCP connection (ProxyCommand of ssh_config(5))."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from typing import IO

from tasks import bounded

GRACE = 2.0
"""Seconds for the command to end by itself when it is told to."""


class Piped(socket.socket):
    """Our end of a command's input and output."""

    process: subprocess.Popen[bytes] | None = None
    errors: IO[bytes] | None = None

    def said(self) -> str:
        """The last line of what the command has said of errors; empty when there is none."""
        if self.errors is None:
            return ""
        lines = [line.strip() for line in bounded.end_of(self.errors).splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def close(self) -> None:
        """Close it, and end the command with what it has started."""
        super().close()
        process, self.process = self.process, None
        if process is None:
            return
        for ending in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, ending)
                process.wait(GRACE)
                return
        process.wait()


def started(command: str) -> socket.socket:
    """Start a command whose input and output are a connection.

    It is run as ssh runs it, by a shell, and in a session of its own, so that what it starts ends with it. paramiko's
    own ProxyCommand knows no shell, has no deadline for what it sends, and leaves the process behind.

    Args:
        command: The command, with its tokens replaced.

    Returns:
        The connection.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        piped = Piped(fileno=ours.detach())
        piped.errors = tempfile.TemporaryFile()  # noqa: SIM115 - goes with the connection
        try:
            piped.process = subprocess.Popen(
                ["sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=piped.errors,
                start_new_session=True,
            )
        except BaseException:
            piped.close()
            raise
    return piped
