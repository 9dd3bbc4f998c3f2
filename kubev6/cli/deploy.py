"""Bring a cluster up and prove it; again: change only what is not as it should be.

Reads and checks the cluster file, brings up the machines of a lab, provides the release, brings every
machine to its state over SSH, runs kubeadm, and proves that the cluster works. A run that was cut off is
continued by running it again.

A cluster that runs another build is upgraded in place: etcd, API server, controller manager and scheduler,
kubelets one node after another, kube-proxy, with the proof after each. When one fails, the cluster goes back to
what it ran. --plan says before what is replaced; `kubev6 rollback` goes back later. To the next minor version
kubeadm itself brings the control plane, nodes are drained one after another, and there is no way back.

Examples:
  kubev6 deploy
  kubev6 deploy --prebuilt
  kubev6 deploy --prebuilt v1.9.0-alpha.0.ipv6.0 --mirror /media/usb
  kubev6 deploy --cluster rack.yaml --plan
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kubev6.cli import names
from kubev6.cli.command import (
    add_cluster,
    add_if_busy,
    add_json,
    add_mirror,
    add_refresh,
    add_showing,
    add_task_runner,
    completed_by,
    refuse_missing_runner,
)
from kubev6.console import standard_error
from kubev6.console.standard_output import tell

if TYPE_CHECKING:
    from configs.schema.cluster import Cluster
    from flows.deploy import Deployed
    from kubev6.cli.running import Running
    from kubev6.console.listener import Ended


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.set_defaults(misfit=_misfit)
    add_cluster(parser)
    prebuilt = parser.add_argument(
        "--prebuilt",
        nargs="?",
        const="",
        metavar="RELEASE",
        help="do not build: take RELEASE; without a name this cluster's release, from the store or by download, and "
        "where that is not published the how-to's",
    )
    completed_by(prebuilt, names.releases)
    add_mirror(parser)
    add_refresh(parser)
    add_if_busy(parser, "wait")
    add_task_runner(parser)
    parser.add_argument("--plan", action="store_true", help="show what would change on every machine and touch nothing")
    parser.add_argument(
        "--prune",
        action="store_true",
        help="drain and delete members that neither the cluster's file nor a deploy from here has made one; asks first",
    )
    parser.add_argument("--yes", action="store_true", help="with --prune: do not ask")
    add_json(parser, "with --plan: print it as JSON")
    add_showing(parser)


def _misfit(args: argparse.Namespace) -> str:
    if args.json and not args.plan:
        return "--json goes with --plan; kubev6 verify --json gives the proof for machines"
    if args.yes and not args.prune:
        return "--yes goes with --prune, which asks"
    if args.refresh and args.plan:
        return "--refresh makes a release again, and --plan makes none"
    if args.prebuilt is not None and args.refresh not in ("", "all", "source"):
        return f"--refresh {args.refresh} is about a build, and --prebuilt makes none; --refresh alone fetches again"
    return ""


def run(args: argparse.Namespace) -> int:
    """Bring a cluster up, or show what that would change."""
    from configs.plan.derived import refuse_misfit
    from configs.schema.loading import load_cluster, load_release
    from flows import parameters
    from tasks.kubernetes import cni
    from tasks.release.fetch import mirror

    mirror.chosen(args.mirror)  # what is wrong with words and files is told before anything is started
    if args.plan:
        return _plan(args)
    refuse_missing_runner(args.task_runner)
    cluster = load_cluster(args.cluster)
    refuse_misfit(cluster, load_release(args.prebuilt or cluster.release))
    cni.refuse_unreadable(cluster)
    if args.prune and not args.yes and not _pruning_agreed(cluster, args):
        print("Nothing was done.")
        return 1
    # The parameters are those of a deployment, so a path has to be whole.
    where, release = parameters.named(args.cluster), parameters.named(args.prebuilt or "")
    source = parameters.place(args.mirror)
    prebuilt = args.prebuilt is not None
    return deployed("deploy", args, cluster, where, prebuilt, release, source, args.if_busy, args.refresh, args.prune)


def deployed(command: str, args: argparse.Namespace, cluster: Cluster, *given: object) -> int:
    """Bring a cluster up, and tell what came of it.

    Args:
        command: Its name, which is that of its flow.
        args: What was given at the command line: the cluster, the task runner, and how much is shown.
        cluster: The topology.
        given: The parameters of the flow, in their order.

    Returns:
        The exit status.
    """
    from configs.words import counted
    from kubev6.console import tables
    from kubev6.console.display import plain_console

    came_to = bring_up(command, args, cluster, *given)
    done, console = came_to.done, plain_console()
    tables.show_nodes(console, cluster, done.manifest)
    tables.show_proof(console, done.checks)
    tables.show_times(console, came_to.ended, came_to.seconds)
    tell(f"Release {done.manifest.version}: {done.why}.")
    for image in done.manifest.images:
        if image.stand_in_for:
            tell(f"Image {image.name} is a stand-in for {image.stand_in_for}, which could not be had.")
    tell(f"{counted(len(done.changes), 'change')}.")
    for warning in tables.warnings(done.checks):
        standard_error.say(warning, level="warning")
    holds = all(check.ok for check in done.checks)
    if holds:
        tell(tables.next_commands(cluster, args.cluster, _program()))
    else:
        standard_error.say(f"the cluster is up, but {tables.failed_checks(done.checks)}")
    came_to.check_told()
    return 0 if holds else 1


@dataclass(frozen=True, slots=True)
class CameTo:
    """What bringing a cluster up came to.

    Attributes:
        done: The cluster as it is.
        ended: The steps.
        seconds: How long it took in all.
        check_told: To be called in the end: an error when Prefect's server does not know how the run has ended.
    """

    done: Deployed
    ended: Sequence[Ended]
    seconds: float
    check_told: Callable[[], None]


def bring_up(command: str, args: argparse.Namespace, cluster: Cluster, *given: object) -> CameTo:
    """Run a flow that brings a cluster up, with its steps on the screen.

    Args:
        command: Its name.
        args: What was given at the command line: the task runner, and how much is shown.
        cluster: The topology.
        given: The parameters of the flow, in their order.

    Raises:
        KubeV6Error: It failed.
    """
    import time

    from kubev6.cli.running import running

    began = time.monotonic()
    with running(command, args, about=cluster) as here:
        done = outcome(command, here, args, *given)
    return CameTo(done, here.shown.ended, time.monotonic() - began, here.prefect.check_told)


def outcome(flow: str, here: Running, args: argparse.Namespace, *given: object) -> Deployed:
    """Run a flow that brings a cluster up as part of a command.

    Args:
        flow: Its name.
        here: The command.
        args: What was given at the command line, of which the task runner.
        given: The parameters of the flow, in their order.

    Raises:
        KubeV6Error: It failed.
    """
    from importlib import import_module

    here.prefect.start()
    from flows.deploy import Deployed
    from flows.run.runner import task_runner

    called = getattr(import_module(f"flows.{flow}"), flow)
    done = here.prefect.outcome(called.with_options(task_runner=task_runner(args.task_runner)), *given)
    assert isinstance(done, Deployed)
    return done


def _plan(args: argparse.Namespace) -> int:
    from configs.schema.loading import load_cluster
    from kubev6.cli.running import provide_secrets, running
    from kubev6.console import changes
    from tasks.kubernetes import cni

    cluster = load_cluster(args.cluster)
    cni.refuse_unreadable(cluster)
    with running("plan", args, on=cluster) as here:
        from tasks import preview
        from tasks.release.choose import for_plan
        from tasks.release.store import Store

        release, manifest = for_plan(cluster, args.prebuilt is not None, args.prebuilt or "", Store())
        provide_secrets(here)
        found = preview.preview(cluster, release, manifest, prune=args.prune)
    if args.json:
        print(changes.as_json(found))
    else:
        tell(changes.as_text(found))
    if manifest is None:
        note = f"the store does not have release {release.name} as its file says it: its binaries are not compared"
        standard_error.say(note, level="warning")
    return 0


def _pruning_agreed(cluster: Cluster, args: argparse.Namespace) -> bool:
    """Name the members that would leave, and ask."""
    from kubev6.cli.running import agreed, provide_secrets, running
    from tasks.kubernetes import removal

    with running("prune", args, on=cluster) as here:
        provide_secrets(here)
        leaving = removal.orphaned(cluster, removal.members_of(cluster).names, prune=True)
    if not leaving:
        return True
    tell(f"These leave cluster {cluster.name}, drained and deleted: {', '.join(leaving)}.")
    return agreed("deploy --prune")


def _program() -> str:
    """How a person calls kubev6 here: by its name if that is on the PATH, else by the path that was used."""
    called = Path(sys.argv[0])
    if called.name != "kubev6" or shutil.which("kubev6") == str(called.resolve()):
        return "kubev6"
    return str(called)
