"""Making a release from source: the tree, the patches, the compilation and the images, in that order.

What is independent runs side by side. A release that the store holds already, made from the same inputs, is
returned at once: its key is the sha256 of everything that decides its bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from configs.manifest import NODE_BINARIES, BinaryEntry, ImageEntry, Manifest, SourceEntry
from configs.schema import Build, Release
from configs.versions import image_name, image_tag
from tasks.build import compile, compiler, images, toolchain
from tasks.build.compiler import Compiler
from tasks.build.toolchain import Toolchain
from tasks.docker import build as docker_build
from tasks.exclusive import exclusive
from tasks.fetch.fetch import fetch_cni
from tasks.fetch.fetch_image import fetch_image, name_of
from tasks.fetch.mirror import Mirror
from tasks.paths import REPO, cache_dir
from tasks.series import debian_source, series, series_file, series_source
from tasks.series.check_out import check_out
from tasks.series.series import Picked
from tasks.series.series_file import DebianSeries, Series
from tasks.series.source import Source
from tasks.steps import step
from tasks.store import Store

CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
CLUSTER_DNS = ("coredns", "k8s-dns-kube-dns")
"""What the name of an image that answers as cluster DNS begins with."""


def build_release(
    release: Release,
    *,
    store: Store,
    sources: Mapping[str, str] | None = None,
    mirror: Mirror | None = None,
    anew: bool = False,
) -> Manifest:
    """Build a release from source and keep it in the store, or take it from there.

    Args:
        release: The release; of ``fetch`` only the images that are not made here are used.
        store: Where it is kept, and looked for first.
        sources: Other places for the remotes of its series, by name: a URL, a repository's directory or a bundle.
        mirror: Where other projects' images and CNI plugins are read from; None for their publishers.
        anew: Make it even if the store has it.

    Returns:
        Its manifest, the current one of this release from now on.

    Raises:
        KubeV6Error: A part of it failed; running it again goes on from what is done.
    """
    if release.build is None:
        raise ConfigError(f"release {release.name} says nothing to build it from", todo="fetch it instead")
    wanted = release.build
    patches = series_file.load(wanted.series)
    tree = _source(wanted, patches, sources)
    picked = series.pick(patches, tree)
    # Which image a tag stands for is known to the engine alone.
    other = compiler.named(wanted.toolchain.image) if wanted.toolchain else None
    known = toolchain.recorded()
    if known is not None and not anew:
        kept = _kept(release, picked, known, other or compiler.debian(known), store)
        if kept is not None:
            return kept
    tools = toolchain.ready()
    go = other or compiler.debian(tools)
    with exclusive(cache_dir() / "worktree" / f".{patches.name}.lock"):
        # Another process may have made it while this one waited; or the toolchain came out as it was before.
        kept = None if anew else _kept(release, picked, tools, go, store)
        return kept or _build(release, tree, picked, tools, go, store, mirror)


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


def _source(wanted: Build, patches: Series, sources: Mapping[str, str] | None) -> Source:
    if wanted.source is None or (sources and isinstance(patches, DebianSeries)):  # which has no remotes, as it will say
        return series_source.obtain(patches, sources=sources)
    if not isinstance(patches, DebianSeries):
        raise ConfigError(
            f"{patches.path}: names its own base and remotes, but the release has a source too",
            todo="take build.source out of the release",
        )
    return debian_source.obtain(wanted.source.debian.package, wanted.source.debian.version)


def _kept(release: Release, picked: Picked, tools: Toolchain, go: Compiler, store: Store) -> Manifest | None:
    found = store.find(release.name, release_key(release, picked, tools, go))
    if found is None or store.check(found):
        return None
    with step("build", "release") as shown:
        store.write(found)
        shown.ended_as(f"{found.version} is in the store")
    return found


def _build(
    release: Release,
    tree: Source,
    picked: Picked,
    tools: Toolchain,
    go: Compiler,
    store: Store,
    mirror: Mirror | None,
) -> Manifest:
    place = check_out(picked, tree)
    version = compile.version_stamp(release.kubernetes, picked.series, picked.tree)

    def compiled() -> dict[str, Path]:
        return compile.compile_tree(
            place,
            series=picked.series,
            version=version,
            commit=picked.commit,
            timestamp=tree.timestamp,
            compiler=go,
        )

    def ours(name: str, tag: str, files: Mapping[str, Path] | None = None) -> ImageEntry:
        entry = images.build(name, tag, tools, store, files=files)
        return entry.model_copy(update={"name": image_name(name, release.kubernetes)})

    others = {name_of(reference): reference for reference in companions(release)}
    pool = ThreadPoolExecutor(3, thread_name_prefix="build")
    compiling = pool.submit(compiled)
    try:
        plugins = [pool.submit(fetch_cni, release.cni, store=store, mirror=mirror)] if release.cni else []
        beside: list[Future[ImageEntry]] = [
            *(pool.submit(fetch_image, reference, store, mirror) for reference in others.values()),
            pool.submit(images.build_program, "probe", tools, store),
        ]
        if image_name("etcd", release.kubernetes) not in others:
            beside.append(pool.submit(ours, "etcd", images.debian_tag(tools.version_of("etcd-server"))))
        if not any(name.startswith(CLUSTER_DNS) for name in others):
            beside.append(pool.submit(images.cluster_dns, release.images.coredns, tools, store))
        # An image that fails in the first minute is not kept secret until the compilation ends.
        under_way: list[Future[Any]] = [compiling, *plugins, *beside]
        for future in wait(under_way, return_when=FIRST_EXCEPTION).done:
            future.result()
        programs = compiling.result()
        beside.append(pool.submit(ours, "pause", compile.pause_version(place), {"pause": programs["pause"]}))
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
