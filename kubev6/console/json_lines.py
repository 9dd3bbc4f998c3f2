"""A run for machines: each event one JSON line on standard error."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import IO, Any

from kubev6.console.listener import Listener
from kubev6.console.standard_error import json_line


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

    def hear_step(self, record: logging.LogRecord, fields: dict[str, Any]) -> None:
        """A step begins, goes on or ends."""
        numbers = {name: fields[name] for name in ("done", "total") if fields.get(name)}
        self._event(record, fields["event"], fields, elapsed=round(fields["elapsed"], 3), **numbers)

    def hear_command(self, record: logging.LogRecord, fields: dict[str, Any]) -> None:
        """A command is run."""
        self._event(record, "command", fields)

    def hear_change(self, record: logging.LogRecord, fields: dict[str, Any]) -> None:
        """A change was made."""
        subject, _, text = fields["change"].partition(": ")
        self._event(record, "change", {"subject": subject, "title": fields["stage"], "text": text})

    def hear_message(self, record: logging.LogRecord) -> None:
        """A warning, or something that Prefect says."""
        self._event(record, "message", {"subject": record.name, "title": "", "text": record.getMessage()})

    def _event(self, record: logging.LogRecord, event: str, fields: dict[str, Any], **more: Any) -> None:
        about = {name: fields[name] for name in ("subject", "title", "text")}
        if about["subject"] in self._nodes:
            more["node"] = about["subject"]
        print(json_line(record.levelname.lower(), event, **about, **more), file=self._stream, flush=True)
