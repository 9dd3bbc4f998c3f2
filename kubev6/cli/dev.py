"""Bring a working tree of Kubernetes onto a cluster: compile it as it stands, replace what that changes, and prove it.

Uncommitted changes and new files count; nothing is written into the tree. Go's own tool tells by what a program is
made of which ones an edit changes: no others are linked again, and on the cluster only they are replaced, as by
every other upgrade in place. The first time everything is compiled.

A tree that does not compile leaves the cluster alone. A component that does not come up, or with which the proof
does not hold, is replaced by the one from before. `kubev6 rollback` goes back too.

Examples:
  kubev6 dev --source ~/src/kubernetes
  kubev6 dev --source ~/src/kubernetes --release v1.36.0 --cluster rack.yaml
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kubev6.cli import names
from kubev6.cli.command import (
    add_cluster,
    add_if_busy,
    add_mirror,
    add_showing,
    add_task_runner,
    completed_by,
    refuse_missing_runner,
)


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument(
        "--source", required=True, type=Path, metavar="DIR", help="the top directory of a checkout of Kubernetes"
    )
    add_cluster(parser)
    release = parser.add_argument(
        "--release",
        default="",
        metavar="RELEASE",
        help="the release that the tree is nearest to, whose version, compiler and images of other projects it takes "
        "(the cluster's own)",
    )
    completed_by(release, names.releases)
    add_mirror(parser)
    add_if_busy(parser, "wait")
    add_task_runner(parser)
    add_showing(parser)


def run(args: argparse.Namespace) -> int:
    """Bring a working tree onto a cluster."""
    from configs.schema.loading import load_cluster
    from flows import parameters
    from kubev6.cli.deploy import deployed
    from tasks.release import choose
    from tasks.release.fetch import mirror
    from tasks.release.series import working_tree

    mirror.chosen(args.mirror)  # what is wrong with words and files is told before anything is started
    refuse_missing_runner(args.task_runner)
    cluster = load_cluster(args.cluster)
    directory = working_tree.top(args.source)
    choose.working_tree(cluster, str(directory), args.release)
    where, release = parameters.named(args.cluster), parameters.named(args.release)
    source = parameters.place(args.mirror)
    return deployed(args, cluster, str(directory), where, release, source, args.if_busy, command="dev")
