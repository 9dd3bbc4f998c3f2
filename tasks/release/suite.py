"""Upstream's own tests of a release, made from its own tree: the programs, their images, and which tests they are.

Nothing of it is part of the release: a cluster comes up without it, and it is made when it is asked for.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import ConfigError, KubeV6Error
from configs.manifest import BinaryEntry, ImageEntry, Manifest, name_of
from configs.schema.cluster import Cluster
from configs.schema.e2e import Profile
from configs.schema.loading import load_release
from configs.schema.release import Release
from tasks import deployed
from tasks.docker import toolchain
from tasks.docker.toolchain import Toolchain
from tasks.kubernetes.ginkgo import options, registries
from tasks.node_agent.junit import is_test, reported
from tasks.paths import RECIPES
from tasks.release import build, compile, images, results
from tasks.release.build import Tools
from tasks.release.compile import BEGIN, ENVIRONMENT, Order, Reported
from tasks.release.fetch.fetch_image import NotPulledError, fetch_in_step, held_image
from tasks.release.fetch.mirror import LackingError, Mirror
from tasks.release.results import Compiled
from tasks.release.series import series_file
from tasks.release.series.check_out import check_out, keep_generated
from tasks.release.series.series import Picked
from tasks.release.series.source import Source
from tasks.release.store import Store
from tasks.steps import step

TESTS, RUNNER, AGNHOST = "e2e.test", "ginkgo", "agnhost"
"""The program of all tests, what runs it several times side by side, and what most tests run in pods."""
CERTIFICATE = ("localhost.crt", "localhost.key")
"""What agnhost shows to those who ask it by TLS. It lies open in every tree, and protects nothing."""
RECIPE = RECIPES / "test-images" / AGNHOST / "Dockerfile"
TOOLS = "e2e-tools"
"""The same without agnhost."""
STANDS_IN = {
    "busybox": "busybox's own image",
    "debian-iptables": "that of Debian 10's iptables and conntrack",
    "jessie-dnsutils": "that of Debian 8's tools for DNS",
}
"""Images that Debian 12's tools take the place of."""
ELSEWHERE = "elsewhere.invalid/images"
"""Where the tests are told that images are, to see which part of a reference is the registry."""
COMPILE = f"""{BEGIN}# The release itself is compiled so, and the cache tells packages apart by it.
apart=
! grep -qs installsuffix hack/lib/golang.sh || apart='-installsuffix=static '
# What begins with a dash among the targets goes to the go tool.
make all GOFLAGS="$flags" WHAT="$apart$1"
for target in $1; do
    cp "_output/local/go/bin/${{target##*/}}" /results/
done
cp test/images/agnhost/porter/localhost.* /results/
"""
LIST_SECONDS = 120
_REFERENCE = re.compile(r"[a-z0-9.-]+(/[\w.-]+)+:[\w.-]+")
_GINKGO = re.compile(r"^\s*((?:(?:vendor/)?github\.com/onsi/ginkgo(?:/v2)?/)?ginkgo)\s*$", re.MULTILINE)
"""What makes ginkgo, of the targets that a tree names; since 1.34 at the latest that is its bare name."""


