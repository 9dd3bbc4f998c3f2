"""Prove that a cluster works over IPv6 only.

Asks the API server, every node and a pod on every node, and prints one line for each check. Exits with 1
when a check fails. Certificates that end within 30 days are warned of. From 20 nodes on a pod asks three
others, so that every node asks and is asked and the questions are as many as the nodes; --full asks all
pairs.

With --watch it looks again and again until Ctrl-C, so that you see what a change does meanwhile: an
upgrade from another terminal, a machine that you switch off, a patch of kube-proxy. Whatever fails is told
when it begins and when it is over; no question is asked twice within a round, so a moment's failure is
seen. It exits with 1 when anything failed at any time. Other runs are not held up by it.

Examples:
  kubev6 verify
  kubev6 verify --full
  kubev6 verify --json
  kubev6 verify --watch
"""

from __future__ import annotations

import argparse
import sys

from kubev6.cli.command import add_cluster, add_if_busy, add_json, add_showing
from kubev6.console import standard_error

EVERY_SECONDS = 1.0
"""From the beginning of one look of a watch to that of the next, at the least."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    add_cluster(parser)
    add_if_busy(parser, "wait")
    parser.add_argument(
        "--full", action="store_true", help="ask all pairs of pods, also where there are 20 nodes and more"
    )
    parser.add_argument("--watch", action="store_true", help="look again and again until Ctrl-C, and tell what changes")
    add_json(parser)
    add_showing(parser)


def run(args: argparse.Namespace) -> int:
    """Prove that a cluster works, or watch it."""
    return _watch(args) if args.watch else _prove(args)


def _prove(args: argparse.Namespace) -> int:
    from functools import partial

    from configs.schema.loading import load_cluster
    from kubev6.cli.running import provide_secrets, running
    from kubev6.console.display import plain_console

    cluster = load_cluster(args.cluster)
    with running("verify", args) as here:
        from flows.run.lock import locked
        from kubev6.console import tables
        from tasks.deployed import deployed
        from tasks.kubernetes.checks import pairs_note
        from tasks.kubernetes.verify import verify as prove
        from tasks.ssh.pool import connection

        provide_secrets(here)
        # A proof removes the pods of every other one, and finds no fault that is a run's doing.
        with locked(cluster.name, "kubev6 verify", args.if_busy):
            checks = prove(cluster, deployed(cluster), partial(connection, cluster), full=args.full)
    for warning in tables.warnings(checks):
        standard_error.say(warning, level="warning")
    if args.json:
        print(tables.checks_as_json(checks))
    else:
        tables.show_checks(plain_console(), checks)
        print(f"{len(checks)} checks, {sum(not check.ok for check in checks)} failed")
        if note := pairs_note(checks):
            print(f"{note}.")
    return 0 if all(check.ok for check in checks) else 1


def _watch(args: argparse.Namespace) -> int:
    import time
    from datetime import datetime
    from functools import partial

    from configs.schema.loading import load_cluster
    from configs.words import counted
    from kubev6.cli.running import asked_to_end, provide_secrets, running
    from kubev6.console import outages
    from kubev6.console.display import plain_console
    from kubev6.console.standard_output import tell

    cluster = load_cluster(args.cluster)
    say = partial(print, file=sys.stderr, flush=True) if args.json else tell
    with running("verify", args) as here:
        from tasks.deployed import deployed
        from tasks.exclusive import exclusive
        from tasks.kubernetes.outages import History
        from tasks.kubernetes.watch import watching
        from tasks.paths import cache_dir
        from tasks.ssh.pool import connection

        provide_secrets(here)
        waits = partial(standard_error.say, "another watch of this cluster goes on; waits for its end", level="warning")
        with (
            exclusive(cache_dir() / "watches" / f"{cluster.name}.lock", waits),
            watching(cluster, deployed(cluster), partial(connection, cluster), full=args.full) as look,
            asked_to_end() as ended,
        ):
            history, began, at = History(), time.monotonic(), 0.0
            while not ended.wait(max(0.0, at + EVERY_SECONDS - (time.monotonic() - began))):
                at = time.monotonic() - began
                checks = look()
                for each in history.add(at, checks):
                    say(outages.line(each, f"{datetime.now():%H:%M:%S}"))
                if history.rounds == 1:
                    took = time.monotonic() - began
                    say(f"{cluster.name}: {counted(len(checks), 'check')} in {took:.1f} s, and again; Ctrl-C ends.")
            seconds = time.monotonic() - began
            seen = history.all(seconds)
            if args.json:
                print(outages.as_json(history, seconds), flush=True)
            else:
                if seen:
                    outages.show(plain_console(), seen)
                tell(f"{outages.summary(history, seconds)}.")
    return 1 if seen else 0
