"""A run for people: a line when a step has ended, and what is under way as the live display of a terminal."""

from __future__ import annotations

import logging
import os
import time

from rich.console import Console
from rich.table import Table
from rich.text import Text

from configs.words import visible_lines
from kubev6.console.listener import Listener
from kubev6.console.live import SUBJECT, TIME, TITLE, WIDE, Running, live_table, taken
from tasks.events import CommandRun, StepBegan, StepEnded, StepEvent, StepProgressed

SECONDS_BETWEEN_WORDS = 15.0
"""How long a step may be silent where nothing moves."""
SHOW_CURSOR = b"\x1b[?25h"
"""DECTCEM, the way that terminals since the VT220 have for it."""


class StepScreen(Listener):
    """Shows the steps, and the warnings of every part of kubev6.

    Args:
        console: Where.
        verbose: Print every word of progress as a line of its own, the commands that are run, and what Prefect says.
        live: Whether this object is shown as the live display of a terminal; else long steps say a word now and then.
    """

    def __init__(self, console: Console, *, verbose: bool = False, live: bool = False) -> None:
        super().__init__(console.file, verbose=verbose)
        self.console = console
        self.live = live
        self._running: dict[tuple[str, str], Running] = {}
        self._places: dict[str, int] = {}  # of subjects among the live lines

    def hear_step(self, event: StepEvent) -> None:
        """A step begins, goes on or ends."""
        key = (event.subject, event.title)
        now = time.monotonic()
        match event:
            case StepBegan():
                self._places.setdefault(key[0], len(self._places))
                self._running[key] = Running(*key, started=now, said=now)
                if not self.live:
                    self._line(key, "...")
            case StepProgressed():
                self._progress(key, event, now)
            case StepEnded():
                self._running.pop(key, None)
                text = self._short(event.text)
                self._line(key, text if event.ok else f"FAILED: {text}", event.elapsed, not event.ok)

    def hear_command(self, event: CommandRun) -> None:
        """A command is run."""
        self._line((event.subject, event.title), f"$ {' '.join(event.text.split())}")

    def hear_message(self, record: logging.LogRecord) -> None:
        """A warning, or something that Prefect says."""
        ours = record.name.startswith("kubev6")
        self._print(record.getMessage() if ours else f"{record.name}: {record.getMessage()}", "yellow" if ours else "")

    def be_quiet(self) -> None:
        """Show nothing more."""
        super().be_quiet()
        self._running.clear()

    def let_go(self) -> None:
        """Show the cursor again, which live lines hide. Waits for nobody."""
        if self.live:
            os.write(self._stream.fileno(), SHOW_CURSOR)

    def remind(self) -> None:
        """Where nothing moves: let every step that has been silent for long say a word."""
        with self._telling:
            now = time.monotonic()
            for key, step in self._running.items():
                if not self.live and now - step.said >= SECONDS_BETWEEN_WORDS:
                    step.said = now
                    self._line(key, step.text or "...", now - step.started)

    def __rich__(self) -> Table:
        """The steps under way, as the live display of a terminal."""
        running = list(self._running.values())  # a copy: other threads begin and end steps meanwhile
        running.sort(key=lambda step: self._places[step.subject])
        ascii_only = not self.console.encoding.startswith("utf")
        width, height = self.console.size
        return live_table(running, width=width, height=height, now=time.monotonic(), ascii_only=ascii_only)

    def _progress(self, key: tuple[str, str], event: StepProgressed, now: float) -> None:
        step = self._running.get(key)
        if step is None:
            return
        step.text = self._short(event.text)
        step.done, step.total = event.done, event.total
        if self.verbose and step.text:
            self._line(key, step.text, now - step.started)
            step.said = now

    def _line(self, key: tuple[str, str], text: str, seconds: float | None = None, bad: bool = False) -> None:
        subject, title = key
        if self.console.is_terminal and self.console.width < WIDE:
            time_taken = "" if seconds is None else f" {taken(seconds)}"
            plain = f"{subject}: {title}{time_taken}  {text}"
        else:
            time_taken = "" if seconds is None else taken(seconds)
            plain = f"{subject:<{SUBJECT}}  {title:<{TITLE}}  {time_taken:>{TIME}}  {text}"
        self._print(plain.rstrip(), "red" if bad else "")

    def _print(self, text: str, colour: str = "") -> None:
        self.console.print(Text(self._harmless(text), style=colour), soft_wrap=True)

    def _short(self, text: str) -> str:
        """The first line of a text: the rest is for the run log."""
        return self._harmless(text.strip().partition("\n")[0])

    def _harmless(self, text: str) -> str:
        """A text without what a terminal would obey, or cannot show."""
        return visible_lines(text).encode(self.console.encoding, "replace").decode(self.console.encoding)