@dataclass(frozen=True, slots=True)
class Programs:
    """What was compiled of the tests.

    Attributes:
        compiled: The programs.
        ginkgo: The first number of the version of what runs them: 1, or 2 since Kubernetes 1.25.
    """

    compiled: Compiled
    ginkgo: int


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of a release.

    Attributes:
        programs: What was compiled.
        content: What of it the cluster's registry has to hold.
        lacking: Names of images that tests want, and that could not be had.
        stand_ins: Images of it that stand in for others.
    """

    programs: Programs
    content: Manifest
    lacking: tuple[str, ...]
    stand_ins: tuple[ImageEntry, ...]


def under_test(cluster: Cluster) -> tuple[Release, Manifest]:
    """The release that a cluster runs, whose tests can be made: of one that was fetched from what its file builds.

    Raises:
        ConfigError: Its file says nothing to build it from.
        KubeV6Error: Nothing was deployed from here.
    """
    manifest, last = deployed.deployed(cluster), deployed.last(cluster)
    release = last.release if last and last.release else load_release(manifest.name)
    if release.build is None:
        raise ConfigError(
            f"cluster {cluster.name} runs {manifest.version}, upstream's tests are made from a release's own tree, and "
            f"the file of release {release.name} names none",
            todo="give it `build: {series: ...}` with Kubernetes of that version as its base, and deploy it again, "
            "which changes nothing on the machines; or deploy a release that is built from source",
        )
    return release, manifest


def names(release: Release, manifest: Manifest, profile: Profile, sources: Mapping[str, str]) -> tuple[str, ...]:
    """The names of tests, which are compiled for that where they are not here. No cluster is asked.

    Args:
        release: How the release wants to be configured.
        manifest: What it holds.
        profile: Which of its tests.
        sources: Other places for the remotes of its series, by name.

    Raises:
        KubeV6Error: They cannot be made.
    """
    source = build.obtain_source(release, sources, "")
    picked = build.pick_series(release, source, "")
    refuse_other_tree(manifest, picked)
    tools = build.ready_tools(release, source, picked)
    with build.building(release):
        programs = compile_suite(manifest, source, picked, tools, release.kubernetes)
    return chosen(programs, tools.toolchain, profile.focus, profile.skip)


def refuse_other_tree(manifest: Manifest, picked: Picked) -> None:
    """Refuse tests of another tree than the cluster runs, as far as that is known.

    Args:
        manifest: The release that the cluster runs; one that was fetched says no tree.
        picked: The series that the tests would be made of.

    Raises:
        ConfigError: They would be.
    """
    if manifest.source.kind == "fetched" or picked.tree == manifest.source.tree:
        return
    again = "kubev6 dev" if series_file.is_working_tree(picked.series) else "kubev6 deploy"
    raise ConfigError(
        f"the cluster runs {manifest.version} of tree {manifest.source.tree[:10]}, and series {picked.series} comes to "
        f"tree {picked.tree[:10]} now",
        todo=f"bring the cluster to it first: {again}",
    )


def targets(tree: Path) -> tuple[str, str, str]:
    """What is compiled of a tree: the tests, what runs them, and agnhost.

    Raises:
        KubeV6Error: The tree is too old, or not whole.
    """
    names = (tree / "hack" / "lib" / "golang.sh").read_text() if (tree / "hack" / "lib" / "golang.sh").exists() else ""
    runner = _GINKGO.search(names)
    if runner is None:
        raise KubeV6Error(f"{tree}: hack/lib/golang.sh names no ginkgo", todo="this tree's layout is not known here")
    compile.first(tree, ("test/e2e/e2e_test.go",))
    return f"test/e2e/{TESTS}", runner[1], compile.first(tree, (f"test/images/{AGNHOST}",))


def compile_suite(manifest: Manifest, source: Source, picked: Picked, tools: Tools, kubernetes: str) -> Programs:
    """Compile the tests; from the cache where they were compiled of the same before.

    Args:
        manifest: The release that the cluster runs.
        source: The tree.
        picked: The series on it.
        tools: What compiles.
        kubernetes: The version of Kubernetes that the release is of.

    Raises:
        KubeV6Error: They do not compile, or there is too little disk.
    """
    reported_version = Reported(manifest.version, build.commit_of(picked), source.timestamp)
    go = [tools.compiler.identity or tools.toolchain.identity, tools.compiler.go, tools.compiler.environment]
    name = results.tests_of(picked.series)
    key = results.key_of(picked.tree, kubernetes, manifest.version, source.timestamp, go, COMPILE, ENVIRONMENT)
    kept = results.find(name, key)
    if kept is None:
        place = check_out(picked, source)
        order = Order(
            name=name,
            title="compile e2e",
            script=COMPILE,
            arguments=(" ".join(targets(place)),),
            programs=(TESTS, RUNNER, AGNHOST, *CERTIFICATE),
        )
        kept = compile.compile_order(
            order, place, series=picked.series, key=key, reported=reported_version, compiler=tools.compiler
        )
        keep_generated(picked, source)
    return Programs(kept, _ginkgo_version(kept, tools.toolchain))


def chosen(programs: Programs, tools: Toolchain, focus: Iterable[str], skip: Iterable[str]) -> tuple[str, ...]:
    """The names of the tests that would be run, sorted. No cluster is asked.

    Args:
        programs: What was compiled.
        tools: In whose image it is asked.
        focus: Regular expressions of Go, one of which a test's name has to match; none for all.
        skip: Those of which it may match none.

    Raises:
        KubeV6Error: An expression is none, or the program does not run.
    """
    dry_run = "--ginkgo.dryRun" if programs.ginkgo == 1 else "--ginkgo.dry-run"
    words = [f"/suite/{TESTS}", dry_run, "--report-dir=/reports", *options(focus, skip, prefix="ginkgo.")]
    with tempfile.TemporaryDirectory(prefix="kubev6-e2e-") as reports:
        _run(programs.compiled, tools, words, "list the tests", reports=Path(reports))
        found = {str(test["name"]) for test in reported(reports, ()) if is_test(str(test["name"]))}
    return tuple(sorted(found))


def make_images(
    manifest: Manifest,
    programs: Programs,
    tools: Toolchain,
    wanted: Iterable[str],
    store: Store,
    mirror: Mirror | None,
) -> tuple[tuple[ImageEntry, ...], tuple[str, ...]]:
    """The images that the tests use: those that can be made, those that the store has, and others that are wanted.

    Args:
        manifest: The release that the cluster runs, which has some of them.
        programs: What was compiled.
        tools: Where Debian's programs and libraries are taken from.
        wanted: Names of images that are fetched where they are not there.
        store: Where they are kept.
        mirror: Where they are fetched from; None for their publishers.

    Returns:
        The images; and the names of those that are wanted and cannot be had.

    Raises:
        KubeV6Error: One of those that are made could not be built.
    """
    made, lacking = list[ImageEntry](), dict[str, None]()
    same: ImageEntry | None = None
    of_release = {(image.name, image.tag): image for image in manifest.images}
    for named, reference in listed_images(programs.compiled, tools):
        name, _, tag = named.rpartition(":")
        if name == AGNHOST:
            files = {each: programs.compiled.programs[each] for each in (AGNHOST, *CERTIFICATE)}
            entry = images.build(AGNHOST, tag, tools, store, recipe=RECIPE, files=files)
        elif there := of_release.get((name, tag)) or held_image(reference, store):
            entry = there
        elif name in STANDS_IN:
            entry = same = same or images.build(TOOLS, "debian", tools, store, recipe=RECIPE, target="tools")
            entry = entry.model_copy(update={"stand_in_for": STANDS_IN[name]})
        elif name not in wanted:
            continue
        elif fetched := _fetched(reference, store, mirror):
            entry = fetched
        else:
            lacking[name] = None
            continue
        made.append(entry.model_copy(update={"name": name, "tag": tag}))
    return tuple(made), tuple(lacking)


def listed_images(compiled: Compiled, tools: Toolchain) -> tuple[tuple[str, str], ...]:
    """Of all images that tests may use and that can be had: name and tag below a registry, and whole reference; sorted.

    Which part of a reference is the registry the tests alone know, so they are asked where they would look for each in
    another one.

    Args:
        compiled: What was compiled.
        tools: In whose image it is asked.

    Raises:
        KubeV6Error: The program does not run.
    """
    words, title = [f"/suite/{TESTS}", "--list-images"], "list the images of the tests"
    with tempfile.TemporaryDirectory(prefix="kubev6-e2e-") as given:
        (Path(given) / "registries.yaml").write_text(registries(ELSEWHERE))
        moved = _run(compiled, tools, words, title, given=Path(given))
    published = [line.strip() for line in _run(compiled, tools, words, title) if _REFERENCE.fullmatch(line.strip())]
    found = {}
    for line in (each.strip() for each in moved):
        named = line.removeprefix(f"{ELSEWHERE}/")
        if named != line and (reference := next((each for each in published if each.endswith(f"/{named}")), "")):
            found[named] = reference
    return tuple(sorted(found.items()))


def content(manifest: Manifest, programs: Programs, made: tuple[ImageEntry, ...], store: Store) -> Manifest:
    """What the cluster's registry has to hold for the tests.

    Their images are in a repository that is called after all their bytes: which tags they have is the tests' choice,
    and a node that has an image of a tag never asks for it again.

    Args:
        manifest: The release that the cluster runs.
        programs: What was compiled.
        made: The images.
        store: Where the programs are kept with them.
    """
    binaries = []
    for name in (TESTS, RUNNER):
        sha256, size = store.add_file(programs.compiled.programs[name])
        binaries.append(BinaryEntry(name=name, sha256=sha256, size=size))
    place = f"e2e-{results.key_of(sorted((image.name, image.tag, image.digest) for image in made))[:12]}"
    placed = tuple(image.model_copy(update={"name": f"{place}/{image.name}"}) for image in made)
    tests_of = {"name": f"{manifest.name}.e2e", "binaries": tuple(binaries), "images": placed, "cni": ()}
    return manifest.model_copy(update=tests_of)


def _fetched(reference: str, store: Store, mirror: Mirror | None) -> ImageEntry | None:
    with step(name_of(reference), "image") as shown:
        try:
            return fetch_in_step(reference, store, mirror, shown)
        except (LackingError, NotPulledError) as error:
            shown.ended_as(f"{error.message}; tests that want it will fail")
            return None


def _ginkgo_version(compiled: Compiled, tools: Toolchain) -> int:
    lines = _run(compiled, tools, [f"/suite/{RUNNER}", "version"], "version of ginkgo")
    found = re.search(r"Ginkgo Version (\d+)\.", "\n".join(lines))
    if found is None:
        raise KubeV6Error(
            f"ginkgo says no version: {' '.join(lines)[:100]}", todo="this tree's layout is not known here"
        )
    return int(found[1])


def _run(
    compiled: Compiled,
    tools: Toolchain,
    words: Sequence[str],
    name: str,
    reports: Path | None = None,
    given: Path | None = None,
) -> list[str]:
    """Run a program of the tests in a container without a network. Returns what it prints."""
    lines: list[str] = []
    toolchain.run(
        tools.image,
        words,
        name=name,
        deadline=LIST_SECONDS,
        mounts={reports: "/reports"} if reports else {},
        read_only={compiled.programs[TESTS].parent: "/suite", **({given: "/given"} if given else {})},
        environment={"KUBE_TEST_REPO_LIST": "/given/registries.yaml"} if given else {},
        as_caller=True,
        on_line=lines.append,
    )
    return lines
