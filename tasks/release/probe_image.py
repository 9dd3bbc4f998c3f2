"""The image of the proof, for releases that were not built here and so come without it."""

from __future__ import annotations

from configs.manifest import ImageEntry, Manifest
from tasks.docker import build as docker_build
from tasks.docker import toolchain
from tasks.release import images
from tasks.release.fetch.fetch_image import fetch_in_step
from tasks.release.fetch.mirror import LackingError, Mirror, unpublished
from tasks.release.store import Store
from tasks.steps import step

PROBE = "probe"


def with_probe(manifest: Manifest, store: Store, mirror: Mirror | None = None) -> Manifest:
    """A release with the image that its cluster is proved with. One that is in the store already is not made again.

    Args:
        manifest: The release.
        store: Holds the release, and keeps the image with it.
        mirror: Looked into before the image is built, which takes a Docker engine and a package archive.

    Returns:
        The release, which the store then has like this.

    Raises:
        KubeV6Error: The image is in no release of the store and not in the mirror, and could not be built.
    """
    if any(image.name == PROBE for image in manifest.images):
        return manifest
    image = _held(store) or _mirrored(store, mirror) or images.build_program(PROBE, toolchain.ready(), store)
    whole = manifest.model_copy(update={"images": (*manifest.images, image)})
    store.write(whole)
    return whole


def _tag() -> str:
    """The tag that it gets from the sources that are here."""
    return docker_build.directory_digest(images.IMAGES / PROBE)[:12]


def _mirrored(store: Store, mirror: Mirror | None) -> ImageEntry | None:
    """The image out of a mirror; None where there is no mirror, or one that was not written by us."""
    if mirror is None:
        return None
    with step(PROBE, "image") as shown:
        try:
            return fetch_in_step(unpublished(PROBE, _tag()), store, mirror, shown)
        except LackingError as error:
            shown.ended_as(f"{error.message}; it is built")
            return None


def _held(store: Store) -> ImageEntry | None:
    """The image as another release of the store has it, made from the very sources that are here."""
    for release in store.list():
        for image in release.images:
            alone = release.model_copy(update={"images": (image,), "binaries": (), "cni": ()})
            if (image.name, image.tag) == (PROBE, _tag()) and not store.check(alone):
                return image
    return None
