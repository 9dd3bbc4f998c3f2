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
from tasks.fetch import mirror

if TYPE_CHECKING:
    from prefect import Flow

P = ParamSpec("P")
R = TypeVar("R")


def deploy(args: argparse.Namespace) -> int:
    """Bring a cluster up, or show what that would change."""
    if args.plan:
        return _plan(args)
    cluster = load_cluster(args.cluster)  # before anything is started
    refuse_misfit(cluster, load_release(args.prebuilt or cluster.release))
    mirror.chosen(args.mirror)
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
    print("1 change." if len(done.changes) == 1 else f"{len(done.changes)} changes.")
    if not all(check.ok for check in done.checks):
        standard_error.say("the cluster is up, but checks of its proof failed")
        return 1
    print(summary.next_commands(cluster, args.cluster, _program()))
    return 0


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

        named = args.prebuilt or cluster.release
        release, manifest = for_plan(cluster.model_copy(update={"release": named}), Store())
        provide_secrets()
        found = preview.preview(cluster, release, manifest)
    print(preview.as_json(found) if args.json else preview.as_text(found))
    if manifest is None:
        note = f"release {release.name} is not in the store yet: its binaries are not compared"
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

        done = outcome(_on(flow, args.task_runner), args.cluster, tuple(args.nodes))
    print(summary.resets(done))
    return 0


def lab(args: argparse.Namespace) -> int:
    """The machines of a lab: up, down, status."""
    with running(f"lab-{args.action}", args):
        from tasks.in_use import in_use
        from tasks.lab import lab as task
        from tasks.lab import record as lab_record

        if args.action == "up":
            with in_use("lab up"):
                task.up(load_cluster(args.cluster))
            return 0
        # A lab can be looked at and taken down when the file that it was made from is gone.
        name = args.cluster if args.cluster in lab_record.names() else load_cluster(args.cluster).name
        if args.action == "down":
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
