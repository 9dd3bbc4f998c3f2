"""A systemd user unit that keeps the Prefect server, for machines that have systemd."""

from __future__ import annotations

import os
import sys

from tasks.paths import cache_dir, data_dir, working_dir


def unit(port: int) -> str:
    """The unit. What it says of paths is what they are now.

    Args:
        port: Where the server is to listen.
    """
    settings = {"KUBEV6_DATA": data_dir(), "KUBEV6_CACHE": cache_dir(), "PATH": os.environ.get("PATH", os.defpath)}
    lines = [
        "# Written by `kubev6 server unit`. Without a login it runs only after `loginctl enable-linger`.",
        "# What a run needs besides, such as KUBEV6_NOTIFY_URL, goes into the file of EnvironmentFile.",
        "[Unit]",
        "Description=Prefect server and worker of kubev6",
        "",
        "[Service]",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in settings.items()),
        f"EnvironmentFile=-{str(data_dir() / 'server.env').replace('%', '%%')}",
        f"WorkingDirectory=-{str(working_dir()).replace('%', '%%')}",
        f"ExecStart={_quoted(sys.executable).replace('$', '$$')} -m kubev6 server stay --no-progress --port {port}",
        # The others are told to end by the first, one after the other.
        "KillMode=mixed",
        "TimeoutStopSec=60",
        "Restart=on-failure",
        "RestartSec=5",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A word as a unit file has it (systemd.syntax(7)): quoted, with what has a meaning there made plain."""
    for sign, plain in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%")):
        text = text.replace(sign, plain)
    return f'"{text}"'
