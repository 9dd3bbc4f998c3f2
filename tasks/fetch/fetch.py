"""Fetching a prebuilt release into the store: from its publishers, or from a mirror of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from configs.errors import KubeV6Error
from configs.manifest import BinaryEntry, Manifest, SourceEntry
from configs.schema.release import CniPlugins, Fetch, Release
from tasks.fetch import cni
from tasks.fetch.fetch_file import fetch_file, held_file
from tasks.fetch.fetch_image import fetch_image, held_image
from tasks.fetch.mirror import Mirror, path_of_file, path_of_image
from tasks.in_use import in_use
from tasks.scope import Threads
from tasks.store import Store

PARALLEL = 4
"""Files and images that are fetched at a time."""


def fetch_release(release: Release, *, store: Store, mirror: Mirror | None = None, force: bool = False) -> Manifest:
    """Fetch what a release file says and keep it in the store. What is there already is not fetched.

    Args:
        release: The release; its ``fetch`` and ``cni`` parts are used.
        store: Where it is kept, and looked for first.
        mirror: Where the addresses are read from; None for their publishers.
        force: Fetch also what is there.

    Raises:
        KubeV6Error: There is nothing to fetch, the network or mirror does not give it, or a checksum is wrong. What
            has come stays where the next attempt finds it.
    """
    if release.fetch is None:
        raise KubeV6Error(f"release {release.name} has no download address", todo="build it instead")
    with in_use(f"fetch of {release.name}"):
        return _fetch_release(release, release.fetch, store, mirror, force=force)


def _fetch_release(release: Release, wanted: Fetch, store: Store, mirror: Mirror | None, *, force: bool) -> Manifest:
    key = fetch_key(release)
    kept = None if force else store.find(release.name, key)
    if kept is not None and not store.check(kept):
        store.write(kept)
        return kept
    _refuse_missing(release, store, mirror)
    names = sorted(wanted.binaries)
    with Threads(PARALLEL, thread_name_prefix="fetch") as pool:
        files = [
            pool.submit(fetch_file, wanted.binaries[name], name=name, store=store, mirror=mirror, force=force)
            for name in names
        ]
        plugins = [pool.submit(fetch_cni, release.cni, store=store, mirror=mirror, force=force)] if release.cni else []
        pulled = [pool.submit(fetch_image, reference, store, mirror, force=force) for reference in wanted.images]
        _finish([*files, *plugins, *pulled])
    manifest = Manifest(
        name=release.name,
        version=f"v{release.kubernetes.removeprefix('v')}",
        key=key,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=SourceEntry(kind="fetched", origin=wanted.binaries[names[0]].url),
        binaries=tuple(
            BinaryEntry(name=name, sha256=file.sha256, size=file.size, checked=file.checked)
            for name, file in zip(names, (each.result() for each in files), strict=True)
        ),
        images=tuple(each.result() for each in pulled),
        cni=plugins[0].result() if plugins else (),
        cni_version=release.cni.version if release.cni else "",
    )
    store.write(manifest)
    return manifest


def fetch_key(release: Release) -> str:
    """sha256 of what is to be fetched: the same addresses and checksums give the same key."""
    wanted = release.model_dump(mode="json", include={"fetch", "cni"})
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()


def is_current(manifest: Manifest, release: Release) -> bool:
    """Whether what the store has of a release is what its file says: a fetched one may be of what it said before.

    One that was built stands for itself: what it was made from may have moved on since.

    Args:
        manifest: What the store has.
        release: What its file says now.
    """
    return manifest.source.kind == "built" or manifest.key == fetch_key(release)


def lacking(release: Release, store: Store) -> tuple[str, ...]:
    """What of a release is still to be fetched: executables, CNI plugins and images, as people call them."""
    wanted = dict(release.fetch.binaries) if release.fetch else {}
    files = [name for name in sorted(wanted) if held_file(wanted[name], store) is None]
    plugins = ["the CNI plugins"] if release.cni and held_file(release.cni, store) is None else []
    images = release.fetch.images if release.fetch else ()
    return (*files, *plugins, *(each for each in images if held_image(each, store) is None))


def fetch_cni(
    wanted: CniPlugins, *, store: Store, mirror: Mirror | None = None, force: bool = False
) -> tuple[BinaryEntry, ...]:
    """Fetch the CNI plugins and keep those that nodes need.

    Raises:
        KubeV6Error: As :func:`fetch_file`; or the archive is none, or lacks one.
    """
    name = f"cni-plugins {wanted.version}"
    archive = fetch_file(wanted, name=name, store=store, mirror=mirror, force=force)
    return cni.keep_plugins(store.blob(archive.sha256), store, name=f"{name}: {wanted.url}", checked=archive.checked)


def _refuse_missing(release: Release, store: Store, mirror: Mirror | None) -> None:
    """Say at once all that a directory lacks, before anything is copied."""
    if mirror is None or not mirror.is_directory or release.fetch is None:
        return
    missing: list[str] = []
    for wanted in (*release.fetch.binaries.values(), *([release.cni] if release.cni else [])):
        if held_file(wanted, store) is None:
            urls = [wanted.url, *([wanted.sha256_url] if wanted.sha256_url else [])]
            missing += [path_of_file(url) for url in urls if not Path(mirror.file(url)).is_file()]
    for reference in release.fetch.images:
        if held_image(reference, store) is None and not Path(mirror.image(reference)).is_file():
            missing.append(path_of_image(reference))
    if missing:
        raise mirror.lacks(missing)


def _finish(futures: Sequence[Future[Any]]) -> None:
    """Wait for all of them; after a failure only for those that have begun, whose work stays.

    Raises:
        KubeV6Error: Some failed; the message has all of them.
    """
    wait(futures, return_when=FIRST_EXCEPTION)
    if any(future.done() and future.exception() for future in futures):
        for future in futures:
            future.cancel()
        wait(futures)
    errors = [error for future in futures if not future.cancelled() and (error := future.exception())]
    for error in errors:
        if not isinstance(error, KubeV6Error):
            raise error
    told = [error for error in errors if isinstance(error, KubeV6Error)]
    if len(told) == 1:
        raise told[0]
    if told:
        raise KubeV6Error(
            "; ".join(dict.fromkeys(error.message for error in told)),
            todo="; ".join(dict.fromkeys(error.todo for error in told if error.todo)),
            transient=all(error.transient for error in told),
            detail="\n".join(error.detail for error in told if error.detail),
        )
