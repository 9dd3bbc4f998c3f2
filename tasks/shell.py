"""How a list of words becomes a command line on another machine; the only place where anything is quoted."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def quote(command: Sequence[str] | str) -> str:
    """One string that a POSIX shell takes apart into exactly the given words.

    Args:
        command: The words of a command; or a whole script, which then becomes ``sh -c SCRIPT``.

    Returns:
        The command line.
    """
    return shlex.join(["sh", "-c", command] if isinstance(command, str) else command)
