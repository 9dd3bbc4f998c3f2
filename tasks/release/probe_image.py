"""The image of the proof, for releases that were not built here, or by an earlier kubev6."""

from __future__ import annotations

import logging

from configs.errors import KubeV6Error
from configs.manifest import ImageEntry, Manifest
from tasks.docker import toolchain
from tasks.recipes import PROBE, program_tag
from tasks.release import images
from tasks.release.fetch.fetch_image import fetch_in_step
from tasks.release.fetch.mirror import LackingError, Mirror, unpublished
from tasks.release.store import Store
from tasks.steps import step

log = logging.getLogger("kubev6.release")


def with_probe(manifest: Manifest, store: Store, mirror: Mirror | None = None) -> Manifest:
    """A release with the image that its cluster is proved with. One that is in the store already is not made again.

    One of an earlier kubev6 is kept where the present one cannot be had, and that is told: it asks less.

    Args:
        manifest: The release.
        store: Holds the release, and keeps the image with it.
        mirror: Looked into before the image is built, which takes a Docker engine and a package archive.

    Returns:
        The release, which the store then has like this.

    Raises:
        KubeV6Error: No image is in the release, one of the store or the mirror, and it could not be built.
    """
    own = {image.tag for image in manifest.images if image.name == PROBE}
    if program_tag(PROBE) in own:
        return manifest
    try:
        image = _held(store) or _mirrored(store, mirror) or images.build_program(PROBE, toolchain.ready(), store)
    except KubeV6Error as error:
        if not own:
            raise
        log.warning("the present image of the proof's pods cannot be had, an earlier one is taken: %s", error.message)
        return manifest
    others = (each for each in manifest.images if each.name != PROBE)
    whole = manifest.model_copy(update={"images": (*others, image)})
    store.write(whole)
    return whole


def _mirrored(store: Store, mirror: Mirror | None) -> ImageEntry | None:
    """The image out of a mirror; None where there is no mirror, or one that was not written by us."""
    if mirror is None:
        return None
    with step(PROBE, "image") as shown:
        try:
            return fetch_in_step(unpublished(PROBE, program_tag(PROBE)), store, mirror, shown)
        except LackingError as error:
            shown.ended_as(f"{error.message}; it is built")
            return None


def _held(store: Store) -> ImageEntry | None:
    """The image as another release of the store has it, made from the very sources that are here."""
    for release in store.list():
        for image in release.images:
            alone = release.model_copy(update={"images": (image,), "binaries": (), "cni": ()})
            if (image.name, image.tag) == (PROBE, program_tag(PROBE)) and not store.check(alone):
                return image
    return None
