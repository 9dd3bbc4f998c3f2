"""What the commands do that look at a cluster, and use it. Each takes its arguments and returns its exit status."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from functools import partial

from configs.errors import KubeV6Error
from configs.schema.loading import load_cluster
from flows.commands.running import provide_secrets, running
from flows.console import plain_console


def verify(args: argparse.Namespace) -> int:
    """Prove that a cluster works."""
    cluster = load_cluster(args.cluster)
    with running("verify", args):
        from flows import summary
        from flows.connections import connection
        from flows.deployed import deployed
        from flows.turns import turn
        from tasks.kubernetes.verify import verify as prove

        provide_secrets()
        # A proof removes the pods of every other one, and finds no fault that is a run's doing.
        with turn(cluster.name, "kubev6 verify", args.if_busy):
            checks = prove(cluster, deployed(cluster), partial(connection, cluster))
    if args.json:
        print(summary.checks_as_json(checks))
    else:
        summary.show_checks(plain_console(), checks)
        print(f"{len(checks)} checks, {sum(not check.ok for check in checks)} failed")
    return 0 if all(check.ok for check in checks) else 1


def report(args: argparse.Namespace) -> int:
    """Draw the report of a run, or list the runs."""
    from flows.report import reading
    from flows.runs import run_record

    if args.list:
        for line in reading.listed():
            print(line)
        return 0
    if args.named:
        path, record = run_record.find(args.named)
    else:
        known = run_record.clusters()
        path, record = run_record.latest(args.cluster if args.cluster in known else load_cluster(args.cluster).name)
    drawn = reading.draw(path, record)
    print(drawn)
    if args.open:
        reading.show(drawn)
    return 0


def render(args: argparse.Namespace) -> int:
    """Print what every machine must look like."""
    from configs.plan import plan_node
    from configs.systems import machine_running
    from flows import preview
    from flows.choose_release import for_plan
    from tasks.store import Store

    cluster = load_cluster(args.cluster)
    machine = machine_running(args.os)
    nodes = (cluster.node(args.node),) if args.node else cluster.nodes
    release, manifest = for_plan(cluster, False, "", Store())
    states = {node.name: plan_node(cluster, release, manifest, node.name, machine) for node in nodes}
    print(preview.states_as_json(states) if args.json else preview.states_as_text(states))
    return 0


def kubectl(args: argparse.Namespace) -> int:
    """Run kubectl against a cluster."""
    from flows.deployed import deployed
    from tasks import inventory
    from tasks.kubernetes import kubectl as task
    from tasks.store import Store

    cluster = load_cluster(args.cluster)
    control_plane = inventory.endpoints(cluster)[cluster.control_plane.name]
    return task.run(cluster, deployed(cluster), Store(), control_plane, args.rest)


def ssh(args: argparse.Namespace) -> int:
    """Open a shell on a machine, or run a command there."""
    from tasks import inventory
    from tasks.ssh.connection import ssh_command

    cluster = load_cluster(args.cluster)
    words = ssh_command(inventory.endpoints(cluster)[cluster.node(args.node).name], args.rest)
    if shutil.which(words[0]) is None:
        raise KubeV6Error(f"{words[0]} is not installed on this machine", todo="apt-get install openssh-client")
    sys.stdout.flush()
    os.execvp(words[0], words)
