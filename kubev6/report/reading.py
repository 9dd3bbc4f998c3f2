"""Reports as files, and on the screen."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

from configs.errors import KubeV6Error
from configs.schema.loading import load_cluster
from configs.words import duration
from flows.run.record import RunRecord, clusters, runs
from flows.run.run_outcome import run_outcome
from kubev6.report.page import page
from tasks.replace import write_whole


def listed() -> tuple[str, ...]:
    """One line for each run there is, the newest first: its name, how long it took and what it came to."""
    found = runs()
    width = max((len(path.stem) for path, _ in found), default=0)
    return tuple(f"{path.stem:<{width}}  {duration(record.seconds):>12}  {_came_to(record)}" for path, record in found)


def cluster_name(given: str) -> str:
    """The name of the cluster whose runs are meant.

    Args:
        given: Its name, also of one whose file is gone; a cluster file, or the name of a shipped one.

    Raises:
        ConfigError: It is none of these.
    """
    return given if given in clusters() else load_cluster(given).name


def draw(path: Path, record: RunRecord) -> Path:
    """Write the report of a run beside its record.

    Args:
        path: The record's file.
        record: The run.

    Returns:
        The report's file, readable by nobody else.

    Raises:
        KubeV6Error: It cannot be written.
    """
    drawn = path.resolve().with_suffix(".html")
    try:
        write_whole(drawn, page(record), mode=0o600)
    except OSError as error:
        raise KubeV6Error(
            f"{drawn}: cannot be written: {error.strerror}", todo="make room or mend the rights there"
        ) from None
    return drawn


def show(drawn: Path) -> None:
    """Open a report in the desktop's browser.

    Raises:
        KubeV6Error: There is none.
    """
    # Without a desktop the standard library would take a browser for terminals, or wait for one that cannot start.
    desktop = sys.platform != "linux" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    if not desktop or not webbrowser.open(drawn.as_uri()):
        raise KubeV6Error("there is no desktop with a browser here", todo=f"open {drawn} where there is one")


def _came_to(record: RunRecord) -> str:
    first = f": {record.errors[0].message}" if record.errors else ""
    return f"{run_outcome(record).word}{first}"
