"""Steps of a release: from its source to the store, or fetched into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from configs.manifest import BinaryEntry, ImageEntry, Manifest
from configs.schema.release import Release
from flows.run.task import run_task
from tasks.disk import writing
from tasks.events import ReleaseChosen, emit
from tasks.fetch import mirror_directory
from tasks.fetch.fetch import fetch_release
from tasks.fetch.mirror import Mirror
from tasks.paths import cache_dir
from tasks.release import build, choose
from tasks.release.build import ImageOrder, Tools
from tasks.release.choose import Chosen, Decision
from tasks.release.probe_image import with_probe
from tasks.release.refresh import Refresh
from tasks.release.results import Compiled
from tasks.series.series import Picked
from tasks.series.source import Source
from tasks.steps import came_to, step
from tasks.store import Store


@run_task("source of {release.name}", cacheable=True)
def source(release: Release, sources: Mapping[str, str], refresh: Refresh) -> Source:
    """The tree that the patches are picked onto."""
    with _cache():
        found = build.obtain_source(release, sources, refresh)
    came_to(f"{found.name} {found.version}, base {found.base[:10]}")
    return found


@run_task("cherry-pick {release.name}", cacheable=True)
def cherry_pick(release: Release, tree: Source, refresh: Refresh) -> Picked:
    """The series of patches on its base."""
    with _cache():
        picked = build.pick_series(release, tree, refresh)
    came_to("; ".join(f"{patch.fate}: {patch.title}" for patch in picked.patches) or "no patches")
    return picked


@run_task("{release.name} from the store", cacheable=True)
def kept(release: Release, picked: Picked, tools: Tools) -> Manifest | None:
    """The release as it was made before from the same inputs, if the store holds it whole."""
    return build.find_kept(release, picked, tools, Store())


@run_task("toolchain of {release.name}", cacheable=True)
def toolchain(release: Release) -> Tools:
    """What the release is made with."""
    with _cache():
        return build.ready_tools(release)


@run_task("compile {release.name}", cacheable=True)
def compile_programs(release: Release, tree: Source, picked: Picked, tools: Tools, refresh: Refresh) -> Compiled:
    """Everything that is compiled."""
    with _cache():
        compiled = build.compile_programs(release, tree, picked, tools, refresh)
    came_to(f"{build.version_of(release, picked)}: {', '.join(sorted(compiled.programs))}")
    return compiled


@run_task("image {order.name}", cacheable=True)
def image(
    release: Release,
    order: ImageOrder,
    picked: Picked,
    tools: Tools,
    compiled: Compiled | None,
    mirror: Mirror | None,
    refresh: Refresh,
) -> ImageEntry:
    """One image, in the store."""
    with _cache():
        made = build.make_image(release, order, picked, tools, compiled, Store(), mirror, refresh)
    came_to(f"{made.name}:{made.tag}, {made.digest}")
    return made


@run_task("CNI plugins of {release.name}", cacheable=True)
def cni_plugins(release: Release, mirror: Mirror | None) -> tuple[BinaryEntry, ...]:
    """The CNI plugins that the release names, in the store."""
    return build.cni_plugins(release, Store(), mirror)


@run_task("release {release.name}")
def write_release(
    release: Release,
    tree: Source,
    picked: Picked,
    tools: Tools,
    compiled: Compiled,
    images: Iterable[ImageEntry],
    cni: tuple[BinaryEntry, ...],
) -> Manifest:
    """The release, whole and in the store."""
    with _cache():
        return build.write_release(release, tree, picked, tools, compiled, images, cni, Store())


@run_task("fetch {release.name}", cacheable=True)
def fetch(release: Release, mirror: Mirror | None, force: bool) -> Manifest:
    """A published release, whole and in the store. Running it again goes on from what is done."""
    return fetch_release(release, store=Store(), mirror=mirror, force=force)


@run_task("mirror {release.name}")
def write_mirror(release: Release, manifest: Manifest, mirror: Mirror | None, to: str) -> int:
    """The release as a directory that others fetch it from."""
    # The site that reads it may have nothing to build the proof's image with.
    whole = with_probe(manifest, Store(), mirror)
    return mirror_directory.write(release, whole, Store(), Path(to), mirror)


@run_task("release {decision.release.name}", cacheable=True)
def provide(decision: Decision, mirror: Mirror | None, refresh: Refresh) -> Chosen:
    """A release that is not to be built, whole and in the store."""
    with step("release", "choose") as shown:
        chosen = choose.provide(decision, Store(), mirror, refresh)
        manifest = with_probe(chosen.manifest, Store(), mirror)
        shown.ended_as(f"{manifest.version}: {chosen.why}")
        emit(ReleaseChosen(manifest=manifest, why=chosen.why))
        return Chosen(chosen.release, manifest, chosen.why)


def _cache() -> AbstractContextManager[None]:
    """What goes wrong with the disk of the cache is one line that names it."""
    return writing(f"the cache {cache_dir()}", "KUBEV6_CACHE")
