"""Bring a working tree of Kubernetes onto a cluster: compile it as it stands, replace what that changes, and prove it.

Uncommitted changes and new files count; nothing is written into the tree. Go's own tool tells by what a program is
made of which ones an edit changes: no others are linked again, and on the cluster only they are replaced, as by
every other upgrade in place. The first time everything is compiled.

A tree that does not compile leaves the cluster alone. A component that does not come up, or with which the proof
does not hold, is replaced by the one from before. `kubev6 rollback` goes back too. --check runs upstream's own tests
of the tree after that, as `kubev6 e2e` does; when one fails the cluster stays as it is, to be looked at.

Examples:
  kubev6 dev --source ~/src/kubernetes
  kubev6 dev --source ~/src/kubernetes --watch
  kubev6 dev --source ~/src/kubernetes --check 'e2e:Services.*NodePort'
  kubev6 dev --source ~/src/kubernetes --release v1.36.0 --cluster rack.yaml
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from configs.errors import KubeV6Error
from kubev6.cli import names
from kubev6.cli.command import (
    add_check,
    add_cluster,
    add_if_busy,
    add_mirror,
    add_showing,
    add_task_runner,
    completed_by,
    refuse_missing_runner,
)
from kubev6.cli.e2e import run_tests
from kubev6.console import standard_error
from kubev6.console.standard_output import tell

if TYPE_CHECKING:
    from configs.schema.cluster import Cluster


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument(
        "--source", required=True, type=Path, metavar="DIR", help="a checkout of Kubernetes, or a directory in one"
    )
    parser.add_argument("--watch", action="store_true", help="again after each change of the tree, until Ctrl-C")
    add_check(parser, "then run those of upstream's tests")
    add_cluster(parser)
    release = parser.add_argument(
        "--release",
        default="",
        metavar="RELEASE",
        help="the release that the tree is nearest to, whose version, compiler and images of other projects it takes "
        "(the cluster's own)",
    )
    completed_by(release, names.releases)
    add_mirror(parser)
    add_if_busy(parser, "wait")
    add_task_runner(parser)
    add_showing(parser)


def run(args: argparse.Namespace) -> int:
    """Bring a working tree onto a cluster."""
    from configs.schema.loading import load_cluster, load_profile
    from flows import parameters
    from tasks.release import choose
    from tasks.release.fetch import mirror
    from tasks.release.series import working_tree

    mirror.chosen(args.mirror)  # what is wrong with words and files is told before anything is started
    refuse_missing_runner(args.task_runner)
    cluster = load_cluster(args.cluster)
    for _, profile, _ in args.check:
        load_profile(profile)
    directory = working_tree.top(args.source)
    choose.working_tree(cluster, str(directory), args.release)
    where, release = parameters.named(args.cluster), parameters.named(args.release)
    given = (str(directory), where, release, parameters.place(args.mirror), args.if_busy)
    if args.watch:
        _watch(args, cluster, directory, given)
    return _once(args, cluster, given)[0]


def _once(args: argparse.Namespace, cluster: Cluster, given: Sequence[str]) -> tuple[int, str]:
    """Bring the tree as it stands onto the cluster, and tell what came of it. The exit status, and the tree's id."""
    from kubev6.cli.deploy import bring_up
    from kubev6.cli.running import alone
    from kubev6.console import edit, tables
    from tasks import deployed

    with alone("dev", cluster, args):
        former = deployed.last(cluster)
        came_to = bring_up("dev", args, cluster, *given)
        done = came_to.done
        before = former.manifest if former else None
        tell(edit.summary(before, done.manifest, done.changes, done.checks, came_to.ended, came_to.seconds))
        holds = all(check.ok for check in done.checks)
        if not holds:
            standard_error.say(f"the cluster is up, but {tables.failed_checks(done.checks)}")
        came_to.check_told()
        if holds:
            passed = [_passes(args, cluster, *check) for _, *check in args.check]  # all of them are run
            if not all(passed):
                standard_error.say("the cluster stays as it is, to be looked at; `kubev6 rollback` goes back")
            holds = all(passed)
    return 0 if holds else 1, done.manifest.source.tree


def _passes(args: argparse.Namespace, cluster: Cluster, profile: str, focus: str) -> bool:
    """Run some of upstream's tests, and tell what came of them."""
    from kubev6.console import e2e
    from kubev6.console.display import plain_console

    came_to = run_tests(args, cluster, profile, focus)
    e2e.show(plain_console(), came_to.done.tests, None)
    tell(f"{'tests':<10} {e2e.summary(came_to.done.tests, came_to.seconds)}")
    came_to.check_told()
    return not any(test.unexpected for test in came_to.done.tests)


def _watch(args: argparse.Namespace, cluster: Cluster, directory: Path, given: Sequence[str]) -> NoReturn:
    """The same at once, and after each change of the tree."""
    from tasks.release.series import series_file, tree_watch, working_tree

    tree = series_file.working_tree(directory)
    with tree_watch.changes(directory) as wait:
        last = ""
        while True:
            try:
                if (stands := working_tree.identity(tree)) != last:
                    last = stands
                    _, last = _once(args, cluster, given)  # it may have been saved again in between
                    continue
            except KubeV6Error as error:  # the next change may mend it
                standard_error.say(str(error))
            tell(f"Waiting for a change in {directory}; Ctrl-C ends.")
            wait()
