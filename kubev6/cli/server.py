"""The Prefect server that is kept: up, down, status, login, stay, unit.

`up` starts Prefect's server and its page, makes the deployments of prefect.yaml known to it, and starts the
worker that runs them; again: changes only what is not as it should be. While it is up, local runs use it
too. Its history, and what it needs, are in the data directory. `down` ends what the worker runs, the worker
and the server; nothing is lost. `status` exits with 1 when something of it is gone. `login` prints what
its page asks for. `stay` is `up` that does not come back, and ends it all when it is stopped; `unit` prints
a systemd user unit that does that.

Examples:
  kubev6 server up
  prefect deployment run kubev6/build-and-deploy
  kubev6 server down
  kubev6 server unit > ~/.config/systemd/user/kubev6.service && systemctl --user enable --now kubev6
"""

from __future__ import annotations

import argparse
import signal
from typing import TYPE_CHECKING

from kubev6.cli.command import add_showing
from kubev6.console.standard_output import tell

if TYPE_CHECKING:
    from kubev6.server.kept_server import Kept


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("action", choices=("up", "down", "status", "login", "stay", "unit"), help="what to do")
    parser.add_argument(
        "--port",
        type=_port,
        default=4266,
        metavar="PORT",
        help="where it listens, on this machine only (%(default)s)",
    )
    add_showing(parser)


def _port(given: str) -> int:
    """A TCP port that one can listen at."""
    if not (given.isascii() and given.isdigit() and 1 <= int(given) <= 65535):
        raise argparse.ArgumentTypeError(f"{given!r} is no port, which is a number from 1 to 65535")
    return int(given)


def run(args: argparse.Namespace) -> int:
    """The kept Prefect server: up, down, status, login, stay, unit."""
    from kubev6.server import kept_server

    if args.action == "status":
        found = kept_server.status()
        tell("\n".join(found.lines))
        return 0 if found.well else 1
    if args.action == "login":
        print(kept_server.password())
        return 0
    if args.action == "unit":
        from kubev6.server import systemd_unit

        print(systemd_unit.unit(args.port), end="")
        return 0
    if args.action == "stay":
        return _stay(args)
    if args.action == "up":
        print(kept_server.how_to_use(_up(args)))
        return 0
    from kubev6.cli.running import running

    with running("server-down", args):
        print("ended" if kept_server.down() else "no server was kept")
    return 0


def _up(args: argparse.Namespace) -> Kept:
    from kubev6.cli.running import running
    from kubev6.server import environment, kept_server

    with running("server-up", args):
        environment.prepare()
        return kept_server.up(args.port)


def _stay(args: argparse.Namespace) -> int:
    """Keep the server, and start again what goes, until this process is told to end."""
    from kubev6.server import kept_server

    def told_to_end(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, told_to_end)
    while True:
        try:
            kept_server.watch(_up(args))
        except KeyboardInterrupt:
            kept_server.end()  # systemd would not wait for a run that uses it
            return 0
