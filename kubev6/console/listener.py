"""Hearing the steps of a run, whoever is told of them."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import IO, Any

from flows.run.redaction import hide_in
from kubev6.console.standard_error import abandon

STEPS, RAN = "kubev6.steps", "kubev6.ran"
"""The loggers of :mod:`tasks.steps` and of :mod:`tasks.ssh.command_log`."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A step that has ended; times in seconds, ``started`` on the monotonic clock."""

    subject: str
    title: str
    started: float
    seconds: float
    ok: bool


class Listener(logging.Handler):
    """Hears the records of everything that runs, and keeps the times. Those of libraries are for the run log alone.

    Args:
        stream: Where it tells of them.
        verbose: Hear also of the commands that are run, and what Prefect says.

    Attributes:
        ended: The steps that have ended so far, for the table of times.
    """

    def __init__(self, stream: IO[str], *, verbose: bool = False) -> None:
        super().__init__()
        hide_in(self)
        self._stream = stream
        self.verbose = verbose
        self.ended: list[Ended] = []
        self._quiet = False

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record. Calls are one at a time: :meth:`logging.Handler.handle` holds the handler's lock."""
        if self._quiet:
            return
        # Given by tasks.steps, tasks.ssh.command_log and tasks.changes as extra attributes of the record.
        fields, part = vars(record), record.name.partition(".")[0]
        try:
            if part == "prefect":
                if self.verbose and record.levelno >= logging.INFO:
                    self.hear_message(record)
            elif part != "kubev6":
                return
            elif record.name == STEPS:
                if fields["event"] in ("ended", "failed"):
                    began, ok = time.monotonic() - fields["elapsed"], fields["event"] == "ended"
                    self.ended.append(Ended(fields["subject"], fields["title"], began, fields["elapsed"], ok))
                self.hear_step(record, fields)
            elif record.name == RAN:
                if self.verbose:
                    self.hear_command(record, fields)
            elif "change" in fields:
                self.hear_change(record, fields)
            elif record.levelno >= logging.WARNING:
                self.hear_message(record)
        except OSError:
            abandon(self._stream)  # nobody reads it any more, and the run goes on

    def hear_step(self, record: logging.LogRecord, fields: dict[str, Any]) -> None:
        """A step begins, goes on or ends."""

    def hear_command(self, record: logging.LogRecord, fields: dict[str, Any]) -> None:
        """A command is run."""

    def hear_change(self, record: logging.LogRecord, fields: dict[str, Any]) -> None:
        """A change was made."""

    def hear_message(self, record: logging.LogRecord) -> None:
        """A warning, or something that Prefect says."""

    def be_quiet(self) -> None:
        """Tell nothing more: the person has asked for the end, and what steps say of it is no news."""
        with self.lock or threading.RLock():
            self._quiet = True

    def let_go(self) -> None:
        """Leave the terminal as it was: the process ends at once, without another word."""

    def remind(self) -> None:
        """Called every second, for those who speak by themselves."""
