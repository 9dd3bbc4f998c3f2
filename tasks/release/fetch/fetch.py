"""Fetching a prebuilt release into the store: from its publishers, or from a mirror of them.

Each file and each image of a release is a part that is fetched by itself; the release is written when all are there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from datetime import UTC, datetime

from configs.errors import KubeV6Error, combined
from configs.manifest import BinaryEntry, ImageEntry, Manifest, SourceEntry
from configs.schema.release import CniPlugins, Download, Release
from tasks.in_use import in_use
from tasks.release.fetch import cni
from tasks.release.fetch.fetch_file import FetchedFile, fetch_file, held_file
from tasks.release.fetch.fetch_image import fetch_image, held_image
from tasks.release.fetch.mirror import LackingError, Mirror
from tasks.release.store import Store
from tasks.scope import Threads
from tasks.steps import step

PARALLEL = 4
"""Parts that are fetched at a time where nothing else orders them."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file or an image of a release.

    Attributes:
        name: What it is; the reference of an image.
        file: Where a file is published; None for an image.
    """

    name: str
    file: Download | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a part came to, as the manifest names it: an executable, the CNI plugins, or an image."""

    binaries: tuple[BinaryEntry, ...] = ()
    cni: tuple[BinaryEntry, ...] = ()
    images: tuple[ImageEntry, ...] = ()

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(each.size for each in (*self.binaries, *self.cni)) + sum(each.size for each in self.images)


def parts(release: Release) -> tuple[Part, ...]:
    """All that is to be fetched of a release.

    Raises:
        KubeV6Error: It is not published.
    """
    if release.fetch is None:
        raise KubeV6Error(f"release {release.name} has no download address", todo="build it instead")
    files = [Part(name, file) for name, file in sorted(release.fetch.binaries.items())]
    plugins = [plugins_part(release.cni)] if release.cni else []
    return (*files, *plugins, *map(Part, release.fetch.images))


def plugins_part(plugins: CniPlugins) -> Part:
    """The archive of CNI plugins."""
    return Part(f"cni-plugins {plugins.version}", plugins)


def fetch_part(part: Part, *, store: Store, mirror: Mirror | None = None, force: bool = False) -> Fetched:
    """Fetch one part and keep it in the store, unless it is there.

    Args:
        part: Which.
        store: Where it is kept, and looked for first.
        mirror: Where its address is read from; None for its publisher.
        force: Fetch it although it is there; it has to come as it was.

    Raises:
        KubeV6Error: The network or the mirror does not give it, its checksum is wrong, or it is of another kind. What
            has come stays where the next attempt finds it.
    """
    if not force and (held := held_part(part, store)):
        with step(part.name.rpartition("/")[2], "download") as shown:
            shown.ended_as(f"{held.size / 1e6:.1f} MB, in the store", cached=True)
        return held
    if part.file is None:
        return Fetched(images=(fetch_image(part.name, store, mirror, force=force),))
    file = fetch_file(part.file, name=part.name, store=store, mirror=mirror, force=force)
    return _of_file(part, part.file, file, store)


def held_part(part: Part, store: Store) -> Fetched | None:
    """What the store has of a part; None when it has not all of it."""
    if part.file is None:
        image = held_image(part.name, store)
        return Fetched(images=(image,)) if image else None
    file = held_file(part.file, store)
    return _of_file(part, part.file, file, store) if file else None


def complete(release: Release, fetched: Iterable[Fetched], store: Store) -> Manifest:
    """The release of its parts, whole and in the store: the current one of its name from now on.

    Args:
        release: The release.
        fetched: What each of its :func:`parts` came to, in their order.
        store: Where they are.
    """
    whole = tuple(fetched)
    first = next(part.file for part in parts(release) if part.file)
    manifest = Manifest(
        name=release.name,
        version=f"v{release.kubernetes.removeprefix('v')}",
        key=fetch_key(release),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=SourceEntry(kind="fetched", origin=first.url),
        binaries=tuple(entry for each in whole for entry in each.binaries),
        images=tuple(entry for each in whole for entry in each.images),
        cni=tuple(entry for each in whole for entry in each.cni),
        cni_version=release.cni.version if release.cni else "",
    )
    store.write(manifest)
    return manifest


def find_fetched(release: Release, store: Store) -> Manifest | None:
    """The release as it was fetched before by the same addresses and checksums, made the current one of its name.

    Returns:
        It; None when the store does not hold it whole.
    """
    kept = store.find(release.name, fetch_key(release))
    if kept is None or store.check(kept):
        return None
    store.write(kept)
    return kept


def fetch_release(release: Release, *, store: Store, mirror: Mirror | None = None, force: bool = False) -> Manifest:
    """Fetch what a release file says and keep it in the store. What is there already is not fetched.

    Args:
        release: The release; its ``fetch`` and ``cni`` parts are used.
        store: Where it is kept, and looked for first.
        mirror: Where the addresses are read from; None for their publishers.
        force: Fetch also what is there.

    Raises:
        KubeV6Error: There is nothing to fetch, or some parts cannot be had: all of them are named, and the others stay.
    """
    wanted = parts(release)
    with in_use(f"fetch of {release.name}"):
        if not force and (kept := find_fetched(release, store)):
            return kept
        with Threads(PARALLEL, thread_name_prefix="fetch") as pool:
            futures = [pool.submit(fetch_part, each, store=store, mirror=mirror, force=force) for each in wanted]
            wait(futures)
        if errors := [error for future in futures if (error := future.exception())]:
            raise not_fetched(errors)
        return complete(release, [future.result() for future in futures], store)


def not_fetched(errors: Sequence[BaseException]) -> BaseException:
    """The error that names all that could not be fetched; what a mirror lacks comes to one line. Pure.

    Args:
        errors: Those of the parts.
    """
    lacking = [error for error in errors if isinstance(error, LackingError)]
    others = [error for error in errors if error not in lacking]
    return combined([*([LackingError.of_all(lacking)] if lacking else []), *others])


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
    """What of a release is still to be fetched, as people call it."""
    return tuple(part.name for part in parts(release) if held_part(part, store) is None)


def _of_file(part: Part, wanted: Download, file: FetchedFile, store: Store) -> Fetched:
    if isinstance(wanted, CniPlugins):
        archive, name = store.blob(file.sha256), f"{part.name}: {wanted.url}"
        return Fetched(cni=cni.keep_plugins(archive, store, name=name, checked=file.checked))
    return Fetched(binaries=(BinaryEntry(name=part.name, sha256=file.sha256, size=file.size, checked=file.checked),))
