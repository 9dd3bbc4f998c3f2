"""The tools that ours is measured beside, in an environment of their own; what they need is not ours to need."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

from tasks.paths import cache_dir

PEERS = ("pyinfra==3.10.0", "ansible-core==2.19.14")


def installed() -> Path | None:
    """The directory of their programs; installs them when they are not there yet.

    Returns:
        It; None, and a line that says why, when they cannot be had.
    """
    directory = cache_dir() / "bench-peers"
    programs, mark = directory / "bin", directory / "installed"
    if mark.exists() and mark.read_text() == "\n".join(PEERS):
        return programs
    print(f"installs {' and '.join(PEERS)} into {directory}", flush=True)
    venv.create(directory, with_pip=True, clear=True)
    done = subprocess.run(
        [programs / "pip", "install", "--quiet", "--disable-pip-version-check", *PEERS],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"skipped: pyinfra and Ansible, which pip does not install: {done.stderr.strip().splitlines()[-1]}")
        return None
    mark.write_text("\n".join(PEERS))
    return programs
