"""The CNI plugins, out of the archive that their project publishes."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from functools import partial
from pathlib import Path

from configs.errors import KubeV6Error
from configs.manifest import CNI_PLUGINS, BinaryEntry
from tasks.store import CHUNK, Store


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
    try:
        with tarfile.open(archive, mode="r:gz") as tar:
            for member in tar:
                plugin = member.name.removeprefix("./")
                if plugin in CNI_PLUGINS and member.isreg() and member.size and (content := tar.extractfile(member)):
                    sha256, size = store.add_stream(iter(partial(content.read, CHUNK), b""))
                    found[plugin] = BinaryEntry(name=plugin, sha256=sha256, size=size, checked=checked)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise KubeV6Error(f"{name}: is no archive of CNI plugins: {error}", todo="correct its address") from None
    if missing := [plugin for plugin in CNI_PLUGINS if plugin not in found]:
        raise KubeV6Error(
            f"{name}: the archive has no program {', '.join(missing)} at its top", todo="correct its address or version"
        )
    return tuple(found[plugin] for plugin in CNI_PLUGINS)
