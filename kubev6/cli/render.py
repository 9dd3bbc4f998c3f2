"""Print what every machine must look like.

Prints the desired state: every file with its content, every route, setting, package and service. No machine
is contacted; a deploy asks each one which system it runs and what configures its interfaces.

Examples:
  kubev6 render lab
  kubev6 render kube-v6 --os centos-7 --node kube-master
  kubev6 render lab --json
"""

from __future__ import annotations

import argparse
import sys

from kubev6.cli import names
from kubev6.cli.command import add_json, completed_by
from kubev6.console.standard_output import tell


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    cluster = parser.add_argument("cluster", metavar="CLUSTER", help="a cluster file or the name of a shipped one")
    completed_by(cluster, names.clusters)
    completed_by(parser.add_argument("--node", metavar="NODE", help="only this machine"), names.nodes)
    parser.add_argument(
        "--os",
        default="debian-12",
        metavar="NAME[-VERSION]",
        help="the machines' system, as ID and VERSION_ID of os-release name it (%(default)s)",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print what every machine must look like."""
    from configs.plan.node import plan_node
    from configs.plan.systems import machine_running
    from configs.plan.versions import newer_than_rules
    from configs.schema.loading import load_cluster
    from kubev6.console import changes, standard_error
    from tasks.release.choose import for_plan
    from tasks.release.store import Store

    cluster = load_cluster(args.cluster)
    machine = machine_running(args.os)
    nodes = (cluster.node(args.node),) if args.node else cluster.nodes
    release, manifest = for_plan(cluster, False, "", Store())
    if said := newer_than_rules(release.kubernetes):
        standard_error.say(said, level="warning")
    states = (plan_node(cluster, release, manifest, node.name, machine) for node in nodes)
    if args.json:
        sys.stdout.writelines(changes.states_as_json(states))
    else:
        for state in states:
            tell(changes.state_as_text(state))
    return 0
