"""What each command of the command line does. Each function takes its arguments and returns its exit status."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.errors import KubeV6Error
from configs.schema import load_cluster, load_release
from flows import environment
from flows.console import StepScreen, plain_console, showing_steps
from flows.run_log import open_run_log
from tasks import steps

log = logging.getLogger("kubev6.commands")
SECONDS_TO_STOP = 10.0
"""How long the threads of a run that was interrupted have to end by themselves."""


def deploy(args: argparse.Namespace) -> int:
    """Bring a cluster up, or show what that would change."""
    if args.plan:
        return _plan(args)
    cluster = load_cluster(args.cluster)  # before anything is started
    load_release(cluster.release)
    began = time.monotonic()
    with _run("deploy", verbose=args.verbose) as screen:
        _start_prefect()
        from flows.deploy import deploy as flow

        state = flow(args.cluster, args.prebuilt is not None, args.prebuilt or "", return_state=True)
        done = _outcome(state)
    from flows.stages import Deployed

    assert isinstance(done, Deployed)
    from flows import summary

    console = plain_console()
    summary.show_nodes(console, cluster, done.manifest)
    summary.show_proof(console, done.checks)
    summary.show_times(console, screen.ended, time.monotonic() - began)
    for change in done.changes:
        log.info("changed: %s", change)
    print(f"Release {done.manifest.version}: {done.why}.")
    for image in done.manifest.images:
        if image.stand_in_for:
            print(f"Image {image.name} is a stand-in for {image.stand_in_for}, which could not be had.")
    print("1 change." if len(done.changes) == 1 else f"{len(done.changes)} changes.")
    if not all(check.ok for check in done.checks):
        print("kubev6: the cluster is up, but checks of its proof failed", file=sys.stderr)
        return 1
    print(summary.next_commands(cluster, args.cluster, _program()))
    return 0


def build(args: argparse.Namespace) -> int:
    """Build a release into the store."""
    load_release(args.release)
    with _run("build", verbose=args.verbose):
        _start_prefect()
        from flows.build import build as flow

        manifest = _outcome(flow(args.release, return_state=True))
    print(f"{manifest.name}: {manifest.version} is in the store")
    return 0


def releases(args: argparse.Namespace) -> int:  # noqa: ARG001 - the shape of a command
    """List the releases known here."""
    from flows.choose_release import choices
    from tasks.store import Store

    store = Store()
    for manifest in store.list():
        size = (sum(each.size for each in manifest.binaries) + sum(each.size for each in manifest.images)) / 1e6
        print(f"{manifest.name}  {manifest.version}  {manifest.source.kind} {manifest.created}  {size:.0f} MB")
    for line in choices(store):
        print(line)
    return 0


def render(args: argparse.Namespace) -> int:
    """Print what every machine must look like."""
    from configs.plan import plan
    from flows import preview
    from flows.choose_release import for_plan
    from tasks.store import Store

    cluster = load_cluster(args.cluster)
    states = plan(cluster, *for_plan(cluster, Store()))
    if args.node:
        states = {cluster.node(args.node).name: states[args.node]}
    print(preview.states_as_json(states) if args.json else preview.states_as_text(states))
    return 0


def verify(args: argparse.Namespace) -> int:
    """Prove that a cluster works."""
    cluster = load_cluster(args.cluster)
    with _run("verify"):
        from flows import summary
        from flows.deployed import deployed
        from tasks import inventory
        from tasks.verify import verify as prove

        checks = prove(cluster, deployed(cluster), inventory.endpoints(cluster))
    if args.json:
        print(summary.checks_as_json(checks))
    else:
        summary.show_checks(plain_console(), checks)
        print(f"{len(checks)} checks, {sum(not check.ok for check in checks)} failed")
    return 0 if all(check.ok for check in checks) else 1


def kubectl(args: argparse.Namespace) -> int:
    """Run kubectl against a cluster."""
    from flows.deployed import deployed
    from tasks import inventory
    from tasks import kubectl as task
    from tasks.store import Store

    cluster = load_cluster(args.cluster)
    control_plane = inventory.endpoints(cluster)[cluster.control_plane.name]
    return task.run(cluster, deployed(cluster), Store(), control_plane, args.rest)


def ssh(args: argparse.Namespace) -> int:
    """Open a shell on a machine, or run a command there."""
    from tasks import inventory
    from tasks.ssh import ssh_command

    cluster = load_cluster(args.cluster)
    words = ssh_command(inventory.endpoints(cluster)[cluster.node(args.node).name], args.rest)
    if shutil.which(words[0]) is None:
        raise KubeV6Error(f"{words[0]} is not installed on this machine", todo="apt-get install openssh-client")
    sys.stdout.flush()
    os.execvp(words[0], words)


def lab(args: argparse.Namespace) -> int:
    """The machines of a lab: up, down, status."""
    with _run(f"lab-{args.action}"):
        from tasks import lab as task
        from tasks import lab_record

        if args.action == "up":
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


def _plan(args: argparse.Namespace) -> int:
    cluster = load_cluster(args.cluster)
    with _run("plan"):
        from flows import preview
        from flows.choose_release import for_plan
        from tasks.store import Store

        named = args.prebuilt or cluster.release
        release, manifest = for_plan(cluster.model_copy(update={"release": named}), Store())
        found = preview.preview(cluster, release, manifest)
    print(preview.as_json(found) if args.json else preview.as_text(found))
    if manifest is None:
        note = f"release {release.name} is not in the store yet: its binaries are not compared"
        print(f"kubev6: {note}", file=sys.stderr)
    return 0


@contextmanager
def _run(command: str, *, verbose: bool = False) -> Iterator[StepScreen]:
    """A run with its steps on the screen and everything in its log, which errors name."""
    path = open_run_log(command)
    try:
        with showing_steps(verbose=verbose) as screen, _stoppable(screen):
            yield screen
    except KubeV6Error as error:
        errors = getattr(error, "errors", (error,))
        for each in errors:
            log.debug("failed: %s\n%s", each, getattr(each, "detail", ""), exc_info=each)
        told = [each if isinstance(each, KubeV6Error) else _defect(each) for each in errors]
        for each in told[:-1]:
            print(f"kubev6: {each}", file=sys.stderr)
        raise KubeV6Error(f"{told[-1]} (log: {path})") from error
    except Exception as error:
        log.exception("a defect")
        raise KubeV6Error(f"{_defect(error)} (log: {path})") from error


def _defect(error: BaseException) -> str:
    return f"a defect of kubev6: {type(error).__name__}: {str(error).partition(chr(10))[0]}"


@contextmanager
def _stoppable(screen: StepScreen) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the run soon: threads cannot be interrupted, but what they wait for can be ended."""

    def interrupted(signal_number: int, frame: Any) -> None:  # noqa: ARG001 - the shape of a signal handler
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # asked twice: at once
        screen.be_quiet()
        steps.stop()
        backstop = threading.Timer(SECONDS_TO_STOP, _give_up)
        backstop.daemon = True
        backstop.start()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if not steps.stopped():
            for number, handler in before.items():
                signal.signal(number, handler)


