"""A machine that is a shell of this one, with programs of a test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from configs.errors import NodeError
from tasks.ssh.connection import Connection, Result
from tests.fakes import fake_of


@fake_of(Connection)
class Shell:
    """Runs commands as a connection does.

    Attributes:
        node: What the machine is called.
    """

    def __init__(self, node: str, directory: Path, programs: Mapping[str, str], **variables: str) -> None:
        for name, text in programs.items():
            (directory / name).write_text(f"#!/bin/sh\n{text}\n")
            (directory / name).chmod(0o755)
        self.node = node
        self.environment = {"PATH": f"{directory}:/usr/bin:/bin", **variables}

    def run(self, command: str, *, step: str, timeout: float = 60, check: bool = True) -> Result:
        words = ["sh", "-c", command]
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode:
            raise NodeError(self.node, step, done.stderr.strip())
        return Result(done.returncode, done.stdout, done.stderr)
