"""Open a shell on a machine, or run a command there.

Exits as the command does.

Examples:
  kubev6 ssh kube-worker-1
  kubev6 ssh kube-worker-1 -- ip -6 route
"""

from __future__ import annotations

import argparse

from kubev6.cli import names
from kubev6.cli.command import add_cluster, completed_by


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.set_defaults(takes_rest=True)
    parser.usage = "kubev6 ssh [-h] [--cluster CLUSTER] NODE [-- COMMAND...]"
    completed_by(parser.add_argument("node", metavar="NODE", help="the machine's name"), names.nodes)
    add_cluster(parser)


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
