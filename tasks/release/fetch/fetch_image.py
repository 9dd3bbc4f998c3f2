"""One image of a release: out of a mirror, or pulled by the Docker engine, into the store."""

from __future__ import annotations

from functools import partial

from configs.errors import KubeV6Error
from configs.manifest import ImageEntry, name_of
from tasks.docker.keep_image import keep_pulled
from tasks.docker.pull import pull
from tasks.release.docker_archive import CHUNK, ArchiveError
from tasks.release.fetch import checksums
from tasks.release.fetch.download import NotThereError, Say, alone, discard, obtain
from tasks.release.fetch.mirror import Mirror, full_reference, origin, path_of_image
from tasks.release.store import Store
from tasks.steps import Step, step

WANTS_LOGIN = ("no basic auth credentials", "unauthorized", "denied")
"""What the engine says of a registry that wants a login, or another one. It is given those of `docker login`."""


class NotPulledError(KubeV6Error):
    """A registry does not answer, or does not give out an image."""


def fetch_image(reference: str, store: Store, mirror: Mirror | None, *, force: bool = False) -> ImageEntry:
    """Fetch one image into the store, unless it is there.

    Its digest is compared with the one that it had when it was first fetched: a tag can be moved.

    Args:
        reference: Its name and tag.
        store: Where it is kept.
        mirror: Where its archive is read from; None to have the Docker engine pull it.
        force: Fetch it although it is there.

    Raises:
        KubeV6Error: It cannot be had, or is another one by now.
    """
    if not force and (held := held_image(reference, store)):
        return held
    with step(reference.rpartition("/")[2], "download") as shown:
        return fetch_in_step(reference, store, mirror, shown, force=force)


def fetch_in_step(
    reference: str, store: Store, mirror: Mirror | None, shown: Step, *, force: bool = False
) -> ImageEntry:
    """The same within a step that goes on when the image cannot be had.

    Raises:
        LackingError: The mirror does not have it.
        NotPulledError: No registry gives it out.
        KubeV6Error: It is another one by now, or cannot be kept.
    """
    with alone(reference, shown.progress):
        if not force and (held := held_image(reference, store)):  # the one before us has fetched it
            shown.ended_as("is in the store", cached=True)
            return held
        if mirror:
            digest, size = _from_mirror(reference, store, mirror, shown.progress)
        else:
            digest, size = _pulled(reference, store, shown)
        ((config, _), *_layers) = store.image_blobs(digest)
        sha256 = config.removeprefix("sha256:")
        record = checksums.find(store, full_reference(reference))
        if record and record.sha256 != sha256:
            raise checksums.not_as_recorded(f"the image {reference}", sha256, record, store)
        checked = checksums.SAME if record else checksums.FIRST
        checksums.remember(store, full_reference(reference), sha256, size, checked, manifest=digest)
        shown.ended_as(f"{size / 1e6:.1f} MB from {origin(path_of_image(reference), mirror)}, {checked}")
        return entry_of(reference, digest, size, checked)


def held_image(reference: str, store: Store) -> ImageEntry | None:
    """What the store has of an image; None when it has not all of it."""
    record = checksums.find(store, full_reference(reference))
    if record is None or not store.has_image(record.manifest):
        return None
    return entry_of(reference, record.manifest, record.size, checksums.SAME)


def entry_of(reference: str, digest: str, size: int, checked: str) -> ImageEntry:
    """An image under the last part of its name: what kubeadm asks for below an image repository of one's own."""
    tag = reference.rpartition(":")[2]
    return ImageEntry(name=name_of(reference), tag=tag, digest=digest, size=size, checked=checked)


def _pulled(reference: str, store: Store, shown: Step) -> tuple[str, int]:
    refused = pull(reference, shown)
    if any(word in refused.lower() for word in WANTS_LOGIN):
        host = full_reference(reference).partition("/")[0]
        raise NotPulledError(
            f"the image {reference} cannot be pulled: {refused}",
            todo=f"docker login {host}, as this user; or use a mirror (--mirror), or a release that is in the store",
        )
    if refused:
        raise NotPulledError(
            f"the image {reference} cannot be pulled: {refused}",
            todo="check the network, use a mirror (--mirror), or a release that is in the store",
            transient=True,
        )
    kept = keep_pulled(reference, store, shown)
    return kept.digest, kept.size


def _from_mirror(reference: str, store: Store, mirror: Mirror, say: Say) -> tuple[str, int]:
    where, name = mirror.image(reference), f"the image {reference}"
    try:
        come = obtain(where, name=name, checkable=True, say=say)  # the archive holds its layers' checksums
    except NotThereError:
        raise mirror.lacks([path_of_image(reference)]) from None
    try:
        with come.path.open("rb") as file:
            kept = store.add_docker_image(iter(partial(file.read, CHUNK), b""))
    except ArchiveError as error:
        discard(come)
        # Parts of different archives make none; the next attempt begins with its first byte.
        raise KubeV6Error(f"{name}: {where}: {error}", todo="write it again", transient=come.pieced) from None
    discard(come)
    return kept
