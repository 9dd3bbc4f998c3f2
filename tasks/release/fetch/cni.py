"""The CNI plugins, out of the archive that their project publishes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from configs.errors import KubeV6Error
from configs.manifest import CNI_PLUGINS, BinaryEntry
from tasks.bounded import Bound
from tasks.release.docker_archive import CHUNK
from tasks.release.fetch.program import HEAD, instead_of_a_program
from tasks.release.store import Store
from tasks.release.tar_archive import UNREADABLE, open_tar, seen_in

LARGEST_UNPACKED = 2 << 30
"""Bytes of the archive when it is unpacked; that of the plugins has a tenth of it."""


def keep_plugins(archive: Path, store: Store, *, name: str, checked: str) -> tuple[BinaryEntry, ...]:
    """Keep the plugins that nodes need. Nothing of the archive is written under a name that it chooses.

    Args:
        archive: The ``.tgz``.
        store: Where they are kept.
        name: What it is, for messages.
        checked: What the archive was checked against.

    Raises:
        KubeV6Error: It is no such archive, or lacks a plugin.
    """
    found: dict[str, BinaryEntry] = {}
    for plugin, content in _plugins(archive, name):
        with _read(name):
            sha256, size = store.add_stream(iter(partial(content.read, CHUNK), b""))
        found[plugin] = BinaryEntry(name=plugin, sha256=sha256, size=size, checked=checked)
    return tuple(found[plugin] for plugin in CNI_PLUGINS)


def refuse_other(archive: Path, *, name: str) -> None:
    """Refuse what is no archive of the plugins that nodes need, as programs that they can run.

    Args:
        archive: The ``.tgz``.
        name: What it is, for messages.

    Raises:
        KubeV6Error: It is something else.
    """
    for plugin, content in _plugins(archive, name):
        with _read(name):
            head = content.read(HEAD)
        if seen := instead_of_a_program(head):
            raise KubeV6Error(
                f"{name}: {plugin} in it is {seen}, and no program for x86-64", todo="correct its address"
            )


def _plugins(archive: Path, name: str) -> Iterator[tuple[str, IO[bytes]]]:
    """The plugins that nodes need, each with its content, which is read before the next one is asked for.

    Raises:
        KubeV6Error: As :func:`keep_plugins`, after the last one.
    """
    found = set()
    with _read(name), open_tar(archive, "r:gz") as tar:
        unpacked = Bound(LARGEST_UNPACKED, "what is in it, unpacked,")
        for member in tar:
            unpacked.count(member.size)
            plugin = member.name.removeprefix("./")
            if plugin in CNI_PLUGINS and member.isreg() and member.size and (content := tar.extractfile(member)):
                yield plugin, content
                found.add(plugin)
        while rest := tar.fileobj.read(CHUNK) if tar.fileobj else b"":  # behind its end stands gzip's checksum
            unpacked.count(len(rest))
    if missing := [plugin for plugin in CNI_PLUGINS if plugin not in found]:
        raise KubeV6Error(
            f"{name}: the archive has no program {', '.join(missing)} at its top", todo="correct its address or version"
        )


@contextmanager
def _read(name: str) -> Iterator[None]:
    """Have what is wrong with the archive be one line, wherever it shows while that is read."""
    try:
        yield
    except UNREADABLE as error:
        raise KubeV6Error(
            f"{name}: is no archive of CNI plugins: {seen_in(error)}", todo="correct its address"
        ) from None
