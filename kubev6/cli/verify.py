"""Prove that a cluster works over IPv6 only.

Asks the API server, every node and a pod on every node, and prints one line for each check. Exits with 1
when a check fails. Certificates that end within 30 days are warned of. From 20 nodes on a pod asks three
others, so that every node asks and is asked and the questions are as many as the nodes; --full asks all
pairs.

Examples:
  kubev6 verify
  kubev6 verify --full
  kubev6 verify --json
"""

from __future__ import annotations

import argparse

from kubev6.cli.command import add_cluster, add_if_busy, add_json, add_showing
from kubev6.console import standard_error


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    add_cluster(parser)
    add_if_busy(parser, "wait")
    parser.add_argument(
        "--full", action="store_true", help="ask all pairs of pods, also where there are 20 nodes and more"
    )
    add_json(parser)
    add_showing(parser)


def run(args: argparse.Namespace) -> int:
    """Prove that a cluster works."""
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
