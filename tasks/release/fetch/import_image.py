"""An image of somebody's archive into the store, where who wants its reference finds it and asks no registry."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO

from pydantic import BaseModel

from configs.errors import ConfigError
from configs.schema.field_types import image_reference
from configs.words import shortened
from tasks import bounded
from tasks.release import docker_archive
from tasks.release.docker_archive import CHUNK, ArchiveError
from tasks.release.fetch import checksums
from tasks.release.fetch.mirror import full_reference
from tasks.release.store import Store


class _Platform(BaseModel):
    """What is read here of an image's config; what it leaves out is as in a release."""

    os: str = "linux"
    architecture: str = "amd64"


def import_image(path: Path, store: Store, references: Sequence[str] = ()) -> tuple[str, ...]:
    """Keep an image, as if it had been fetched.

    Args:
        path: The archive, as ``docker save`` or ``skopeo copy docker://… docker-archive:…`` write it.
        store: Where it is kept.
        references: The references that it is to have, each with a tag; those that the archive names when empty.

    Returns:
        The references that it has now, with their registries.

    Raises:
        ConfigError: The file cannot be read, holds no image or one for another platform, or names none.
        KubeV6Error: Another image was fetched under such a reference before, or the store cannot be written.
    """
    try:
        with path.open("rb") as file:
            named = tuple(dict.fromkeys(map(full_reference, references or _named(path, file))))
            file.seek(0)
            digest, size = store.add_docker_image(iter(partial(file.read, CHUNK), b""))
    except ArchiveError as error:
        raise ConfigError(f"{path}: {error.message}", todo="write it by `docker save` or `skopeo copy`") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    ((config, _), *_layers) = store.image_blobs(digest)
    sha256 = config.removeprefix("sha256:")
    try:
        told = bounded.read(store.blob(config), _Platform)
    except ValueError as error:
        raise ConfigError(f"{path}: its image's config: {error}", todo="write it by `docker save`") from None
    if (told.os, told.architecture) != ("linux", "amd64"):
        raise ConfigError(
            f"{path}: its image is for {told.os}/{told.architecture}, and nodes are linux/amd64",
            todo="take it with `docker pull --platform linux/amd64`, or `skopeo --override-arch amd64 copy`",
        )
    for reference in named:
        if (record := checksums.find(store, reference)) and record.sha256 != sha256:
            raise checksums.not_as_recorded(f"{path}: the image {reference}", sha256, record, store)
    for reference in named:
        checksums.remember(store, reference, sha256, size, checksums.FIRST, manifest=digest)
    return named


def _named(path: Path, file: IO[bytes]) -> tuple[str, ...]:
    """What an archive calls its image."""
    names = docker_archive.names(file)
    if not names:
        raise ConfigError(f"{path}: it does not say what its image is called", todo="say it by --as")
    for name in names:
        try:
            image_reference(name)
        except ValueError as error:
            raise ConfigError(
                f"{path}: what it calls its image, {shortened(repr(name), 100)}, {error}", todo="say it by --as"
            ) from None
    return names
