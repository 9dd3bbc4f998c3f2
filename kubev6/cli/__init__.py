"""The command line. What a command needs is imported when it runs, so that help comes at once."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from configs.errors import KubeV6Error
from configs.words import shortened
from kubev6.cli.parser import build_parser
from kubev6.console import standard_error
from tasks import scope
from tasks.secrets import Secrets

__all__ = ["build_parser", "main"]

UNWRITABLE = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""How it shows that standard output takes no more."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Its words without the program's name; those of this process when absent.

    Returns:
        The exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a terminal that lacks a sign shows another one; no run ends because of that
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        try:
            return _status(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()  # while it can still be said that it cannot be written
    except OSError as error:
        if error.filename is not None or error.errno not in UNWRITABLE:
            raise
        standard_error.abandon(sys.stdout)
        if error.errno != errno.EPIPE:  # then its reader has seen enough
            standard_error.say(f"the output cannot be written: {error.strerror}")
        return 1


def _status(argv: list[str]) -> int:
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # set by the shell, which asks how the line could go on
        from kubev6.cli.completion import answer

        answer(parser)
    words, rest = _split(argv)
    args = parser.parse_args(words)
    if rest is not None and not args.takes_rest:
        args.refuse("nothing may follow -- here")
    args.rest = rest or []
    if said := args.misfit(args):
        args.refuse(said)
    own = (Secrets(), *([standard_error.JsonSpeech()] if getattr(args, "log_json", False) else ()))
    with scope.holding(*own):
        try:
            return int(args.run(args))
        except KubeV6Error as error:
            standard_error.say(str(error))
            return 1
        except OSError as error:
            if error.filename is None:
                raise
            standard_error.say(f"{shortened(str(error.filename), 200)}: {error.strerror}")
            return 1
        except KeyboardInterrupt:
            standard_error.say("stopped; running it again goes on from here", level="warning")
            return 130


def _split(words: list[str]) -> tuple[list[str], list[str] | None]:
    """Our own words, and those behind ``--``, which belong to somebody else; None when there is no ``--``."""
    if "--" not in words:
        return words, None
    at = words.index("--")
    return words[:at], words[at + 1 :]
