"""Bring a cluster back to the build of Kubernetes that it ran before the last upgrade.

That build is still in the store, and goes onto the living cluster as every other one does: component by
component, with the proof after each. It goes one build back and no further. After an upgrade that was cut
off it goes back to what ran before that. Kubernetes does not go back to an older minor version.

Examples:
  kubev6 rollback
  kubev6 rollback --cluster rack.yaml
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


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    add_cluster(parser)
    add_if_busy(parser, "wait")
    add_task_runner(parser)
    add_showing(parser)


def run(args: argparse.Namespace) -> int:
    """Bring a cluster back to the build that it ran before."""
    from configs.schema.loading import load_cluster
    from flows import parameters
    from kubev6.cli.deploy import deployed

    refuse_missing_runner(args.task_runner)
    cluster = load_cluster(args.cluster)
    where = parameters.named(args.cluster)
    return deployed("deploy", args, cluster, where, True, "", "", args.if_busy, "", False, True)
