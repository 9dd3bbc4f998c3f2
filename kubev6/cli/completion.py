"""Print what makes a shell complete kubev6's command lines.

Completes commands, options, and the names of clusters, machines, releases, series and runs. A shell that
has read it asks the kubev6 that is on the PATH.

Examples:
  kubev6 completion bash > ~/.local/share/bash-completion/completions/kubev6
  eval "$(kubev6 completion zsh)"    (in ~/.zshrc, below compinit)
  kubev6 completion fish > ~/.config/fish/completions/kubev6.fish
"""

from __future__ import annotations

import argparse

SHELLS = ("bash", "zsh", "fish")


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


def run(args: argparse.Namespace) -> int:
    """Print what makes a shell complete our command lines."""
    print(script(args.shell), end="")
    return 0


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
