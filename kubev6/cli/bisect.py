"""Find the commit of Kubernetes that broke a cluster, with git's own bisection.

Each commit that git wants to be tried is brought onto the cluster as `kubev6 dev` brings a working tree: only what it
changes is compiled and replaced. It is good when the proof holds, and those of upstream's tests pass that --check asks
for. It is bad when a component does not come up, the proof does not hold or a test fails; then the cluster goes back to
what it ran. One that does not compile is skipped. BAD is tried first, and has to be bad; GOOD is taken for good.

When something else fails, or Ctrl-C stops it, the same command goes on where it was. The checkout is read, and never
written to: neither its files nor its refs change. With --series the commits are those that its patches come to, from
its base on.

Examples:
  kubev6 bisect v1.36.0 HEAD --source ~/src/kubernetes --release v1.36.0
  kubev6 bisect HEAD~16 HEAD --source ~/src/kubernetes --check e2e:NodePort
  kubev6 bisect --series debian-1.20
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    from tasks.kubernetes.e2e_results import TestResult
    from tasks.kubernetes.judge import Judge, Tried
    from tasks.release.series.bisection import Bisection, Next, Range


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.set_defaults(misfit=_misfit)
    parser.add_argument(
        "good", nargs="?", metavar="GOOD", help="a commit with which the cluster works, in the history of BAD"
    )
    parser.add_argument("bad", nargs="?", metavar="BAD", help="a commit with which it does not")
    parser.add_argument("--source", type=Path, metavar="DIR", help="a checkout of Kubernetes, or a directory in one")
    series = parser.add_argument("--series", metavar="SERIES", help="a series file or the name of a shipped one")
    completed_by(series, names.series)
    add_check(parser, "judge also by those of upstream's tests")
    parser.add_argument("--restart", action="store_true", help="begin anew, and forget what was judged before")
    add_cluster(parser)
    release = parser.add_argument(
        "--release",
        default="",
        metavar="RELEASE",
        help="the release that the commits are nearest to, whose version, compiler and images of other projects they "
        "take (the cluster's own)",
    )
    completed_by(release, names.releases)
    add_mirror(parser)
    add_if_busy(parser, "wait")
    add_task_runner(parser)
    add_showing(parser)


def _misfit(args: argparse.Namespace) -> str:
    if args.series:
        return "--series goes without GOOD, BAD and --source" if args.good or args.source else ""
    return "" if args.bad and args.source else "GOOD, BAD and --source are needed, or --series"


def run(args: argparse.Namespace) -> int:
    """Find the first bad commit."""
    from configs.schema.loading import load_cluster, load_profile
    from configs.words import counted
    from flows import parameters
    from tasks.kubernetes.judge import judge_of
    from tasks.release.fetch import mirror
    from tasks.release.series import bisection

    mirror.chosen(args.mirror)  # what is wrong with words and files is told before anything is started
    refuse_missing_runner(args.task_runner)
    cluster, judge = load_cluster(args.cluster), judge_of([text for text, *_ in args.check])
    for _, profile, _ in args.check:
        load_profile(profile)
    _refuse_unproved(cluster)
    searched = _searched(args, cluster)
    where, release = parameters.named(args.cluster), parameters.named(args.release)
    with bisection.bisection(searched, cluster.name, judge.name, anew=args.restart) as under_way:
        if under_way.judged:
            known = counted(len(under_way.judged), "commit")
            tell(f"Goes on where it was: {known} judged before (--restart begins anew).")
        source = str(under_way.place) if args.series else searched.of
        given = (source, where, release, parameters.place(args.mirror), args.if_busy)
        while isinstance(now := under_way.now(), bisection.Next):
            _try(args, cluster, given, under_way, now, judge)
        return _tell_end(cluster, under_way, now.candidates, judge)


def _searched(args: argparse.Namespace, cluster: Cluster) -> Range:
    """Which commits are searched."""
    from kubev6.cli.running import running
    from tasks.release import choose
    from tasks.release.series import bisection, series, series_file, series_source, working_tree

    if not args.series:
        directory = working_tree.top(args.source)
        choose.working_tree(cluster, str(directory), args.release)
        return bisection.range_of(directory, args.good, args.bad)
    choose.working_tree(cluster, args.series, args.release)
    wanted = series_file.load(args.series)
    with running("bisect", args, on=cluster):
        source = series_source.obtain(wanted)
        return bisection.range_of_series(series.pick(wanted, source), source)


def _refuse_unproved(cluster: Cluster) -> None:
    """Refuse a cluster that a bad commit would leave broken: nothing else has held its proof there."""
    from tasks import deployed

    last = deployed.last(cluster)
    if last is None or not last.proved:
        raise KubeV6Error(
            f"cluster {cluster.name} runs nothing that held its proof, which it could go back to from a bad commit",
            todo="`kubev6 deploy` brings it up and proves it",
        )


def _try(
    args: argparse.Namespace,
    cluster: Cluster,
    given: Sequence[str],
    under_way: Bisection,
    chosen: Next,
    judge: Judge,
) -> None:
    """Bring a commit onto the cluster, and keep what is said of it.

    Raises:
        KubeV6Error: Nothing can be said of it; or the bad commit is not bad, so that there is nothing to search for.
    """
    from kubev6.cli.running import alone
    from kubev6.console import bisection as console
    from tasks.release.series.bisection import Judged

    began, commit = time.monotonic(), under_way.commit(chosen.commit)
    with alone("bisect", cluster, args):
        run, tried = _brought(args, cluster, (*given, commit.id))
    said = judge.judge(tried)
    tell(console.step(commit, said.verdict, time.monotonic() - began, chosen.left))
    if said.verdict == "unknown":
        raise KubeV6Error(
            f"commit {console.named(commit)} could not be judged: {said.seen}",
            todo="mend that, and the same command goes on where it was",
        )
    if commit.id == under_way.searched.bad and said.verdict != "bad":
        why = f"holds {judge.name}" if said.verdict == "good" else f"cannot be judged: {said.seen}"
        raise KubeV6Error(
            f"BAD, which is {console.named(commit)}, {why}",
            todo="name a commit that compiles and with which the cluster does not work",
        )
    under_way.mark(commit.id, Judged(said.verdict, said.seen, run))


def _brought(args: argparse.Namespace, cluster: Cluster, given: Sequence[str]) -> tuple[str, Tried]:
    """Bring a commit onto the cluster, and judge it there. The name of the last run, and what came of it."""
    from kubev6.cli.deploy import outcome
    from kubev6.cli.running import running
    from tasks import deployed
    from tasks.kubernetes.judge import Tried, by_tests

    run, before = "", deployed.last(cluster)
    try:
        with running("bisect", args, about=cluster) as here:
            if here.context.recording:
                run = here.context.recording.path.stem
            done = outcome("dev", here, args, *given)
        here.prefect.check_told()
        tests: tuple[TestResult, ...] = ()
        for _, profile, focus in args.check:
            came_to = run_tests(args, cluster, profile, focus)
            tests, run = (*tests, *came_to.done.tests), came_to.record.stem if came_to.record else run
        tried = Tried(done.checks, tests=tests)
        if by_tests(tried).verdict == "bad" and deployed.last(cluster) != before:
            _go_back(args, cluster)
        return run, tried
    except KubeV6Error as error:  # of what has failed, in words with its log
        standard_error.say(str(error))
        cause = error.__cause__ or error
        return run, Tried(errors=tuple(getattr(cause, "errors", (cause,))))


def _go_back(args: argparse.Namespace, cluster: Cluster) -> None:
    """Bring the cluster back to what it ran, as it goes back by itself from what fails its proof.

    Raises:
        KubeV6Error: It cannot be done.
    """
    from flows import parameters
    from kubev6.cli.deploy import outcome
    from kubev6.cli.running import running

    with running("rollback", args, about=cluster) as here:
        outcome("deploy", here, args, parameters.named(args.cluster), True, "", "", args.if_busy, "", False, True)
    here.prefect.check_told()


def _tell_end(cluster: Cluster, under_way: Bisection, candidates: Sequence[str], judge: Judge) -> int:
    """Tell the first bad commit, or which it may be, and what the cluster runs. The exit status."""
    from kubev6.console import bisection as console
    from tasks import deployed

    commits, judged = [under_way.commit(each) for each in candidates], under_way.judged
    tell(console.found(commits[0], judge.name, judged) if len(commits) == 1 else console.one_of(commits, judged))
    if not any(each.verdict == "good" for each in judged.values()):
        good = under_way.searched.good[: console.SHORT]
        how = f"; `kubev6 bisect {good}~1 {good}` tries it" if under_way.searched.is_whole else ""
        tell(f"GOOD ({good}) was not tried, and no other commit was good{how}.")
    last = deployed.last(cluster)
    commit = last.manifest.source.commit if last else ""
    runs = f"{console.named(under_way.commit(commit))}, the last good one" if commit in judged else "what it ran before"
    tell(f"Cluster {cluster.name} runs {runs}.")
    return 0 if len(commits) == 1 else 1
