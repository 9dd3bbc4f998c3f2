"""The log of one run, with everything that any part of it has to say."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path

from configs.errors import KubeV6Error
from flows.run.redaction import hide_in
from tasks import scope
from tasks.events import Bus, ChangeMade, CommandRun, Event, StepBegan, StepEnded, StepProgressed
from tasks.paths import data_dir
from tasks.ssh.command_log import hear_local_commands

log = logging.getLogger("kubev6.log")
OF_EVENTS = ("kubev6.steps", "kubev6.commands", "kubev6.changes")
"""Loggers of what is an event first: who hears the events does not listen to these."""
_steps, _commands, _changes = map(logging.getLogger, OF_EVENTS)
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


@contextmanager
def run_log(command: str) -> Iterator[Path]:
    """Keep all log records of the run that is under way in a file of its own, readable by nobody else.

    Begun before Prefect is imported: Prefect leaves a root logger alone that somebody uses already.

    Args:
        command: What is run, for the file's name.

    Yields:
        The file.

    Raises:
        KubeV6Error: It cannot be written.
    """
    directory = data_dir() / "logs"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path = _new_file(directory, command)
        handler = RunLog(path)
    except OSError as error:
        raise KubeV6Error(
            f"{error.filename or path}: the log of this run cannot be written: {error.strerror}",
            todo="make room or mend the rights there, or name another directory by KUBEV6_DATA",
        ) from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(threadName)s %(name)s: %(message)s"))
    bus = scope.find(Bus)
    handler.addFilter(lambda _: scope.find(Bus) in (None, bus))  # another run of this process has a log of its own
    hide_in(handler)  # after that: it changes records, and those of another run are not this one's to change
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    hear_local_commands()
    try:
        yield path
    finally:
        root.removeHandler(handler)
        handler.close()


def _new_file(directory: Path, command: str) -> Path:
    """A file that no other run has, also when one of this process began in the same second."""
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}"
    for number in count(1):
        path = directory / f"{name}{f'.{number}' if number > 1 else ''}-{command}.log"
        with suppress(FileExistsError):
            path.touch(mode=0o600, exist_ok=False)
            break
    return path


def log_event(event: Event) -> None:
    """A listener: every event as a line of the log, and so of Prefect's page, which shows those of each task run."""
    match event:
        case StepBegan():
            _steps.info("%s: %s: started", event.subject, event.title)
        case StepProgressed():
            _steps.debug("%s: %s: progress%s", event.subject, event.title, f": {event.text}" if event.text else "")
        case StepEnded():
            level = logging.INFO if event.ok else logging.ERROR
            ended = "ended" if event.ok else "failed"
            said = f": {event.text}" if event.text else ""
            _steps.log(level, "%s: %s: %s%s", event.subject, event.title, ended, said)
        case CommandRun():
            _commands.debug("%s: %s: $ %s", event.subject, event.title, event.text)
        case ChangeMade():
            _changes.info("changed: %s: %s", event.change.node, event.change.describe())
