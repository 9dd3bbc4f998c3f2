"""``kubev6 ssh``: open a shell on a machine, or run a command there."""

from __future__ import annotations

import argparse

from kubev6.cli import names
from kubev6.cli.command import Commands, add_cluster, command, completed_by


def add(commands: Commands[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command."""
    parser = command(
        commands,
        "ssh",
        "open a shell on a machine, or run a command there",
        "Exits as the command does.",
        ["kubev6 ssh kube-worker-1", "kubev6 ssh kube-worker-1 -- ip -6 route"],
        takes="rest",
        usage="kubev6 ssh [-h] [--cluster CLUSTER] NODE [-- COMMAND...]",
        run=run,
    )
    completed_by(parser.add_argument("node", metavar="NODE", help="the machine's name"), names.nodes)
    add_cluster(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Open a shell on a machine, or run a command there."""
    import os
    import shutil
    import sys

    from configs.errors import KubeV6Error
    from configs.schema.loading import load_cluster
    from tasks import inventory
    from tasks.ssh.openssh import ssh_command

    cluster = load_cluster(args.cluster)
    words = ssh_command(inventory.endpoints(cluster)[cluster.node(args.node).name], args.rest)
    if shutil.which(words[0]) is None:
        raise KubeV6Error(f"{words[0]} is not installed on this machine", todo="apt-get install openssh-client")
    sys.stdout.flush()
    os.execvp(words[0], words)
