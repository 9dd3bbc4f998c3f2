"""A run for machines: each event one JSON line on standard error."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import IO, Any

from kubev6.console.listener import Listener
from kubev6.console.standard_error import json_line
from tasks.events import ChangeMade, CommandRun, StepBegan, StepEnded, StepEvent, StepProgressed


class JsonLines(Listener):
    """Tells every event of a run as one line of JSON.

    Args:
        stream: Where to.
        nodes: The names of the cluster's nodes; events on one of them have it as ``node``.
        verbose: Also tell the commands that are run, and what Prefect says.
    """

    def __init__(self, stream: IO[str], *, nodes: Collection[str] = (), verbose: bool = False) -> None:
        super().__init__(stream, verbose=verbose)
        self._nodes = nodes

    def hear_step(self, event: StepEvent) -> None:
        """A step begins, goes on or ends."""
        about, elapsed = (event.subject, event.title), round(event.elapsed, 3)
        match event:
            case StepBegan():
                self._tell("info", "started", *about, "", elapsed=elapsed)
            case StepProgressed():
                counted = (("done", event.done), ("total", event.total))
                numbers: dict[str, Any] = {name: value for name, value in counted if value}
                self._tell("debug", "progress", *about, event.text, elapsed=elapsed, **numbers)
            case StepEnded():
                level, word = ("info", "ended") if event.ok else ("error", "failed")
                self._tell(level, word, *about, event.text, elapsed=elapsed)

    def hear_command(self, event: CommandRun) -> None:
        """A command is run."""
        self._tell("debug", "command", event.subject, event.title, event.text)

    def hear_change(self, event: ChangeMade) -> None:
        """A change was made."""
        change = event.change
        told = {name: value for name, value in change.as_json().items() if name not in ("node", "stage", "subject")}
        self._tell(
            "info", "change", change.node, change.stage, change.describe(), change={"subject": change.subject, **told}
        )

    def hear_message(self, record: logging.LogRecord) -> None:
        """A warning, or something that Prefect says."""
        self._tell(record.levelname.lower(), "message", record.name, "", record.getMessage())

    def _tell(self, level: str, event: str, subject: str, title: str, text: str, **more: Any) -> None:
        if subject in self._nodes:
            more["node"] = subject
        line = json_line(level, event, subject=subject, title=title, text=text, **more)
        print(line, file=self._stream, flush=True)
