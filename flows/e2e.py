"""The order in which upstream's own tests judge a cluster: `kubev6 e2e`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from configs.errors import KubeV6Error
from configs.manifest import ImageEntry
from configs.schema.e2e import Profile
from configs.schema.loading import load_cluster, load_profile
from configs.words import counted
from flows.parameters import AtOnce, ClusterName, Focus, IfBusy, MirrorPlace, ProfileName, SourcePlace, Times
from flows.run import names
from flows.run.lifecycle import called, failed, flow_run
from flows.run.lock import locked
from flows.run.record import E2E_LOG, JUNIT
from flows.run.redaction import to_show
from flows.run.results import result, results
from flows.run.runner import THREADS
from flows.steps import e2e as steps
from flows.steps import release as release_steps
from flows.steps.job import Job
from tasks.events import TestsJudged, emit
from tasks.in_use import in_use
from tasks.kubernetes.e2e_results import Circumstances, TestResult, junit, known_failures
from tasks.kubernetes.e2e_results import results as judged
from tasks.release import suite
from tasks.release.build import building
from tasks.release.fetch import mirror as mirrors
from tasks.release.fetch.mirror import Mirror
from tasks.secrets import hide


@dataclass(frozen=True, slots=True)
class Tested:
    """What upstream's tests came to.

    Attributes:
        tests: What each test came to.
        lacking: Images that tests want, and that could not be had.
        stand_ins: Images that stand in for others, of the cluster and of its tests.
    """

    tests: tuple[TestResult, ...]
    lacking: tuple[str, ...]
    stand_ins: tuple[ImageEntry, ...]


@flow(name="kubev6-e2e", flow_run_name=names.of_cluster("e2e", "cluster"), task_runner=THREADS)
def e2e(
    cluster: ClusterName = "lab",
    profile: ProfileName = "network",
    focus: Focus = "",
    parallel: AtOnce = 4,
    repeat: Times = 1,
    mirror: MirrorPlace = "",
    if_busy: IfBusy = "wait",
    sources: dict[str, SourcePlace] | None = None,
) -> State[Any]:
    """Run upstream's own tests of the release that a cluster runs against it.

    Args:
        cluster: The name of a shipped cluster, or the whole path of a cluster file on the worker's machine.
        profile: Which tests: the name of a shipped profile, or the whole path of a file.
        focus: A regular expression: only those of them in whose name it is found.
        parallel: How many at a time, of those that can bear others beside them.
        repeat: How often each is run.
        mirror: Where images of other projects are read from; empty for what ``KUBEV6_MIRROR`` names, else for their
            publishers.
        if_busy: Wait for another run on this cluster to end, or refuse to begin.
        sources: Other places for the remotes of the release's series, by name.
    """
    try:
        topology, wanted = load_cluster(cluster), load_profile(profile)
        suite.under_test(topology)  # a cluster that runs nothing of ours is told at once
        who = called("e2e")
        with flow_run("e2e", topology) as run, locked(topology.name, who, if_busy), in_use(who):
            job = Job(topology, *suite.under_test(topology))  # what it runs now, when who was waited for has ended
            done, log = tested(job, wanted, focus, parallel, repeat, mirrors.chosen(mirror), sources or {})
            emit(TestsJudged(tests=done.tests))
            if run.recording:
                run.recording.keep(JUNIT, hide(junit(done.tests, f"{wanted.name} on {topology.name}")))
                run.recording.keep(E2E_LOG, log)
    except KubeV6Error as error:
        return failed(error)
    bad = [f"{test.name} ({test.sentence})" for test in done.tests if test.unexpected]
    if bad:
        said = f"{counted(len(bad), 'test')} of {len(done.tests)}: " + ";\n".join(bad)
        return Failed(message=to_show(said), data=done)
    return Completed(message=f"{counted(len(done.tests), 'test')}, all as expected", data=done)


def tested(
    job: Job,
    profile: Profile,
    focus: str,
    parallel: int,
    repeat: int,
    mirror: Mirror | None,
    sources: Mapping[str, str],
) -> tuple[Tested, bytes]:
    """The order: the tests are made and chosen before anything is touched. Returns what they came to, and their log.

    Args:
        job: The cluster, and the release that it runs.
        profile: Which tests.
        focus: Only those in whose name this is found.
        parallel: How many at a time.
        repeat: How often.
        mirror: Where images are read from.
        sources: Other places for the remotes of the release's series, by name.

    Raises:
        KubeV6Error: They could not be made, chosen or run.
    """
    source = release_steps.source.submit(job.release, sources, "")
    tree = result(source)
    picked = result(release_steps.cherry_pick.submit(job.release, tree, "", wait_for=[source]))
    tools = result(release_steps.toolchain.submit(job.release, tree, picked))
    with building(job.release):  # what is compiled is read until the images are made
        programs = result(steps.compile_suite.submit(job, tree, picked, tools))
        choosing = steps.choose.submit(programs, tools, profile, focus)
        making = steps.images.submit(job, programs, tools, profile, mirror, wait_for=[choosing])
        results([choosing, making])
    selection, made = result(choosing), result(making)
    pushing = steps.push.submit(job, made.content)
    ran = result(steps.run.submit(job, made, selection, parallel, repeat, wait_for=[pushing]))
    stand_ins = (*(image for image in job.manifest.images if image.stand_in_for), *made.stand_ins)
    names_of = [image.name for image in stand_ins]
    here = Circumstances(job.manifest.version, job.cluster.lab is not None, made.lacking, names_of)
    known = known_failures(profile, selection.names, here)
    return Tested(judged(selection.names, ran.tests, known, late=ran.late), made.lacking, stand_ins), ran.log
