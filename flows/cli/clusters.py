"""The commands that bring clusters up and take them down."""

from __future__ import annotations

import argparse
import re

from flows.cli import names
from flows.cli.command import (
    Commands,
    add_cluster,
    add_if_busy,
    add_json,
    add_mirror,
    add_refresh,
    add_showing,
    command,
    completed_by,
)


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add them."""
    _add_deploy(commands)
    _add_reset(commands)
    _add_lab(commands)


def _add_deploy(commands: Commands[argparse.ArgumentParser]) -> None:
    deploy = command(
        commands,
        "deploy",
        "bring a cluster up and prove it; again: change only what is not as it should be",
        "Reads and checks the cluster file, brings up the machines of a lab, provides the release, brings every\n"
        "machine to its state over SSH, runs kubeadm, and proves that the cluster works. A run that was cut off is\n"
        "continued by running it again.",
        [
            "kubev6 deploy",
            "kubev6 deploy --prebuilt",
            "kubev6 deploy --prebuilt v1.9.0-alpha.0.ipv6.0 --mirror /media/usb",
            "kubev6 deploy --cluster rack.yaml --plan",
        ],
        misfit=_deploy_misfit,
    )
    add_cluster(deploy)
    prebuilt = deploy.add_argument(
        "--prebuilt",
        nargs="?",
        const="",
        metavar="RELEASE",
        help="do not build: take RELEASE; without a name this cluster's release, from the store or by download, and "
        "where that is not published the how-to's",
    )
    completed_by(prebuilt, names.releases)
    add_mirror(deploy)
    add_refresh(deploy)
    add_if_busy(deploy, "wait")
    _add_task_runner(deploy)
    deploy.add_argument("--plan", action="store_true", help="show what would change on every machine and touch nothing")
    add_json(deploy, "with --plan: print it as JSON")
    add_showing(deploy)


def _deploy_misfit(args: argparse.Namespace) -> str:
    if args.json and not args.plan:
        return "--json goes with --plan; kubev6 verify --json gives the proof for machines"
    if args.refresh and args.plan:
        return "--refresh makes a release again, and --plan makes none"
    if args.prebuilt is not None and args.refresh not in ("", "all", "source"):
        return f"--refresh {args.refresh} is about a build, and --prebuilt makes none; --refresh alone fetches again"
    return ""


def _add_reset(commands: Commands[argparse.ArgumentParser]) -> None:
    reset = command(
        commands,
        "reset",
        "take machines out of their cluster and make them what they were before",
        "Asks first. Workers go before the control plane, the support node last; without names all of them do. A\n"
        "worker of a cluster that goes on is drained and deleted from it. Then everything is undone by the record\n"
        "that is kept on each machine: files, services, executables, settings, routes, addresses. What carries\n"
        "your SSH connection stays. Packages stay installed, images stay in the runtime and in the registry.\n"
        "Again: nothing is left to do.",
        ["kubev6 reset", "kubev6 reset kube-worker-2", "kubev6 reset --cluster rack.yaml --yes"],
    )
    chosen = reset.add_argument("nodes", metavar="NODE", nargs="*", help="the machines' names; all of them without one")
    completed_by(chosen, names.nodes)
    add_cluster(reset)
    reset.add_argument("--yes", action="store_true", help="do not ask")
    add_if_busy(reset, "wait")
    _add_task_runner(reset)
    add_showing(reset)


def _add_task_runner(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task-runner",
        type=_task_runner,
        default="threads",
        metavar="RUNNER",
        help="where the work on machines runs: threads of this process, `dask` for worker processes of its own, or the "
        "address of a Dask scheduler (tcp://host:8786) whose workers have the same kubev6, the same data directory on "
        "this machine or a shared file system, and keys and passwords in their own environment (%(default)s)",
    )


def _task_runner(word: str) -> str:
    if word in ("threads", "dask") or re.fullmatch(r"(tcp|tls)://\S+:\d+", word):
        return word
    raise argparse.ArgumentTypeError(f"{word!r} is neither threads nor dask nor an address such as tcp://host:8786")


def _add_lab(commands: Commands[argparse.ArgumentParser]) -> None:
    lab = command(
        commands,
        "lab",
        "the machines of a lab: up, down, status",
        "A lab's machines are containers of this machine, real in everything else. `deploy` brings them up too.\n"
        "`up` and `down` give way to a run that works on the cluster. `status` exits with 1 when they are not all up.",
        ["kubev6 lab up", "kubev6 lab status", "kubev6 lab down --images"],
        misfit=_lab_misfit,
    )
    lab.add_argument("action", choices=("up", "down", "status"), help="what to do")
    add_cluster(lab)
    lab.add_argument(
        "--images",
        action="store_true",
        help="with down: also remove every image that kubev6 has made here, the toolchain too",
    )
    add_if_busy(lab, "refuse")
    add_showing(lab)


def _lab_misfit(args: argparse.Namespace) -> str:
    if args.images and args.action != "down":
        return "--images goes with lab down"
    if args.if_busy == "wait" and args.action == "status":
        return "--if-busy goes with lab up and lab down; lab status disturbs nobody"
    return ""
