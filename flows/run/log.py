"""The log of one run, with everything that any part of it has to say."""

from __future__ import annotations

import logging
import os
import sys
from datetime import datetime
from pathlib import Path

from configs.errors import KubeV6Error
from flows.run.redaction import hide_in
from tasks.paths import data_dir
from tasks.ssh.command_log import hear_local_commands

log = logging.getLogger("kubev6.log")
CHATTY = ("asyncio", "graphviz", "httpcore", "httpx", "markdown_it", "paramiko", "websockets")
"""Libraries whose lesser records tell nothing about a run."""


class RunLog(logging.FileHandler):
    """The file. When it cannot be written any more that is said once, and the run goes on without it."""

    _complained = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Called by logging when a record was not written."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._complained:
            self._complained = True
            log.warning("%s: the log of this run is cut off here: %s", self.baseFilename, error.strerror)


def open_run_log(command: str) -> Path:
    """Keep all log records of this process in a file of its own, readable by nobody else.

    Called before Prefect is imported: Prefect leaves a root logger alone that somebody uses already.

    Args:
        command: What is run, for the file's name.

    Returns:
        The file.

    Raises:
        KubeV6Error: It cannot be written.
    """
    directory = data_dir() / "logs"
    path = directory / f"{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}-{command}.log"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        handler = RunLog(path)
    except OSError as error:
        raise KubeV6Error(
            f"{error.filename or path}: the log of this run cannot be written: {error.strerror}",
            todo="make room or mend the rights there, or name another directory by KUBEV6_DATA",
        ) from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(threadName)s %(name)s: %(message)s"))
    root = logging.getLogger()
    hide_in(handler)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    hear_local_commands()
    return path
