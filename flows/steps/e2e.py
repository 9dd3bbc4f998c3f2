"""Steps of upstream's tests: made from the release's own tree, brought to the cluster, run there."""

from __future__ import annotations

import re

from configs.errors import KubeV6Error
from configs.manifest import Manifest
from configs.plan.derived import certificate_path, container_runtime, registry_name
from configs.schema.e2e import Profile
from configs.words import counted
from flows.run.task import run_task
from flows.steps.job import Job
from tasks.kubernetes import control_planes, e2e
from tasks.kubernetes.e2e import Ran
from tasks.kubernetes.ginkgo import NoTestsError, Selection, exactly
from tasks.release import registry, suite
from tasks.release.build import Tools
from tasks.release.fetch.mirror import Mirror
from tasks.release.series.series import Picked
from tasks.release.series.source import Source
from tasks.release.store import Store
from tasks.release.suite import Programs, Suite
from tasks.ssh.pool import connection
from tasks.steps import came_to, step


@run_task("compile e2e of {job.release.name}", cacheable=True)
def compile_suite(job: Job, source: Source, picked: Picked, tools: Tools) -> Programs:
    """The programs of the tests."""
    suite.refuse_other_tree(job.manifest, picked)
    programs = suite.compile_suite(job.manifest, source, picked, tools, job.release.kubernetes)
    came_to(", ".join(sorted(programs.compiled.programs)))
    return programs


@run_task("choose tests of {profile.name}")
def choose(programs: Programs, tools: Tools, profile: Profile, focus: str) -> Selection:
    """Which tests are run. Nothing is touched for a choice that comes to none."""
    with step("e2e", "choose") as shown:
        names = suite.chosen(programs, tools.toolchain, profile.focus, profile.skip)
        if focus:
            names = tuple(name for name in names if re.search(focus, name))
        if not names:
            asked = f"whose name matches {focus!r}" if focus else "for this release"
            raise NoTestsError(
                f"profile {profile.name} has no test {asked}",
                todo="`kubev6 e2e --list` names those that it has; --profile takes another one, or a file of your own",
            )
        shown.ended_as(counted(len(names), "test"))
    return Selection(exactly(names), (), names) if focus else Selection(profile.focus, profile.skip, names)


@run_task("images of e2e", cacheable=True)
def images(job: Job, programs: Programs, tools: Tools, profile: Profile, mirror: Mirror | None) -> Suite:
    """The images that the tests use."""
    store = Store()
    made, lacking = suite.make_images(job.manifest, programs, tools.toolchain, profile.images, store, mirror)
    came_to(", ".join(f"{image.name}:{image.tag}" for image in made))
    stand_ins = tuple(image for image in made if image.stand_in_for)
    content = suite.content(job.manifest, programs, made, store)
    store.keep_tests(job.manifest, content)
    return Suite(programs, content, lacking, stand_ins)


@run_task("push e2e")
def push(job: Job, content: Manifest) -> None:
    """The tests and their images into the cluster's registry."""
    with connection(job.cluster, job.cluster.support.name) as ssh:
        registry.fill(ssh, job.cluster, content, Store())


@run_task("e2e on {job.cluster.name}")
def run(job: Job, made: Suite, selection: Selection, parallel: int, repeat: int) -> Ran:
    """The tests."""
    cluster = job.cluster
    runtime = container_runtime(cluster, job.release, job.manifest.version)
    certificate = certificate_path(runtime, registry_name(cluster))
    try:
        with control_planes.connected(cluster) as ssh:
            return e2e.run(
                ssh,
                cluster,
                made.content,
                made.programs.ginkgo,
                selection,
                parallel=parallel,
                repeat=repeat,
                certificate=certificate,
            )
    except KubeV6Error as error:
        error.transient = False  # tests of an hour do not begin anew by themselves
        raise
