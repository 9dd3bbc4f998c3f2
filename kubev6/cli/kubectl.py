"""Run kubectl against a cluster.

Runs the release's own kubectl through the SSH connection to a control plane. Exits as kubectl does.

Examples:
  kubev6 kubectl -- get nodes -o wide
"""

from __future__ import annotations

import argparse

from kubev6.cli.command import add_cluster


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.set_defaults(takes_rest=True, misfit=_misfit)
    parser.usage = "kubev6 kubectl [-h] [--cluster CLUSTER] -- ARGUMENT..."
    add_cluster(parser)


def _misfit(args: argparse.Namespace) -> str:
    return "" if args.rest else "what shall kubectl do? such as: kubev6 kubectl -- get nodes"


def run(args: argparse.Namespace) -> int:
    """Run kubectl against a cluster."""
    from configs.schema.loading import load_cluster
    from tasks import inventory
    from tasks.deployed import deployed
    from tasks.kubernetes import kubectl as task
    from tasks.release.store import Store

    cluster = load_cluster(args.cluster)
    return task.run(cluster, deployed(cluster), Store(), inventory.endpoints(cluster), args.rest)
