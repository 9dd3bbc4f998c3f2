"""Making a release from source: the tree, the patches, the compilation and the images, in that order.

What is independent runs side by side. A release that the store holds already, made from the same inputs, is
returned at once: its key is the sha256 of everything that decides its bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from configs.manifest import NODE_BINARIES, BinaryEntry, ImageEntry, Manifest, SourceEntry, name_of
from configs.schema.release import Build, Release
from configs.versions import image_name, image_tag
from tasks.disk import writing
from tasks.docker import build as docker_build
from tasks.docker import toolchain
from tasks.docker.toolchain import Toolchain
from tasks.exclusive import exclusive, holder
from tasks.fetch.fetch import fetch_cni
from tasks.fetch.fetch_image import fetch_image
from tasks.fetch.mirror import Mirror
from tasks.in_use import in_use
from tasks.paths import REPO, cache_dir
from tasks.release import compile, compiler, images, results
from tasks.release.compile import Reported
from tasks.release.compiler import Compiler
from tasks.release.refresh import Refresh, again
from tasks.release.results import Compiled
from tasks.series import debian_source, series, series_file, series_source
from tasks.series.check_out import check_out, check_out_beside, keep_generated, take_over
from tasks.series.series import Picked
from tasks.series.series_file import DebianSeries, Series
from tasks.series.source import Source
from tasks.steps import step
from tasks.store import Store

log = logging.getLogger("kubev6.build")
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
CLUSTER_DNS = ("coredns", "k8s-dns-kube-dns")
"""What the name of an image that answers as cluster DNS begins with."""


def build_release(
    release: Release,
    *,
    store: Store,
    sources: Mapping[str, str] | None = None,
    mirror: Mirror | None = None,
    refresh: Refresh = "",
) -> Manifest:
    """Build a release from source and keep it in the store, or take it from there.

    Args:
        release: The release; of ``fetch`` only the images that are not made here are used.
        store: Where it is kept, and looked for first.
        sources: Other places for the remotes of its series, by name: a URL, a repository's directory or a bundle.
        mirror: Where other projects' images and CNI plugins are read from; None for their publishers.
        refresh: Which stage is made again although its result is here, or all of them.

    Returns:
        Its manifest, the current one of this release from now on.

    Raises:
        KubeV6Error: A part of it failed; running it again goes on from what is done.
    """
    if release.build is None:
        raise ConfigError(f"release {release.name} says nothing to build it from", todo="fetch it instead")
    with in_use(f"build of {release.name}"), writing(f"the cache {cache_dir()}", "KUBEV6_CACHE"):
        return _build_release(release, release.build, store, sources, mirror, refresh)


def _build_release(
    release: Release,
    wanted: Build,
    store: Store,
    sources: Mapping[str, str] | None,
    mirror: Mirror | None,
    refresh: Refresh,
) -> Manifest:
    patches = series_file.load(wanted.series)
    tree = _source(wanted, patches, sources, anew=again(refresh, "source"))
    picked = series.pick(patches, tree, anew=again(refresh, "series"))
    # Which image a tag stands for is known to the engine alone.
    other = compiler.named(wanted.toolchain.image) if wanted.toolchain else None
    known = toolchain.recorded()
    anew = again(refresh, "compile", "images")
    if known is not None and not anew:
        kept = _kept(release, picked, known, other or compiler.debian(known), store)
        if kept is not None:
            return kept
    tools = toolchain.ready()
    go = other or compiler.debian(tools)
    lock = cache_dir() / "worktree" / f".{patches.name}.lock"

    def busy() -> None:
        log.warning("series %s is being built: %s; waiting for it to end", patches.name, holder(lock))

    with exclusive(lock, on_wait=busy, what=f"build of {release.name}"):
        # Another process may have made it while this one waited; or the toolchain came out as it was before.
        kept = None if anew else _kept(release, picked, tools, go, store)
        return kept or _build(release, tree, picked, tools, go, store, mirror, refresh)


def companions(release: Release) -> tuple[str, ...]:
    """References of the images that a release which is built takes from other projects.

    These are the ones it is published with, without those made here from Kubernetes' own tree.
    """
    made = {image_name(name, release.kubernetes) for name in (*CONTROL_PLANE, "pause")}
    published = release.fetch.images if release.fetch else ()
    return tuple(reference for reference in published if name_of(reference) not in made)


def release_key(release: Release, picked: Picked, tools: Toolchain, go: Compiler) -> str:
    """sha256 of everything that decides the bytes of a release, in canonical JSON."""
    inputs: dict[str, Any] = {
        "kubernetes": release.kubernetes,
        "images": release.images.model_dump(mode="json"),
        "series": picked.series,
        "base": picked.base,
        "tree": picked.tree,
        "toolchain": tools.identity,
        "platform": tools.platform,
        "recipes": {name: docker_build.directory_digest(REPO / "build" / name) for name in ("toolchain", "images")},
        "targets": compile.TARGETS,
        "commands": [compile.COMPILE, compile.COMPILE_PROGRAM, compile.ENVIRONMENT],
    }
    # What a release does not have takes no part, so that its key stays when others come to have it.
    if go.identity:
        inputs["compiler"] = [go.identity, go.go]
    if others := companions(release):
        inputs["companions"] = others
    if release.cni:
        inputs["cni"] = release.cni.model_dump(mode="json")
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _source(wanted: Build, patches: Series, sources: Mapping[str, str] | None, *, anew: bool) -> Source:
    if wanted.source is None or (sources and isinstance(patches, DebianSeries)):  # which has no remotes, as it will say
        return series_source.obtain(patches, sources=sources, anew=anew)
    if not isinstance(patches, DebianSeries):
        raise ConfigError(
            f"{patches.path}: names its own base and remotes, but the release has a source too",
            todo="take build.source out of the release",
        )
    return debian_source.obtain(wanted.source.debian.package, wanted.source.debian.version, anew=anew)


def _kept(release: Release, picked: Picked, tools: Toolchain, go: Compiler, store: Store) -> Manifest | None:
    found = store.find(release.name, release_key(release, picked, tools, go))
    if found is None or store.check(found):
        return None
    with step("build", "release") as shown:
        store.write(found)
        shown.ended_as(f"{found.version} is in the store")
    return found


def _compilation(
    tree: Source, picked: Picked, version: str, tools: Toolchain, go: Compiler, *, anew: bool
) -> Callable[[], Compiled]:
    """What compiles a series, or takes what was compiled of it; its tree is checked out already."""
    reported = Reported(version, picked.commit, tree.timestamp)
    key = compile.compile_key(picked.tree, reported, tools, go)
    kept = None if anew else results.find(picked.series, key)
    if kept is not None:
        return lambda: kept
    place = check_out_beside(picked, tree) if anew else check_out(picked, tree)

    def compiled() -> Compiled:
        done = compile.compile_tree(place, series=picked.series, key=key, reported=reported, compiler=go, anew=anew)
        if anew:
            take_over(picked)
        keep_generated(picked, tree)
        return done

    return compiled


def _build(
    release: Release,
    tree: Source,
    picked: Picked,
    tools: Toolchain,
    go: Compiler,
    store: Store,
    mirror: Mirror | None,
    refresh: Refresh,
) -> Manifest:
    version = compile.version_stamp(release.kubernetes, picked.series, picked.tree)
    compiled = _compilation(tree, picked, version, tools, go, anew=again(refresh, "compile"))
    images_anew = again(refresh, "images")

    def ours(name: str, tag: str, files: Mapping[str, Path] | None = None) -> ImageEntry:
        entry = images.build(name, tag, tools, store, files=files, anew=images_anew)
        return entry.model_copy(update={"name": image_name(name, release.kubernetes)})

    others = {name_of(reference): reference for reference in companions(release)}
    pool = ThreadPoolExecutor(3, thread_name_prefix="build")
    compiling = pool.submit(compiled)
    try:
        plugins = [pool.submit(fetch_cni, release.cni, store=store, mirror=mirror)] if release.cni else []
        beside: list[Future[ImageEntry]] = [
            *(pool.submit(fetch_image, reference, store, mirror, anew=images_anew) for reference in others.values()),
            pool.submit(images.build_program, "probe", tools, store, anew=images_anew),
        ]
        if image_name("etcd", release.kubernetes) not in others:
            beside.append(pool.submit(ours, "etcd", images.debian_tag(tools.version_of("etcd-server"))))
        if not any(name.startswith(CLUSTER_DNS) for name in others):
            beside.append(
                pool.submit(images.cluster_dns, release.images.coredns, tools, store, mirror, anew=images_anew)
            )
        # An image that fails in the first minute is not kept secret until the compilation ends.
        under_way: list[Future[Any]] = [compiling, *plugins, *beside]
        for future in wait(under_way, return_when=FIRST_EXCEPTION).done:
            future.result()
        programs = compiling.result().programs
        beside.append(pool.submit(ours, "pause", compiling.result().pause, {"pause": programs["pause"]}))
        for name in CONTROL_PLANE:
            beside.append(pool.submit(ours, name, image_tag(version), {name: programs[name]}))
        binaries = []
        for name in NODE_BINARIES:
            sha256, size = store.add_file(programs[name])
            binaries.append(BinaryEntry(name=name, sha256=sha256, size=size))
        made = tuple(future.result() for future in beside)
    except BaseException:
        # Nobody waits for the others any more, and a compilation would go on for minutes. It may be just about to
        # start its container, so once is not enough.
        pool.shutdown(wait=False, cancel_futures=True)
        while not compiling.done():
            toolchain.stop_running()
            wait([compiling], timeout=0.5)
        raise
    finally:
        pool.shutdown(wait=True)
    manifest = Manifest(
        name=release.name,
        version=version,
        key=release_key(release, picked, tools, go),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=SourceEntry(
            kind="built",
            origin=tree.origin,
            base=picked.base,
            series=picked.series,
            commit=picked.commit,
            tree=picked.tree,
            patches=picked.patches,
        ),
        toolchain=go.go,
        binaries=tuple(binaries),
        images=tuple(sorted(made, key=lambda entry: entry.name)),
        cni=plugins[0].result() if plugins else (),
        cni_version=release.cni.version if release.cni else "",
    )
    with step("build", "release") as shown:
        store.write(manifest)
        total = sum(entry.size for entry in manifest.binaries) + sum(entry.size for entry in manifest.images)
        shown.ended_as(f"{version}, {total / 1e6:.0f} MB")
    return manifest
