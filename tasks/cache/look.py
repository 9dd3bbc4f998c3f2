"""What is kept on this machine: one walk over the data and the cache directory, and a question to the Docker engine."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.manifest import Manifest
from configs.plan.go import PACKAGES
from tasks.cache.plan import Kept, Rule
from tasks.docker import build as docker_build
from tasks.docker import container_engine, go_image, toolchain
from tasks.paths import cache_dir, data_dir
from tasks.release.fetch import checksums
from tasks.release.go_cache import NAME
from tasks.release.results import tests_of
from tasks.release.series import series_file
from tasks.release.series.git_source import directory_of
from tasks.release.store import ABANDONED, Store, StoredBuild
from tasks.replace import GOING

YOURS = {
    "logs": "run logs",
    "runs": "run records",
    "prefect": "Prefect's database",
    "clusters": "clusters",
    "labs": "labs",
}
"""Directories of the data directory that are listed and never touched here, and what they hold."""
NO_NAME = "<none>:<none>"
_PROCESS = re.compile(r"^kubev6/\S+\.(\d+)$")
"""An image on its way to the store: it is named after the process that builds it."""


@dataclass(frozen=True, slots=True)
class _Measure:
    """What a walk has seen: bytes of disk, files, and when the newest of them was written."""

    size: int = 0
    count: int = 0
    newest: float = 0.0


def look(deployed: Mapping[str, Manifest]) -> tuple[Kept, ...]:
    """Everything that is kept.

    Args:
        deployed: The release that runs on each cluster which was deployed from here, by the cluster's name.

    Raises:
        KubeV6Error: The record of downloads cannot be read.
    """
    store = Store()
    builds = store.builds()
    releases = [build.manifest for build in builds if build.current and build.manifest]
    return (
        *look_at_builds(store, builds, deployed),
        *_compiled(releases),
        *_trees(releases),
        *_sources(releases),
        *_downloads(),
        *_programs((*releases, *deployed.values())),
        *_others(),
        *_images(),
        *(
            _kept(what, directory, "yours", [data_dir() / directory], stays="yours")
            for directory, what in YOURS.items()
        ),
    )


def look_at_builds(store: Store, builds: Sequence[StoredBuild], deployed: Mapping[str, Manifest]) -> tuple[Kept, ...]:
    """The builds of all releases, and the blobs.

    Args:
        store: Where they are.
        builds: All of its builds.
        deployed: See :func:`look`.
    """
    return (*_builds(builds, deployed), *_blobs(store, builds, deployed))


def _builds(builds: Sequence[StoredBuild], deployed: Mapping[str, Manifest]) -> Iterator[Kept]:
    for build in builds:
        on = [name for name, manifest in deployed.items() if _build_of(manifest) == build.name]
        needed = [*(["current build"] if build.current else []), *([f"deployed on {', '.join(on)}"] if on else [])]
        older = "older build" if build.manifest else "its manifest cannot be read"
        yield _kept("release", build.name, "unneeded", [build.place], needed="; ".join(needed), stays=older)


def _blobs(store: Store, builds: Sequence[StoredBuild], deployed: Mapping[str, Manifest]) -> Iterator[Kept]:
    """The blobs by the builds that refer to them."""
    referring: dict[str, list[str]] = {}
    manifests = [(build.name, held) for build in builds for held in (build.manifest, build.tests) if held]
    for name, manifest in manifests:
        for digest in _digests(store, manifest):
            if name not in referring.setdefault(digest, []):  # what is of both the build and its tests
                referring[digest].append(name)
    for name, manifest in deployed.items():
        build = _build_of(manifest)
        for digest in _digests(store, manifest):
            if build not in referring.get(digest, ()):  # which stays for the same reason
                referring.setdefault(digest, []).append(f"what is deployed on {name}")
    # What these refer to is not known, so it may be anything that nobody else does.
    unreadable = tuple(build.name for build in builds if not build.manifest)
    fetched = checksums.digests(store)
    groups: dict[tuple[str, ...], list[Path]] = {}
    downloads: list[Path] = []
    nobodys: list[Path] = []
    for path in _children(store.root / "blobs" / "sha256"):
        if of := tuple(referring.get(path.name, unreadable)):
            groups.setdefault(of, []).append(path)
        else:
            (downloads if path.name in fetched else nobodys).append(path)
    for of, paths in sorted(groups.items()):
        yield _kept("blobs", ", ".join(of), "unneeded", paths, of=of)
    if downloads:
        yield _kept("blobs", "downloaded before", "old", downloads)
    if nobodys:
        yield _kept("blobs", "of no release", "unneeded", nobodys, stays="no release refers to them")
    if left := [path for path in _children(store.root / "blobs" / "unfinished") if _age(path) > ABANDONED]:
        yield _kept("blobs", "unfinished", "unneeded", left, stays="abandoned")


def _digests(store: Store, manifest: Manifest) -> set[str]:
    return {digest.removeprefix("sha256:") for digest in store.digests(manifest)}


def _build_of(manifest: Manifest) -> str:
    """The name of the build that a manifest is of, see :class:`tasks.release.store.StoredBuild`."""
    return f"{manifest.name} {manifest.key[:12]}"


def _compiled(releases: Sequence[Manifest]) -> Iterator[Kept]:
    wanted = {release.source.series: release.name for release in releases}
    wanted |= {tests_of(release.source.series): release.name for release in releases}
    wanted |= {image.name: release.name for release in releases for image in release.images}
    results = cache_dir() / "results"
    for path in _children(results):
        if path.name.startswith("."):
            yield from _abandoned("compiled", path)
        else:
            needed = _of(wanted.get(path.name))
            yield _kept("compiled", path.name, "old", [path, cache_dir() / "stamps" / path.name], needed=needed)
    for path in _children(cache_dir() / "go-library"):
        yield _kept("compiled", f"Go's library {path.name[:12]}", "old", [path])
    for cache in (path for path in _children(cache_dir()) if path.name.startswith(NAME) and path.is_dir()):
        real = cache.resolve()
        paths, other = (
            [cache, real.with_name(f"{real.name}.json")],
            cache.name.removeprefix(NAME).replace("-", " of ", 1),
        )
        yield _kept(
            "compiled", f"Go's build cache{other}", "all", paths, stays="only with --all: makes compiling quick"
        )
    records = [path for path in _children(cache_dir() / "images") if path.suffix == ".json"]
    if records:
        yield _kept("compiled", "images that were built", "all", records, stays="only with --all: saves building them")


def _trees(releases: Sequence[Manifest]) -> Iterator[Kept]:
    wanted = {release.source.series: release.name for release in releases}
    for path in _children(cache_dir() / "worktree"):
        if path.name.endswith(".anew") or path.name.startswith(GOING):
            yield _kept("work tree", path.name, "unneeded", [path, *_beside(path)], stays="abandoned")
        elif not path.name.startswith("."):
            yield _kept("work tree", path.name, "old", [path, *_beside(path)], needed=_of(wanted.get(path.name)))
    for path in _children(cache_dir() / "followed"):
        yield _kept("followed series", path.stem, "old", [path], needed=_of(wanted.get(path.stem)))


def _beside(tree: Path) -> tuple[Path, ...]:
    return tuple(tree.with_name(f".{tree.name}{suffix}") for suffix in (".index", ".generated.json"))


def _sources(releases: Sequence[Manifest]) -> Iterator[Kept]:
    origins = {release.source.origin: release.name for release in releases if release.source.kind == "built"}
    debian = {origin.removeprefix("Debian source package ").replace(" ", "-"): of for origin, of in origins.items()}
    ours = {directory_of(origin): of for origin, of in origins.items()}
    ours |= {each.source.series: each.name for each in releases if series_file.is_working_tree(each.source.series)}
    for path in _children(cache_dir() / "source"):
        yield from _source(path, debian)
    for path in _children(cache_dir() / "git"):
        if path.name == "bundles":
            for bundle in _children(path):
                yield from _source(bundle, {})
        else:
            yield from _source(path, ours)


def _source(path: Path, wanted: Mapping[str, str]) -> Iterator[Kept]:
    if path.name.startswith("."):
        yield from _abandoned("source", path)
        return
    lock = path.with_name(f".{path.name}.lock")
    used = lock.stat().st_mtime if lock.exists() else 0.0
    yield _kept("source", path.name, "old", [path], needed=_of(wanted.get(path.name)), used=used)


def _downloads() -> Iterator[Kept]:
    found = [path for path in _children(cache_dir() / "partial") if not path.suffix]
    for path in found:
        yield _kept("unfinished download", path.name[:12], "old", [path, path.with_suffix(".json")])


def _programs(releases: Sequence[Manifest]) -> Iterator[Kept]:
    wanted = {f"kubectl-{each.sha256[:12]}": of.name for of in releases for each in of.binaries}
    for path in _children(cache_dir() / "bin"):
        if path.name.startswith("kubectl-"):
            needed = _of(wanted.get(path.name))
            yield _kept("kubectl", path.name, "unneeded", [path], needed=needed, stays="of an older build")
    current, own = toolchain.record_file(), toolchain.recorded()
    with_go = [go_image.record_file(own, package) for package in PACKAGES] if own else []
    for path in _children(cache_dir() / "toolchain"):
        needed = "of the recipe as it stands" if path in (current, *with_go) else ""
        yield _kept("toolchain", path.stem[:12], "old", [path], needed=needed)


def _others() -> Iterator[Kept]:
    """What a run that got killed has left at the top of the cache directory."""
    for path in _children(cache_dir()):
        if path.name.startswith(("base-image-", f".{NAME}", GOING)):
            yield _kept("left behind", path.name, "unneeded", [path], stays="abandoned")


def _abandoned(kind: str, path: Path) -> Iterator[Kept]:
    """What is unfinished. Whoever is at work on it says so, and nothing is removed while anybody does."""
    if path.is_dir():
        yield _kept(kind, path.name, "unneeded", [path], stays="abandoned")


def _images() -> Iterator[Kept]:
    """Images of ours that the Docker engine holds, if it runs."""
    client = container_engine.running()
    if client is None:
        return
    try:
        with_go = go_image.references(toolchain.recorded())
        in_use = {container["ImageID"] for container in client.api.containers(all=True)}
        found = client.api.images(filters={"label": docker_build.INPUTS_LABEL})
    except container_engine.FAILURES:
        return
    replaced: list[dict[str, Any]] = []
    for image in found:
        tags = [tag for tag in image["RepoTags"] or () if tag != NO_NAME]
        if not tags:
            replaced.append(image)
            continue
        name, needed = tags[0], "in use by a container" if image["Id"] in in_use else ""
        rule: Rule = "yours"
        why = "kubev6 lab down --images removes it"
        if (process := _PROCESS.match(name)) and not Path("/proc", process[1]).exists():
            rule, why = "unneeded", "abandoned"
        elif name.startswith("kubev6/toolchain:"):
            rule, why = "unneeded", "of another recipe"
            needed = "of the recipe as it stands" if name == toolchain.reference() else needed
        elif name.startswith(f"{go_image.REPOSITORY}:"):
            rule, why = "unneeded", "of another recipe"
            needed = "of the recipe as it stands" if name in with_go else needed
        yield _image(name, rule, [image], needed, why)
    # One that is being built has no name either.
    new = [image for image in replaced if time.time() - image["Created"] < ABANDONED or image["Id"] in in_use]
    if new:
        yield _image("without a name, new", "yours", new, "", "perhaps being built")
    if old := [image for image in replaced if image not in new]:
        yield _image("without a name", "unneeded", old, "", "replaced by newer ones")


def _image(name: str, rule: Rule, found: Sequence[dict[str, Any]], needed: str, why: str) -> Kept:
    size, created = sum(image["Size"] for image in found), max(image["Created"] for image in found)
    ids = tuple(str(image["Id"]) for image in found)
    return Kept("Docker image", name, rule, size, len(ids), created, images=ids, needed=needed, unneeded=why)


def _kept(
    kind: str,
    name: str,
    rule: Rule,
    paths: Sequence[Path],
    *,
    needed: str = "",
    stays: str = "",
    of: tuple[str, ...] = (),
    used: float = 0.0,
) -> Kept:
    there = [path for path in paths if path.is_symlink() or path.exists()]
    seen = [_measure(path) for path in there]
    return Kept(
        kind,
        name,
        rule,
        sum(each.size for each in seen),
        sum(each.count for each in seen),
        max([used, *(each.newest for each in seen)]),
        paths=tuple(there),
        needed=needed,
        unneeded=stays,
        of=of,
    )


def _measure(path: Path) -> _Measure:
    try:
        about = path.stat()
    except OSError:
        return _Measure()
    if not path.is_dir():
        return _Measure(about.st_blocks * 512, 1, about.st_mtime)
    size, count, newest = about.st_blocks * 512, 0, about.st_mtime
    waiting = [str(path)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    seen = entry.stat(follow_symlinks=False)
                    size += seen.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        count += 1
                        newest = max(newest, seen.st_mtime)
        except OSError:  # it went while it was looked at, or may not be looked at
            continue
    return _Measure(size, count, newest)


def _children(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _of(release: str | None) -> str:
    return f"of the current build of {release}" if release else ""
