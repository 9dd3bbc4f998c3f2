"""The commands that look at a cluster, and use it."""

from __future__ import annotations

import argparse

from flows.cli import names
from flows.cli.command import Commands, add_cluster, add_if_busy, add_json, add_showing, command, completed_by


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add them."""
    _add_verify(commands)
    _add_report(commands)
    _add_render(commands)
    _add_kubectl(commands)
    _add_ssh(commands)


def _add_verify(commands: Commands[argparse.ArgumentParser]) -> None:
    verify = command(
        commands,
        "verify",
        "prove that a cluster works over IPv6 only",
        "Asks the API server, every node and a pod on every node, and prints one line for each check. Exits with 1\n"
        "when a check fails.",
        ["kubev6 verify", "kubev6 verify --json"],
    )
    add_cluster(verify)
    add_if_busy(verify, "wait")
    add_json(verify)
    add_showing(verify)


def _add_report(commands: Commands[argparse.ArgumentParser]) -> None:
    report = command(
        commands,
        "report",
        "draw the report of a run: topology, connectivity, time line, patches, changes",
        "Writes one HTML file beside the record of the run, and prints its path. It holds all it needs, so it can be\n"
        "looked at without a network and passed on. Runs of deploy, build, reset and series apply are recorded, also\n"
        "those that failed; the last 50 are kept.",
        ["kubev6 report", "kubev6 report --open", "kubev6 report --list", "kubev6 report 20260301T093000Z"],
    )
    named = report.add_argument(
        "named",
        nargs="?",
        metavar="RUN",
        help="a run's name or the beginning of it, or the file of its record; the cluster's latest when absent",
    )
    completed_by(named, names.runs)
    add_cluster(report)
    report.add_argument("--open", action="store_true", help="also show it in the desktop's browser")
    report.add_argument("--list", action="store_true", help="list the runs there are, the newest first")


def _add_render(commands: Commands[argparse.ArgumentParser]) -> None:
    render = command(
        commands,
        "render",
        "print what every machine must look like",
        "Prints the desired state: every file with its content, every route, setting, package and service. No machine\n"
        "is contacted; a deploy asks each one which system it runs and what configures its interfaces.",
        ["kubev6 render lab", "kubev6 render kube-v6 --os centos-7 --node kube-master", "kubev6 render lab --json"],
    )
    cluster = render.add_argument("cluster", metavar="CLUSTER", help="a cluster file or the name of a shipped one")
    completed_by(cluster, names.clusters)
    completed_by(render.add_argument("--node", metavar="NODE", help="only this machine"), names.nodes)
    render.add_argument(
        "--os",
        default="debian-12",
        metavar="NAME[-VERSION]",
        help="the machines' system, as ID and VERSION_ID of os-release name it (%(default)s)",
    )
    add_json(render)


def _add_kubectl(commands: Commands[argparse.ArgumentParser]) -> None:
    kubectl = command(
        commands,
        "kubectl",
        "run kubectl against a cluster",
        "Runs the release's own kubectl through the SSH connection to the control plane. Exits as kubectl does.",
        ["kubev6 kubectl -- get nodes -o wide"],
        takes="rest",
        usage="kubev6 kubectl [-h] [--cluster CLUSTER] -- ARGUMENT...",
        misfit=lambda args: "" if args.rest else "what shall kubectl do? such as: kubev6 kubectl -- get nodes",
    )
    add_cluster(kubectl)


def _add_ssh(commands: Commands[argparse.ArgumentParser]) -> None:
    ssh = command(
        commands,
        "ssh",
        "open a shell on a machine, or run a command there",
        "Exits as the command does.",
        ["kubev6 ssh kube-worker-1", "kubev6 ssh kube-worker-1 -- ip -6 route"],
        takes="rest",
        usage="kubev6 ssh [-h] [--cluster CLUSTER] NODE [-- COMMAND...]",
    )
    completed_by(ssh.add_argument("node", metavar="NODE", help="the machine's name"), names.nodes)
    add_cluster(ssh)
