"""Making a release from source: the tree, the patches, the compilation and the images, in that order.

What is independent runs side by side. A release that the store holds already, made from the same inputs, is
returned at once: its key is the sha256 of everything that decides its bytes.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from configs.manifest import NODE_BINARIES, BinaryEntry, ImageEntry, Manifest, SourceEntry
from configs.schema import Release
from configs.versions import image_name, image_tag
from tasks import compile, docker_build, images, series, source, toolchain
from tasks.exclusive import exclusive
from tasks.paths import REPO, cache_dir
from tasks.series import Picked
from tasks.source import Source
from tasks.steps import step
from tasks.store import Store
from tasks.toolchain import Toolchain

CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")


def build_release(release: Release, *, store: Store, anew: bool = False) -> Manifest:
    """Build a release from source and keep it in the store, or take it from there.

    Args:
        release: The release; its ``build`` and ``images`` parts are used.
        store: Where it is kept, and looked for first.
        anew: Make it even if the store has it.

    Returns:
        Its manifest, the current one of this release from now on.

    Raises:
        KubeV6Error: A part of it failed; running it again goes on from what is done.
    """
    if release.build is None:
        raise ConfigError(f"release {release.name} says nothing to build it from", todo="fetch it instead")
    wanted = release.build
    patches = series.load(wanted.series)
    tree = source.obtain(wanted.source.debian.package, wanted.source.debian.version)
    picked = series.pick(patches, tree)
    known = toolchain.recorded()
    if known is not None and not anew:
        kept = _kept(release, picked, known, store)
        if kept is not None:
            return kept
    tools = toolchain.ready()
    with exclusive(cache_dir() / "worktree" / f".{patches.name}.lock"):
        # Another process may have made it while this one waited; or the toolchain came out as it was before.
        kept = None if anew else _kept(release, picked, tools, store)
        return kept or _build(release, tree, picked, tools, store)


def release_key(release: Release, picked: Picked, tools: Toolchain) -> str:
    """sha256 of everything that decides the bytes of a release, in canonical JSON."""
    inputs = {
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
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _kept(release: Release, picked: Picked, tools: Toolchain, store: Store) -> Manifest | None:
    found = store.find(release.name, release_key(release, picked, tools))
    if found is None or store.check(found):
        return None
    with step("build", "release") as shown:
        store.write(found)
        shown.ended_as(f"{found.version} is in the store")
    return found


def _build(release: Release, tree: Source, picked: Picked, tools: Toolchain, store: Store) -> Manifest:
    place = series.check_out(picked, tree)
    version = compile.version_stamp(release.kubernetes, picked.series, picked.tree)

    def compiled() -> dict[str, Path]:
        return compile.compile_tree(
            place,
            series=picked.series,
            version=version,
            commit=picked.commit,
            timestamp=tree.timestamp,
            tools=tools,
        )

    def ours(name: str, tag: str, files: dict[str, Path], known_as: str = "") -> ImageEntry:
        entry = images.build(name, tag, tools, store, files=files)
        return entry.model_copy(update={"name": known_as or name})

    pool = ThreadPoolExecutor(3, thread_name_prefix="build")
    compiling = pool.submit(compiled)
    try:
        beside: list[Future[ImageEntry]] = [
            pool.submit(images.build, "etcd", images.debian_tag(tools.version_of("etcd-server")), tools, store),
            pool.submit(images.build_program, "probe", tools, store),
            pool.submit(images.cluster_dns, release.images.coredns, tools, store),
        ]
        # An image that fails in the first minute is not kept secret until the compilation ends.
        under_way: list[Future[Any]] = [compiling, *beside]
        for future in wait(under_way, return_when=FIRST_EXCEPTION).done:
            future.result()
        programs = compiling.result()
        beside.append(pool.submit(ours, "pause", compile.pause_version(place), {"pause": programs["pause"]}))
        for name in CONTROL_PLANE:
            known_as = image_name(name, release.kubernetes)
            beside.append(pool.submit(ours, name, image_tag(version), {name: programs[name]}, known_as))
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
        key=release_key(release, picked, tools),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=SourceEntry(
            kind="built",
            origin=f"Debian source package {tree.package} {tree.version}",
            base=picked.base,
            series=picked.series,
            commit=picked.commit,
            tree=picked.tree,
            patches=picked.patches,
        ),
        toolchain=tools.go,
        binaries=tuple(binaries),
        images=tuple(sorted(made, key=lambda entry: entry.name)),
    )
    with step("build", "release") as shown:
        store.write(manifest)
        total = sum(entry.size for entry in manifest.binaries) + sum(entry.size for entry in manifest.images)
        shown.ended_as(f"{version}, {total / 1e6:.0f} MB")
    return manifest
