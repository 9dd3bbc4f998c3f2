"""``kubev6 kubectl``: run kubectl against a cluster."""

from __future__ import annotations

import argparse

from kubev6.cli.command import Commands, add_cluster, command


def add(commands: Commands[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command."""
    parser = command(
        commands,
        "kubectl",
        "run kubectl against a cluster",
        "Runs the release's own kubectl through the SSH connection to the control plane. Exits as kubectl does.",
        ["kubev6 kubectl -- get nodes -o wide"],
        takes="rest",
        usage="kubev6 kubectl [-h] [--cluster CLUSTER] -- ARGUMENT...",
        misfit=lambda args: "" if args.rest else "what shall kubectl do? such as: kubev6 kubectl -- get nodes",
        run=run,
    )
    add_cluster(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Run kubectl against a cluster."""
    from configs.schema.loading import load_cluster
    from tasks import inventory
    from tasks.deployed import deployed
    from tasks.kubernetes import kubectl as task
    from tasks.store import Store

    cluster = load_cluster(args.cluster)
    control_plane = inventory.endpoints(cluster)[cluster.control_plane.name]
    return task.run(cluster, deployed(cluster), Store(), control_plane, args.rest)
