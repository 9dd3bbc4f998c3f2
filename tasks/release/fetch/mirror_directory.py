"""Writing a release as a mirror, for a site without a network: the files that :mod:`tasks.release.fetch.mirror` reads.

Everything is written beside its place and renamed into it. ``SHA256SUMS``, which comes last, lists the files of every
release that was written there; ``sha256sum -c`` checks them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from configs.errors import ConfigError, KubeV6Error
from configs.manifest import Manifest
from configs.schema.release import Release
from tasks import bounded
from tasks.release.docker_archive import CHUNK
from tasks.release.fetch import image_archive
from tasks.release.fetch.fetch_file import fetch_file
from tasks.release.fetch.mirror import Mirror, full_reference, path_of_file, path_of_image, unpublished
from tasks.release.store import Store
from tasks.replace import write_whole
from tasks.steps import Step, step

SUMS = "SHA256SUMS"


def provide(directory: Path) -> None:
    """Make the directory, unless it is there.

    Raises:
        ConfigError: It cannot be made or written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{directory} cannot be made: {error.strerror}", todo="name another directory") from None
    if not os.access(directory, os.W_OK):
        raise ConfigError(f"{directory} may not be written to by this user", todo="name another directory")


def write(release: Release, manifest: Manifest, store: Store, directory: Path, mirror: Mirror | None) -> int:
    """Write a release that was fetched.

    Args:
        release: The addresses.
        manifest: What the store holds of them.
        store: Where it is.
        directory: Where the mirror is; what is there of other releases stays.
        mirror: Where is read what the store should have lost.

    Returns:
        The size of what was written, in bytes.

    Raises:
        KubeV6Error: The directory cannot be written.
    """
    written: dict[str, tuple[str, int]] = {}
    with step("mirror", "write") as shown, _writing(directory):
        for path, content in _files(release, manifest, store, mirror):
            shown.progress(path)
            written[path] = _place(directory / path, content, shown)
        _write_sums(directory / SUMS, {path: sha256 for path, (sha256, _) in written.items()})
        total = sum(size for _, size in written.values())
        shown.ended_as(f"{len(written)} files, {total / 1e6:.0f} MB")
    return total


def _files(
    release: Release, manifest: Manifest, store: Store, mirror: Mirror | None
) -> Iterator[tuple[str, Callable[[IO[bytes]], None]]]:
    """The path of each file of the mirror, and what writes its content."""
    downloads = {} if release.fetch is None else dict(release.fetch.binaries)
    for name, wanted in [*downloads.items(), *([("cni-plugins", release.cni)] if release.cni else [])]:
        sha256 = fetch_file(wanted, name=name, store=store, mirror=mirror).sha256
        yield path_of_file(wanted.url), partial(_copy, store.blob(sha256))
        if wanted.sha256_url:
            yield path_of_file(wanted.sha256_url), partial(_say, f"{sha256}\n")
    published = {each.rpartition("/")[2]: each for each in (release.fetch.images if release.fetch else ())}
    for image in manifest.images:
        reference = published.get(f"{image.name}:{image.tag}") or unpublished(image.name, image.tag)
        yield path_of_image(reference), partial(image_archive.write, image, full_reference(reference), store)


def _copy(source: Path, file: IO[bytes]) -> None:
    with source.open("rb") as content:
        shutil.copyfileobj(content, file, CHUNK)


def _say(text: str, file: IO[bytes]) -> None:
    file.write(text.encode())


def _place(path: Path, content: Callable[[IO[bytes]], None], shown: Step) -> tuple[str, int]:
    """Write one file. Returns its sha256 and size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.new")
    try:
        with unfinished.open("w+b") as file:
            content(file)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
        shown.progress(path.name)  # raises when the person has asked for the end
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return sha256, size


def _write_sums(path: Path, sums: dict[str, str]) -> None:
    known = {}
    if path.exists():
        for line in bounded.content(path).decode(errors="replace").splitlines():
            sha256, _, name = line.partition("  ")
            known[name] = sha256
    lines = [f"{sha256}  {name}\n" for name, sha256 in sorted({**known, **sums}.items())]
    write_whole(path, "".join(lines))


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KubeV6Error(
            f"the mirror {directory} cannot be written: {error.strerror}", todo="make room, and run it again"
        ) from None
