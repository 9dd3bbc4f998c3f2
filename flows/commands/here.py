"""What the commands do that are about this machine. Each takes its arguments and returns its exit status."""

from __future__ import annotations

import argparse
import signal
from typing import TYPE_CHECKING

from flows import standard_error
from flows.commands.running import agreed, running
from flows.console import plain_console
from flows.server import environment

if TYPE_CHECKING:
    from flows.server.kept_server import Kept


def cache(args: argparse.Namespace) -> int:
    """What is kept on this machine: ls, prune."""
    from flows import cache as kept

    fates = kept.fates(args.older_than, everything=args.all)
    if args.action == "ls":
        if args.json:
            print(kept.as_json(fates))
        else:
            kept.show(plain_console(), fates)
        return 0
    going = [fate for fate in fates if fate.goes]
    for fate in going:
        print(kept.line(fate))
    if not going:
        print("Nothing is to go.")
        return 0
    print(f"{kept.amount(going)} {'would be' if args.dry_run else 'will be'} freed.")
    if args.dry_run:
        return 0
    if not args.yes and not agreed("cache prune"):
        print("Nothing was done.")
        return 1
    with running("cache-prune", args):
        pruned = kept.prune(going, args.older_than, everything=args.all)
    for refused in pruned.failed:
        standard_error.say(refused)
    print(f"{kept.amount(pruned.gone)} freed.")
    return 1 if pruned.failed else 0


def server(args: argparse.Namespace) -> int:
    """The kept Prefect server: up, down, status, stay, unit."""
    from flows.server import kept_server

    if args.action == "status":
        found = kept_server.status()
        print("\n".join(found.lines))
        return 0 if found.well else 1
    if args.action == "unit":
        from flows.server import systemd_unit

        print(systemd_unit.unit(args.port), end="")
        return 0
    if args.action == "stay":
        return _stay(args)
    if args.action == "up":
        print(kept_server.how_to_use(_up(args)))
        return 0
    with running("server-down", args):
        print("ended" if kept_server.down() else "no server was kept")
    return 0


def _up(args: argparse.Namespace) -> Kept:
    from flows.server import kept_server

    with running("server-up", args):
        environment.prepare()
        return kept_server.up(args.port)


def _stay(args: argparse.Namespace) -> int:
    """Keep the server, and start anew what goes, until this process is told to end."""
    from flows.server import kept_server

    def told_to_end(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, told_to_end)
    while True:
        try:
            kept_server.watch(_up(args))
        except KeyboardInterrupt:
            kept_server.end()  # systemd would not wait for a run that uses it
            return 0


def completion(args: argparse.Namespace) -> int:
    """Print what makes a shell complete our command lines."""
    from flows.cli.completion import script

    print(script(args.shell), end="")
    return 0
