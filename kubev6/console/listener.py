"""Hearing a run, whoever is told of it: its events, and the warnings of every part."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import IO

from flows.run.log import OF_EVENTS
from flows.run.redaction import hide_in
from kubev6.console.standard_error import abandon
from tasks.events import ChangeMade, CommandRun, Event, StepBegan, StepEnded, StepEvent, StepProgressed


@dataclass(frozen=True, slots=True)
class Ended:
    """A step that has ended, and what came of it; times in seconds, ``started`` since 1970."""

    subject: str
    title: str
    started: float
    seconds: float
    ok: bool
    text: str = ""


class Listener(logging.Handler):
    """Hears the events of a run and keeps the times; as a handler of logs it hears warnings.

    What libraries log is for the run log alone.

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
        self._telling = threading.RLock()
        self.verbose = verbose
        self.ended: list[Ended] = []
        self._quiet = False

    def hear(self, event: Event) -> None:
        """A listener of the run's bus: take one event."""
        with self._telling:
            if isinstance(event, StepEnded):
                began = event.at - event.elapsed
                self.ended.append(Ended(event.subject, event.title, began, event.elapsed, event.ok, event.text))
            if self._quiet:
                return
            try:
                match event:
                    case StepBegan() | StepProgressed() | StepEnded():
                        self.hear_step(event)
                    case CommandRun() if self.verbose:
                        self.hear_command(event)
                    case ChangeMade():
                        self.hear_change(event)
            except OSError:
                abandon(self._stream)  # nobody reads it any more, and the run goes on

    def emit(self, record: logging.LogRecord) -> None:
        """Take one log record, which is told when it is a warning of ours, or for who asks Prefect's."""
        part = record.name.partition(".")[0]
        told = record.levelno >= logging.WARNING and record.name not in OF_EVENTS if part == "kubev6" else False
        if part == "prefect":
            told = self.verbose and record.levelno >= logging.INFO
        with self._telling:
            if not told or self._quiet:
                return
            try:
                self.hear_message(record)
            except OSError:
                abandon(self._stream)

    def hear_step(self, event: StepEvent) -> None:
        """A step begins, goes on or ends."""

    def hear_command(self, event: CommandRun) -> None:
        """A command is run."""

    def hear_change(self, event: ChangeMade) -> None:
        """A change was made."""

    def hear_message(self, record: logging.LogRecord) -> None:
        """A warning, or something that Prefect says."""

    def be_quiet(self) -> None:
        """Tell nothing more: the person has asked for the end, and what steps say of it is no news."""
        with self._telling:
            self._quiet = True

    def let_go(self) -> None:
        """Leave the terminal as it was: the process ends at once, without another word."""

    def remind(self) -> None:
        """Called every second, for those who speak by themselves."""