def _give_up() -> None:
    """End this process although threads of it still wait for something."""
    if server := sys.modules.get("prefect.server.api.server"):
        for running in list(server.SubprocessASGIServer._instances.values()):
            running.stop()
    print("kubev6: stopped; running it again goes on from here", file=sys.stderr, flush=True)
    os._exit(130)


def _start_prefect() -> None:
    """Import Prefect and wait for its server: a temporary one of this run, or the one that PREFECT_API_URL names."""
    with steps.step("prefect", "start"), ThreadPoolExecutor(1) as beside:
        environment.prepare()
        from prefect.client.orchestration import get_client

        def wait_for_server() -> None:
            with get_client(sync_client=True) as client:
                client.hello()

        started = beside.submit(wait_for_server)
        importlib.import_module("flows.deploy")  # takes a second too, and this one is idle
        started.result()


def _outcome(state: Any) -> Any:
    """What a flow returned. A proof that failed is an outcome too; an error is raised."""
    # Prefect wraps what a flow that returns a failed state has put into it.
    given = getattr(state.data, "result", None) if state.is_failed() else None
    value = state.result(raise_on_failure=False) if given is None else given
    if isinstance(value, BaseException):
        raise value
    return value


def _program() -> str:
    """How a person calls kubev6 here: by its name if that is on the PATH, else by the path that was used."""
    called = Path(sys.argv[0])
    if called.name != "kubev6" or shutil.which("kubev6") == str(called.resolve()):
        return "kubev6"
    return str(called)
