"""Keeping an image that the Docker engine holds."""

from __future__ import annotations

from collections.abc import Iterator

from configs.errors import KubeV6Error
from configs.manifest import ImageEntry, name_of
from tasks.docker import container_engine
from tasks.release.store import Store
from tasks.steps import Step


def keep_image(reference: str, name: str, tag: str, store: Store, shown: Step, *, stand_in_for: str = "") -> ImageEntry:
    """Bring an image from the engine into the store.

    Args:
        reference: What the engine calls it.
        name: What it is to be called.
        tag: Its tag then.
        store: Where it is kept.
        shown: Step that ends with it.
        stand_in_for: What it stands in for, if it does.

    Raises:
        KubeV6Error: The engine did not give it out.
    """
    try:
        digest, size = store.add_docker_image(_saved(reference))
    except container_engine.FAILURES as error:
        raise KubeV6Error(f"{reference}: the Docker engine did not give it out: {error}", transient=True) from None
    shown.ended_as(f"{name}:{tag}, {size / 1e6:.1f} MB")
    return ImageEntry(name=name, tag=tag, digest=digest, size=size, stand_in_for=stand_in_for)


def keep_pulled(reference: str, store: Store, shown: Step) -> ImageEntry:
    """Keep one that was pulled, under its own last name and tag; see :func:`keep_image`."""
    return keep_image(reference, name_of(reference), reference.rpartition(":")[2], store, shown)


def _saved(reference: str) -> Iterator[bytes]:
    yield from container_engine.client().images.get(reference).save(chunk_size=1 << 20)
