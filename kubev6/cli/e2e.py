"""Run upstream's own tests of a release against the cluster that runs it.

They are compiled from the release's own tree, of a published release from what its file would be built from, with the
image that most of them run in pods; other images come from the mirror or their publishers, and what cannot be had is
told before. They run on the control plane. A profile says which
tests are run, and which are known to fail and why; one of those that passes is told like one that fails.

What each said is kept beside the record of the run, as JUnit's XML and as the log of all of them; `kubev6 report` shows
it. Exits with 1 when a test failed that is not known to, or passed that is known to fail.

Examples:
  kubev6 e2e
  kubev6 e2e --focus 'Services.*NodePort'
  kubev6 e2e --focus 'hairpin' --repeat 20
  kubev6 e2e --profile conformance --cluster rack.yaml
  kubev6 e2e --list
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kubev6.cli import names
from kubev6.cli.command import (
    add_cluster,
    add_if_busy,
    add_json,
    add_mirror,
    add_showing,
    add_source,
    add_task_runner,
    completed_by,
    refuse_missing_runner,
)
from kubev6.console.standard_output import tell

if TYPE_CHECKING:
    from configs.manifest import Manifest
    from configs.schema.cluster import Cluster
    from configs.schema.e2e import Profile
    from configs.schema.release import Release
    from flows.e2e import Tested
    from flows.run.record import RunRecord


PARALLEL = 4
"""How many tests run at a time."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.set_defaults(misfit=_misfit)
    add_cluster(parser)
    profile = parser.add_argument(
        "--profile",
        default="network",
        metavar="PROFILE",
        help="which tests: a profile's file or the name of a shipped one (%(default)s)",
    )
    completed_by(profile, names.profiles)
    parser.add_argument(
        "--focus",
        default="",
        type=_expression,
        metavar="EXPRESSION",
        help="only those of them in whose name this regular expression is found",
    )
    parser.add_argument(
        "--parallel", default=PARALLEL, type=_count(64), metavar="N", help="how many tests at a time (%(default)s)"
    )
    parser.add_argument(
        "--repeat",
        default=1,
        type=_count(1000),
        metavar="N",
        help="run each so often, to find those that fail sometimes",
    )
    parser.add_argument("--list", action="store_true", help="print the names of the tests, and run none")
    add_source(parser)
    add_mirror(parser)
    add_if_busy(parser, "wait")
    add_task_runner(parser)
    add_json(parser, "print what each test came to as JSON")
    add_showing(parser)


def run(args: argparse.Namespace) -> int:
    """Run upstream's tests, or list them."""
    from configs.schema.loading import load_cluster, load_profile
    from flows import parameters
    from flows.run.record import E2E_LOG, JUNIT
    from kubev6.console import e2e
    from kubev6.console.display import plain_console
    from tasks.release import suite
    from tasks.release.fetch import mirror

    mirror.chosen(args.mirror)  # what is wrong with words and files is told before anything is started
    refuse_missing_runner(args.task_runner)
    cluster, profile = load_cluster(args.cluster), load_profile(args.profile)
    under_test = suite.under_test(cluster)
    sources = {remote: parameters.source(place) for remote, place in args.source}
    if args.list:
        return _list(args, cluster, *under_test, profile, sources)
    came_to = run_tests(args, cluster, args.profile, args.focus, args.parallel, args.repeat, sources)
    done, record = came_to.done, came_to.record
    if args.json:
        print(e2e.as_json(done.tests, done.lacking, done.stand_ins, record.stem if record else ""))
    else:
        e2e.show(plain_console(), done.tests, _before(cluster.name, record))
        for name in done.lacking:
            tell(f"Image {name} could not be had: tests that want it fail.")
        for image in done.stand_ins:
            tell(f"Image {image.name} is a stand-in for {image.stand_in_for}.")
        tell(e2e.summary(done.tests, came_to.seconds))
        if record:
            tell(f"Kept: {' and '.join(str(record.with_suffix(suffix)) for suffix in (JUNIT, E2E_LOG))}")
    came_to.check_told()
    return 1 if any(test.unexpected for test in done.tests) else 0


@dataclass(frozen=True, slots=True)
class CameTo:
    """What running tests came to, how long it took in all, and where the run is recorded."""

    done: Tested
    seconds: float
    record: Path | None
    check_told: Callable[[], None]


def run_tests(
    args: argparse.Namespace,
    cluster: Cluster,
    profile: str,
    focus: str,
    parallel: int = PARALLEL,
    repeat: int = 1,
    sources: Mapping[str, str] | None = None,
) -> CameTo:
    """Run the flow, with its steps on the screen.

    Args:
        args: What was given at the command line: the cluster, the mirror, the task runner, and how much is shown.
        cluster: The topology.
        profile: Which tests.
        focus: Only those of them in whose name this is found.
        parallel: How many at a time.
        repeat: How often each.
        sources: Other places for the remotes of the release's series, by name.

    Raises:
        KubeV6Error: They could not be made or run.
    """
    import time

    from flows import parameters
    from kubev6.cli.running import running

    began = time.monotonic()
    with running("e2e", args, about=cluster) as here:
        here.prefect.start()
        from flows.e2e import Tested, e2e
        from flows.run.runner import task_runner

        flow = e2e.with_options(task_runner=task_runner(args.task_runner))
        where, which = parameters.named(args.cluster), parameters.named(profile)
        more = (focus, parallel, repeat, parameters.place(args.mirror), args.if_busy, dict(sources or {}))
        done = here.prefect.outcome(flow, where, which, *more)
        record = here.context.recording.path if here.context.recording else None
    assert isinstance(done, Tested)
    return CameTo(done, time.monotonic() - began, record, here.prefect.check_told)


def _before(cluster: str, this: Path | None) -> RunRecord | None:
    """The run of tests before this one."""
    from flows.run import record as run_record

    return next(
        (
            record
            for path, record in run_record.runs()
            if path != this and record.tests and record.topology and record.topology.name == cluster
        ),
        None,
    )


def _list(
    args: argparse.Namespace,
    cluster: Cluster,
    release: Release,
    manifest: Manifest,
    profile: Profile,
    sources: Mapping[str, str],
) -> int:
    """Print the names of the tests that would be run."""
    from kubev6.cli.running import running
    from tasks.release import suite

    with running("e2e-list", args, on=cluster):
        found = suite.names(release, manifest, profile, sources)
    for name in found:
        if not args.focus or re.search(args.focus, name):
            tell(name)
    return 0


def _misfit(args: argparse.Namespace) -> str:
    return "--json goes with a run; --list prints lines" if args.json and args.list else ""


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None
    return text


def _count(most: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {most}")
        return int(text)

    return count
