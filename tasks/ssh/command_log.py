"""Which commands are run, on the nodes and on this machine: for the run log, and for a person who asks to see them."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from tasks.events import CommandRun, emit

_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def ran(where: str, command: Sequence[str] | str, *, step: str = "") -> None:
    """Say that a command is run. What logs in by an address (``https://NAME:PASSWORD@HOST``) is not said.

    Args:
        where: The node, or ``"local"``.
        command: Its words, or a script for a shell.
        step: What it is for.
    """
    text = _LOGIN.sub("***", command if isinstance(command, str) else shlex.join(command)).strip()
    emit(CommandRun(subject=where, title=step, text=text))


@cache
def hear_local_commands() -> None:
    """From now on say every command that this process starts on this machine, whatever part or library starts it.

    The interpreter tells (sys.addaudithook, PEP 578), so that nothing that starts a command has to.
    """
    sys.addaudithook(_heard)


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen":
        given = arguments[1]
        words = [given] if isinstance(given, str | bytes) else list(given)
        ran("local", [word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in words])
