"""Completion in shells, by argcomplete: the shell runs kubev6 itself and gets what could come next."""

from __future__ import annotations

import argparse

SHELLS = ("bash", "zsh", "fish")


def script(shell: str) -> str:
    """What a shell has to read to complete the command lines of kubev6.

    Args:
        shell: One of :data:`SHELLS`.
    """
    from argcomplete.shell_integration import shellcode

    return shellcode(["kubev6"], shell=shell)


def answer(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks what could come next, and end the process. Does nothing when it is not asked."""
    import argcomplete

    argcomplete.autocomplete(parser, always_complete_options=False)
