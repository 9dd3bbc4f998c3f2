"""Bring a cluster back from a backup, with every object that it had, and prove it.

The control planes have to be machines of no cluster: new ones, or such as `kubev6 reset` has made what they
were. The first gets the certificate authorities and the data of etcd, the others join it; so do workers. A worker
that is still of this cluster keeps what it has, and its pods are started again. The release is the one that the
backup is of; it has to be in the store. Asks first. One that was cut off goes on when it is run again.

The private key is read from its file: one of ssh's, or of age-keygen's. Its passphrase is asked for, or comes
by KUBEV6_BACKUP_PASSPHRASE_FILE. A backup that is damaged, of another cluster or newer than this kubev6 is refused
before anything is touched. Without BACKUP it is the newest one that was made from here.

Examples:
  kubev6 restore --key ~/.ssh/id_ed25519
  kubev6 restore --cluster rack.yaml /media/usb/rack-1-20261128T013000.123Z.kubev6.age --key backup-key
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kubev6.cli.command import (
    add_cluster,
    add_if_busy,
    add_showing,
    add_task_runner,
    refuse_missing_runner,
)
from kubev6.console.standard_output import tell

if TYPE_CHECKING:
    from configs.backup import Backup


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("backup", metavar="BACKUP", nargs="?", default="", help="the file of the backup (the newest)")
    add_cluster(parser)
    parser.add_argument("--key", required=True, metavar="FILE", help="the file of the private key that opens it")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_if_busy(parser, "wait")
    add_task_runner(parser)
    add_showing(parser)


def run(args: argparse.Namespace) -> int:
    """Bring a cluster back from a backup."""
    from configs.schema.loading import load_cluster
    from flows import parameters
    from kubev6.cli.deploy import deployed
    from kubev6.cli.running import agreed, provide_secrets, running
    from tasks import scope
    from tasks.backup import files
    from tasks.kubernetes import restore
    from tasks.release import choose
    from tasks.secrets import Secrets

    refuse_missing_runner(args.task_runner)
    cluster = load_cluster(args.cluster)
    path = parameters.file(args.backup) or str(files.newest(cluster.name))
    key = parameters.file(args.key)
    with scope.holding(Secrets()):  # a passphrase that was asked for is good for all of it
        with running("restore", args, on=cluster) as here:
            provide_secrets(here)
            restoring = restore.opened(cluster, path, key)
            choose.of_backup(restoring.backup)
        tell(_what_comes(restoring.backup, path))
        if not args.yes and not agreed("restore"):
            print("Nothing was done.")
            return 1
        return deployed("restore", args, cluster, parameters.named(args.cluster), path, key, args.if_busy)


def _what_comes(backup: Backup, path: str) -> str:
    """What a person is asked to agree to."""
    from configs.words import counted

    return (
        f"{backup.topology.name} comes back as it was on {backup.made}: {counted(backup.objects, 'object')}, "
        f"{backup.manifest.version}, {counted(len(backup.nodes), 'node')} ({', '.join(backup.nodes)}).\n"
        f"The certificate authority is {backup.fingerprint[:16]} (SHA-256).\n"
        f"From {path}"
    )
