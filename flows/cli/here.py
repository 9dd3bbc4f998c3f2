"""The commands about this machine: what is kept here, the Prefect server, and the user's shell."""

from __future__ import annotations

import argparse

from flows.cli.command import Commands, add_json, add_showing, command
from flows.cli.completion import SHELLS


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add them."""
    _add_cache(commands)
    _add_server(commands)
    _add_completion(commands)


def _add_cache(commands: Commands[argparse.ArgumentParser]) -> None:
    cache = command(
        commands,
        "cache",
        "what is kept on this machine: ls, prune",
        "`ls` lists releases, what was compiled, sources, downloads, images, logs and records, with sizes, when each\n"
        "was used last, and whether prune would remove it and why. `prune` removes what nothing needs: older builds\n"
        "that no cluster runs, what no release refers to, what was not used for some time, what was left behind\n"
        "half-way. It asks first, waits until no run uses any of it, and exits with 1 when something could not be\n"
        "removed. Clusters, labs, keys, logs, records, Prefect's database and current releases always stay.",
        [
            "kubev6 cache ls",
            "kubev6 cache prune --dry-run",
            "kubev6 cache prune --older-than 7",
            "kubev6 cache prune --all",
        ],
        misfit=_cache_misfit,
    )
    cache.add_argument("action", choices=("ls", "prune"), help="what to do")
    cache.add_argument(
        "--older-than",
        type=_days,
        default=30,
        metavar="DAYS",
        help="how long something that can be made again stays without being used (%(default)s)",
    )
    cache.add_argument(
        "--all", action="store_true", help="with prune: also all that can be made again, such as Go's build cache"
    )
    cache.add_argument("--dry-run", action="store_true", help="with prune: only say what would go")
    cache.add_argument("--yes", action="store_true", help="with prune: do not ask")
    add_json(cache, "with ls: print it as JSON")
    add_showing(cache)


def _cache_misfit(args: argparse.Namespace) -> str:
    if args.action == "prune":
        return "--json goes with cache ls" if args.json else ""
    for option in ("all", "dry_run", "yes"):
        if getattr(args, option):
            return f"--{option.replace('_', '-')} goes with cache prune"
    return ""


def _days(given: str) -> int:
    """A number of days."""
    if not given.isascii() or not given.isdigit():
        raise argparse.ArgumentTypeError(f"{given!r} is no number of days")
    return int(given)


def _port(given: str) -> int:
    """A TCP port that one can listen at."""
    if not (given.isascii() and given.isdigit() and 1 <= int(given) <= 65535):
        raise argparse.ArgumentTypeError(f"{given!r} is no port, which is a number from 1 to 65535")
    return int(given)


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
        type=_port,
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
