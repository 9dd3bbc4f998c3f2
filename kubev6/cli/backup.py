"""Write all that a cluster knows into a file that only the holder of a key can read.

That is a snapshot of etcd, the certificate authorities with their keys, kubeadm's document and the topology;
what pods keep on volumes is no part of it. It is encrypted to a public key, in the format of age: one of ssh's
(ed25519 or RSA) or of age-keygen's, or several, of which each opens it. Without a key there is no backup.
Nothing of it reaches a disk in clear. The cluster goes on meanwhile, and nothing of it is changed.

It is called by the cluster and the time, and put into the data directory, where nobody else may read it.
`kubev6 restore` brings the cluster back. --keep removes older ones, when the new one is whole.

Examples:
  kubev6 backup --key ~/.ssh/id_ed25519.pub
  kubev6 backup --cluster rack.yaml --key backup-key.pub --to /media/usb
  kubev6 backup --cluster rack.yaml --key age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p --keep 7
"""

from __future__ import annotations

import argparse

from kubev6.cli.command import (
    add_cluster,
    add_if_busy,
    add_showing,
    add_task_runner,
    refuse_missing_runner,
)
from kubev6.console.standard_output import tell


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    add_cluster(parser)
    parser.add_argument(
        "--key",
        action="append",
        required=True,
        metavar="KEY",
        help="the public key that it is encrypted to, or a file with some, such as ~/.ssh/id_ed25519.pub; may be "
        "repeated",
    )
    parser.add_argument(
        "--to",
        default="",
        metavar="PLACE",
        help="a directory, or a file that is not there yet (the directory backups/CLUSTER of the data directory)",
    )
    parser.add_argument(
        "--keep",
        type=_number,
        default=0,
        metavar="NUMBER",
        help="afterwards so many backups of this cluster stay in that directory, of those that were made from here and "
        "called by their time (all)",
    )
    add_if_busy(parser, "wait")
    add_task_runner(parser)
    add_showing(parser)


def _number(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 1000:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1000")


def run(args: argparse.Namespace) -> int:
    """Make a backup."""
    from configs.schema.loading import load_cluster
    from configs.words import counted
    from flows import parameters
    from kubev6.cli.running import running
    from tasks.backup.keys import public
    from tasks.kubernetes import backup as verbs

    refuse_missing_runner(args.task_runner)
    cluster = load_cluster(args.cluster)
    keys = tuple(key for each in args.key for key in public(each))
    to = parameters.file(args.to) + "/" * args.to.endswith("/")
    verbs.refuse(cluster, keys, to)
    with running("backup", args, about=cluster) as here:
        here.prefect.start()
        from flows.backup import backup as flow
        from flows.run.runner import task_runner

        done = here.prefect.outcome(
            flow.with_options(task_runner=task_runner(args.task_runner)),
            parameters.named(args.cluster),
            keys,
            to,
            args.keep,
            args.if_busy,
        )
    tell(f"{counted(done.objects, 'object')} of {cluster.name}, as {done.control_plane} has them, are in\n{done.path}")
    for path in done.gone:
        tell(f"Removed: {path}")
    here.prefect.check_told()
    return 0
