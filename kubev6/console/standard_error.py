"""What kubev6 itself says on standard error: sentences for people, or JSON lines for machines (``--log-json``).

Light, because every command may have something to say: what shows the steps of a run is in :mod:`kubev6.console`.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import IO, Any

from configs.words import visible_lines
from tasks import scope
from tasks.secrets import hide


class JsonSpeech:
    """Found in the scope of a command that says everything as JSON lines."""


def say(text: str, *, level: str = "error") -> None:
    """Say one sentence. That nobody listens any more is no error.

    Args:
        text: The sentence.
        level: ``"error"`` or ``"warning"``.
    """
    text = visible_lines(hide(text))
    line = json_line(level, "message", text=text) if scope.find(JsonSpeech) else f"kubev6: {text}"
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        abandon(sys.stderr)


def json_line(level: str, event: str, **fields: Any) -> str:
    """One event for machines.

    Args:
        level: ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``.
        event: What kind of event.
        fields: What else there is to say of it.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": now, "level": level, "event": event, **fields})


def abandon(stream: IO[str]) -> None:
    """Send what is still to come on a stream nowhere: who read it is gone, and Python would complain at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
