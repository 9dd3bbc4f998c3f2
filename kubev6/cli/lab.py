"""The machines of a lab: up, down, status.

A lab's machines are containers of this machine, real in everything else. `deploy` brings them up too.
`up` and `down` give way to a run that works on the cluster. `status` exits with 1 when they are not all up.

Examples:
  kubev6 lab up
  kubev6 lab status
  kubev6 lab down --images
"""

from __future__ import annotations

import argparse

from kubev6.cli.command import add_cluster, add_if_busy, add_showing
from kubev6.console.standard_output import tell


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.set_defaults(misfit=_misfit)
    parser.add_argument("action", choices=("up", "down", "status"), help="what to do")
    add_cluster(parser)
    parser.add_argument(
        "--images",
        action="store_true",
        help="with down: also remove every image that kubev6 has made here, the toolchain too",
    )
    add_if_busy(parser, "refuse")
    add_showing(parser)


def _misfit(args: argparse.Namespace) -> str:
    if args.images and args.action != "down":
        return "--images goes with lab down"
    if args.if_busy == "wait" and args.action == "status":
        return "--if-busy goes with lab up and lab down; lab status disturbs nobody"
    return ""


def run(args: argparse.Namespace) -> int:
    """The machines of a lab: up, down, status."""
    from configs.schema.loading import load_cluster
    from kubev6.cli.running import running

    with running(f"lab-{args.action}", args):
        from flows.run.lock import locked
        from tasks.in_use import in_use
        from tasks.lab import lab as task
        from tasks.lab import record as lab_record

        if args.action == "up":
            cluster = load_cluster(args.cluster)
            with locked(cluster.name, "kubev6 lab up", args.if_busy), in_use("lab up"):
                task.up(cluster)
            return 0
        # A lab can be looked at and taken down when the file that it was made from is gone.
        name = args.cluster if args.cluster in lab_record.names() else load_cluster(args.cluster).name
        if args.action == "down":
            with locked(name, "kubev6 lab down", args.if_busy):
                task.down(name, images=args.images)
            return 0
        status = task.status(name)
    for machine in status.machines:
        tell(f"{machine.name:<24}  {machine.state:<10}  {machine.address:<16}  {', '.join(machine.roles)}".rstrip())
    return 0 if status.up else 1
