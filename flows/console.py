"""What a person sees of a run: its steps as they happen.

A terminal shows a moving line for every step under way; a file or a pipe gets plain lines, and a word from every
long step now and then. Either way a step that has ended is one line with what came of it and its time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

WIDTH_OF_FILES = 130
"""Columns of output that goes to a file or a pipe."""
SECONDS_BETWEEN_WORDS = 15.0
"""How long a step may be silent where there is no terminal."""


@dataclass(slots=True)
class Running:
    """A step under way."""

    subject: str
    title: str
    started: float
    said: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A step that has ended; times in seconds, ``started`` on the monotonic clock."""

    subject: str
    title: str
    started: float
    seconds: float
    ok: bool


class StepScreen(logging.Handler):
    """Shows the records of ``kubev6.steps``, and the warnings of every other part of kubev6.

    Attributes:
        ended: The steps that have ended so far, for the table of times.
    """

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        super().__init__()
        self.console = console
        self.verbose = verbose
        self.ended: list[Ended] = []
        self._running: dict[tuple[str, str], Running] = {}
        self._quiet = False

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record. Calls are one at a time: :meth:`logging.Handler.handle` holds the handler's lock."""
        if self._quiet:
            return
        if record.name != "kubev6.steps":
            if record.levelno >= logging.WARNING:
                self._print(record.getMessage(), "yellow")
            return
        # Given by tasks.steps as extra attributes of the record.
        fields = vars(record)
        key = (fields["subject"], fields["title"])
        now = time.monotonic()
        match fields["event"]:
            case "started":
                self._running[key] = Running(*key, started=now, said=now)
                if not self.console.is_terminal:
                    self._line(key, "...")
            case "progress":
                self._progress(key, fields["text"], now)
            case event:
                self._running.pop(key, None)
                self.ended.append(Ended(*key, now - fields["elapsed"], fields["elapsed"], event == "ended"))
                text = fields["text"] if event == "ended" else f"FAILED: {_short(fields['text'])}"
                self._line(key, text, fields["elapsed"], "red" if event == "failed" else "")

    def be_quiet(self) -> None:
        """Show nothing more: the person has asked for the end, and what steps say of it is no news."""
        with self.lock or threading.RLock():
            self._quiet = True
            self._running.clear()

    def remind(self) -> None:
        """Without a terminal: let every step that has been silent for long say a word."""
        with self.lock or threading.RLock():
            now = time.monotonic()
            for key, step in self._running.items():
                if now - step.said >= SECONDS_BETWEEN_WORDS:
                    step.said = now
                    self._line(key, step.text or "...", now - step.started)

    def __rich__(self) -> Table:
        """The steps under way, as the moving part of a terminal."""
        table = Table.grid(padding=(0, 2))
        table.add_column(width=20, no_wrap=True)
        table.add_column(width=24, no_wrap=True)
        table.add_column(justify="right", width=8)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.expand = True
        now = time.monotonic()
        running = list(self._running.values())  # a copy: other threads begin and end steps meanwhile
        shown = running[: max(1, self.console.height - 4)]
        for step in shown:
            table.add_row(Text(step.subject, style="cyan"), step.title, _time(now - step.started), step.text)
        if len(running) > len(shown):
            table.add_row("", f"and {len(running) - len(shown)} more", "", "")
        return table

    def _progress(self, key: tuple[str, str], text: str, now: float) -> None:
        step = self._running.get(key)
        if step is None:
            return
        step.text = _short(text)
        if self.verbose and text:
            self._line(key, text, now - step.started)
            step.said = now

    def _line(self, key: tuple[str, str], text: str, seconds: float | None = None, colour: str = "") -> None:
        subject, title = key
        taken = "" if seconds is None else _time(seconds)
        plain = f"{subject:<20}  {title:<24}  {taken:>8}  {text}".rstrip()
        self._print(plain, colour)

    def _print(self, text: str, colour: str = "") -> None:
        self.console.print(Text(text, style=colour), soft_wrap=True)


def _short(text: str) -> str:
    """The first line of a text: the rest is for the run log."""
    return text.strip().partition("\n")[0]


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02d} m"


def plain_console(*, stderr: bool = False) -> Console:
    """A console that prints texts as they are (``:100:`` is part of an address and no picture)."""
    console = Console(stderr=stderr, emoji=False, markup=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_FILES
    return console


@contextmanager
def showing_steps(*, verbose: bool = False) -> Iterator[StepScreen]:
    """Show the steps of everything that runs in this context, on standard error.

    Args:
        verbose: Print every word of progress as a line of its own.

    Yields:
        The screen, which also keeps the times.
    """
    screen = StepScreen(plain_console(stderr=True), verbose=verbose)
    logger = logging.getLogger("kubev6")
    logger.addHandler(screen)
    done = threading.Event()

    def remind() -> None:
        while not done.wait(1):
            screen.remind()

    try:
        if screen.console.is_terminal:
            with Live(screen, console=screen.console, refresh_per_second=5, transient=True):
                yield screen
        else:
            threading.Thread(target=remind, daemon=True).start()
            yield screen
    finally:
        done.set()
        logger.removeHandler(screen)
