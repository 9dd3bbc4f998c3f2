"""What the commands do that bring clusters up and take them down. Each takes its arguments, returns its exit status."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from configs.derived import refuse_misfit
from configs.schema.loading import load_cluster, load_release
from flows import orchestration, parameters, standard_error
from flows.commands.running import agreed, outcome, provide_secrets, running
from flows.console import plain_console
from flows.report.words import counted
from tasks.fetch import mirror

if TYPE_CHECKING:
    from prefect import Flow

P = ParamSpec("P")
R = TypeVar("R")


def deploy(args: argparse.Namespace) -> int:
    """Bring a cluster up, or show what that would change."""
    mirror.chosen(args.mirror)  # what is wrong with words and files is told before anything is started
    if args.plan:
        return _plan(args)
    cluster = load_cluster(args.cluster)
    refuse_misfit(cluster, load_release(args.prebuilt or cluster.release))
    began = time.monotonic()
    with running("deploy", args, about=cluster) as screen:
        orchestration.start()
        from flows.deploy import deploy as flow

        # The parameters are those of a deployment, so a path has to be whole.
        where, release = parameters.named(args.cluster), parameters.named(args.prebuilt or "")
        source = parameters.place(args.mirror)
        given = (where, args.prebuilt is not None, release, source, args.if_busy, args.refresh)
        done = outcome(_on(flow, args.task_runner), *given)
    from flows.stages import Deployed

    assert isinstance(done, Deployed)
    from flows import summary

    console = plain_console()
    summary.show_nodes(console, cluster, done.manifest)
    summary.show_proof(console, done.checks)
    summary.show_times(console, screen.ended, time.monotonic() - began)
    print(f"Release {done.manifest.version}: {done.why}.")
    for image in done.manifest.images:
        if image.stand_in_for:
            print(f"Image {image.name} is a stand-in for {image.stand_in_for}, which could not be had.")
    print(f"{counted(len(done.changes), 'change')}.")
    holds = all(check.ok for check in done.checks)
    if holds:
        print(summary.next_commands(cluster, args.cluster, _program()))
    else:
        standard_error.say("the cluster is up, but checks of its proof failed")
    orchestration.check_told()
    return 0 if holds else 1


def _on(flow: Flow[P, R], task_runner: str) -> Flow[P, R]:
    """A flow with the task runner that was asked for."""
    if task_runner == "threads":
        return flow
    from flows.dask.task_runner import on_dask

    return flow.with_options(task_runner=on_dask(task_runner))


def _plan(args: argparse.Namespace) -> int:
    cluster = load_cluster(args.cluster)
    with running("plan", args, on=cluster):
        from flows import preview
        from flows.choose_release import for_plan
        from tasks.store import Store

        release, manifest = for_plan(cluster, args.prebuilt is not None, args.prebuilt or "", Store())
        provide_secrets()
        found = preview.preview(cluster, release, manifest)
    print(preview.as_json(found) if args.json else preview.as_text(found))
    if manifest is None:
        note = f"the store does not have release {release.name} as its file says it: its binaries are not compared"
        standard_error.say(note, level="warning")
    return 0


def reset(args: argparse.Namespace) -> int:
    """Take machines out of their cluster and make them what they were."""
    from flows import leaving, summary

    cluster = load_cluster(args.cluster)
    going = leaving.chosen(cluster, args.nodes)
    print(summary.going(cluster, going.names))
    if not args.yes and not agreed("reset"):
        print("Nothing was done.")
        return 1
    with running("reset", args, about=cluster):
        orchestration.start()
        from flows.reset import reset as flow

        done = outcome(_on(flow, args.task_runner), args.cluster, tuple(args.nodes), args.if_busy)
    print(summary.resets(done))
    orchestration.check_told()
    return 0


def lab(args: argparse.Namespace) -> int:
    """The machines of a lab: up, down, status."""
    with running(f"lab-{args.action}", args):
        from flows.turns import turn
        from tasks.in_use import in_use
        from tasks.lab import lab as task
        from tasks.lab import record as lab_record

        if args.action == "up":
            cluster = load_cluster(args.cluster)
            with turn(cluster.name, "kubev6 lab up", args.if_busy), in_use("lab up"):
                task.up(cluster)
            return 0
        # A lab can be looked at and taken down when the file that it was made from is gone.
        name = args.cluster if args.cluster in lab_record.names() else load_cluster(args.cluster).name
        if args.action == "down":
            with turn(name, "kubev6 lab down", args.if_busy):
                task.down(name, images=args.images)
            return 0
        status = task.status(name)
    for machine in status.machines:
        print(f"{machine.name:<24}  {machine.state:<10}  {machine.address:<16}  {', '.join(machine.roles)}".rstrip())
    return 0 if status.up else 1


def _program() -> str:
    """How a person calls kubev6 here: by its name if that is on the PATH, else by the path that was used."""
    called = Path(sys.argv[0])
    if called.name != "kubev6" or shutil.which("kubev6") == str(called.resolve()):
        return "kubev6"
    return str(called)
