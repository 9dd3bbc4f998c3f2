"""Steps of a release: from its source to the store, or fetched into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from configs.manifest import BinaryEntry, ImageEntry, Manifest
from configs.schema.release import Release
from flows.run.task import run_task
from tasks.disk import writing, writing_data
from tasks.events import ReleaseChosen, emit
from tasks.paths import cache_dir
from tasks.release import build, choose
from tasks.release.build import ImageOrder, Tools
from tasks.release.choose import Chosen, Decision
from tasks.release.fetch import mirror_directory
from tasks.release.fetch.fetch import Fetched, Part, fetch_part, find_fetched
from tasks.release.fetch.fetch import complete as complete_release
from tasks.release.fetch.fetch_image import fetch_image
from tasks.release.fetch.mirror import Mirror
from tasks.release.probe_image import with_probe
from tasks.release.refresh import Refresh
from tasks.release.results import Compiled
from tasks.release.series.series import Picked
from tasks.release.series.source import Source
from tasks.release.store import Store
from tasks.steps import came_to, step

T = TypeVar("T")


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
    return _looked_for(build.find_kept(release, picked, tools, Store()))


@run_task("toolchain of {release.name}", cacheable=True)
def toolchain(release: Release, tree: Source, picked: Picked) -> Tools:
    """What the release is made with."""
    with _cache():
        tools = build.ready_tools(release, tree, picked)
    came_to(tools.compiler.go)
    return tools


@run_task("compile {release.name}", cacheable=True)
def compile_programs(release: Release, tree: Source, picked: Picked, tools: Tools, refresh: Refresh) -> Compiled:
    """Everything that is compiled."""
    with _cache():
        compiled = build.compile_programs(release, tree, picked, tools, refresh)
    came_to(f"{build.version_of(release, picked)}: {', '.join(sorted(compiled.programs))}")
    return compiled


@run_task("image {reference}")
def image_of_cni(reference: str, mirror: Mirror | None) -> ImageEntry:
    """One image of the cluster's own CNI, in the store."""
    with writing_data():
        found = fetch_image(reference, Store(), mirror)
    came_to(found.digest)
    return found


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


@run_task("{release.name} from the store", cacheable=True)
def fetched_before(release: Release) -> Manifest | None:
    """A published release as it was fetched before, if the store holds it whole."""
    return _looked_for(find_fetched(release, Store()))


@run_task("fetch {part.name}", cacheable=True)
def fetch(part: Part, mirror: Mirror | None, force: bool) -> Fetched:
    """One file or image of a release, in the store."""
    return fetch_part(part, store=Store(), mirror=mirror, force=force)


@run_task("release {release.name}")
def complete(release: Release, fetched: Iterable[Fetched]) -> Manifest:
    """A published release, whole and in the store, of all that was fetched."""
    with step("release", "write") as shown:
        manifest = complete_release(release, fetched, Store())
        shown.ended_as(f"{manifest.version}: {len(manifest.binaries)} executables, {len(manifest.images)} images")
    return manifest


@run_task("mirror {release.name}")
def write_mirror(release: Release, manifest: Manifest, mirror: Mirror | None, to: str) -> int:
    """The release as a directory that others fetch it from."""
    # The site that reads it may have nothing to build the proof's image with.
    whole = with_probe(manifest, Store(), mirror)
    return mirror_directory.write(release, whole, Store(), Path(to), mirror)


@run_task("{decision.release.name} from the store", cacheable=True)
def held(decision: Decision, refresh: Refresh) -> Chosen | None:
    """A release that is not to be built as it stands in the store, unless it is to be fetched."""
    return _looked_for(choose.held(decision, Store(), refresh))


@run_task("proof's image of {chosen.release.name}", cacheable=True)
def provide(chosen: Chosen, mirror: Mirror | None) -> Chosen:
    """A release that was not built here, with the image that its cluster is proved with."""
    with step("release", "choose") as shown:
        manifest = with_probe(chosen.manifest, Store(), mirror)
        shown.ended_as(f"{manifest.version}: {chosen.why}", cached=manifest == chosen.manifest)
        emit(ReleaseChosen(manifest=manifest, why=chosen.why))
        return replace(chosen, manifest=manifest)


def _looked_for(found: T | None) -> T | None:
    came_to("is there" if found else "is not there, or not to be taken")
    return found


def _cache() -> AbstractContextManager[None]:
    """What goes wrong with the disk of the cache is one line that names it."""
    return writing(f"the cache {cache_dir()}", "KUBEV6_CACHE")
