"""The commands about this machine: the Prefect server that is kept here, and the user's shell."""

from __future__ import annotations

import argparse

from flows.cli.command import Commands, add_showing, command
from flows.cli.completion import SHELLS


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add them."""
    _add_server(commands)
    _add_completion(commands)


def _add_server(commands: Commands[argparse.ArgumentParser]) -> None:
    server = command(
        commands,
        "server",
        "the Prefect server that is kept: up, down, status, stay, unit",
        "`up` starts Prefect's server and its page, makes the deployments of prefect.yaml known to it, and starts the\n"
        "worker that runs them; again: changes only what is not as it should be. While it is up, local runs use it\n"
        "too. Its history, and what it needs, are in the data directory. `down` ends what the worker runs, the worker\n"
        "and the server; nothing is lost. `status` exits with 1 when something of it is gone. `stay` is `up` that\n"
        "does not come back, and ends it all when it is stopped; `unit` prints a systemd user unit that does that.",
        [
            "kubev6 server up",
            "prefect deployment run kubev6/build-and-deploy",
            "kubev6 server down",
            "kubev6 server unit > ~/.config/systemd/user/kubev6.service && systemctl --user enable --now kubev6",
        ],
    )
    server.add_argument("action", choices=("up", "down", "status", "stay", "unit"), help="what to do")
    server.add_argument(
        "--port",
        type=int,
        default=4266,
        metavar="PORT",
        help="where it listens, on this machine only (%(default)s)",
    )
    add_showing(server)


def _add_completion(commands: Commands[argparse.ArgumentParser]) -> None:
    completion = command(
        commands,
        "completion",
        "print what makes a shell complete kubev6's command lines",
        "Completes commands, options, and the names of clusters, machines, releases, series and runs. A shell that\n"
        "has read it asks the kubev6 that is on the PATH.",
        [
            "kubev6 completion bash > ~/.local/share/bash-completion/completions/kubev6",
            'eval "$(kubev6 completion zsh)"    (in ~/.zshrc, below compinit)',
            "kubev6 completion fish > ~/.config/fish/completions/kubev6.fish",
        ],
    )
    completion.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
