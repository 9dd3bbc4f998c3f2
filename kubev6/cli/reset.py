"""Take machines out of their cluster and make them what they were before.

Asks first. Workers go before the control plane, the support node last; without names all of them do. A
worker of a cluster that goes on is drained and deleted from it. Then everything is undone by the record
that is kept on each machine: files, services, executables, settings, routes, addresses. What carries
your SSH connection stays. Packages stay installed, images stay in the runtime and in the registry.
Again: nothing is left to do.

Examples:
  kubev6 reset
  kubev6 reset kube-worker-2
  kubev6 reset --cluster rack.yaml --yes
"""

from __future__ import annotations

import argparse

from kubev6.cli import names
from kubev6.cli.command import (
    add_cluster,
    add_if_busy,
    add_showing,
    add_task_runner,
    completed_by,
    refuse_missing_runner,
)
from kubev6.console.standard_output import tell


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    nodes = parser.add_argument("nodes", metavar="NODE", nargs="*", help="the machines' names; all of them without one")
    completed_by(nodes, names.nodes)
    add_cluster(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_if_busy(parser, "wait")
    add_task_runner(parser)
    add_showing(parser)


def run(args: argparse.Namespace) -> int:
    """Take machines out of their cluster and make them what they were."""
    from configs.schema.loading import load_cluster
    from kubev6.cli.running import agreed, running
    from kubev6.console import tables
    from tasks.kubernetes import removal

    refuse_missing_runner(args.task_runner)
    cluster = load_cluster(args.cluster)
    leaving = removal.chosen(cluster, args.nodes)
    tell(tables.leaving(cluster, leaving.names))
    if not args.yes and not agreed("reset"):
        print("Nothing was done.")
        return 1
    with running("reset", args, about=cluster) as here:
        here.prefect.start()
        from flows.reset import reset as flow
        from flows.run.runner import task_runner

        done = here.prefect.outcome(
            flow.with_options(task_runner=task_runner(args.task_runner)), args.cluster, tuple(args.nodes), args.if_busy
        )
    tell(tables.resets(done))
    here.prefect.check_told()
    return 0
