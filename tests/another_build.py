"""Another build of a release that the store has, made without compiling anything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from configs.manifest import BinaryEntry, ImageEntry, Manifest
from configs.schema.loading import CONFIGS, load_cluster
from tasks import deployed
from tasks.release.store import Store

SHIPPED = "debian-1.20"


def another_build(
    store: Store,
    of: Manifest,
    directory: Path,
    name: str,
    *,
    images: Mapping[str, str] = MappingProxyType({}),
    binaries: Mapping[str, bytes] = MappingProxyType({}),
) -> Path:
    """Put another build into a store.

    Args:
        store: The store.
        of: A build of the shipped release, which it is like.
        directory: Where the file of its release is written.
        name: Of its release.
        images: Components that have images of another tag, and whose content of the others each has.
        binaries: Executables that are others.

    Returns:
        The file of its release.
    """

    def image(each: ImageEntry) -> ImageEntry:
        content = images.get(each.name)
        new = {"tag": f"{each.tag}-{name}", "digest": of.image(content).digest} if content else {}
        return each.model_copy(update=new)

    def binary(each: BinaryEntry) -> BinaryEntry:
        if each.name not in binaries:
            return each
        digest, size = store.add_stream([binaries[each.name]])
        return each.model_copy(update={"sha256": digest, "size": size})

    key = sha256(f"{of.key} {name}".encode()).hexdigest()
    others = {"images": tuple(map(image, of.images)), "binaries": tuple(map(binary, of.binaries))}
    store.write(of.model_copy(update={"name": name, "key": key, **others}))
    shipped = (CONFIGS / "releases" / f"{SHIPPED}.yaml").read_text()
    file = directory / f"{name}.yaml"
    file.write_text(shipped.replace(f"name: {SHIPPED}\n", f"name: {name}\n"))
    return file


@contextmanager
def stored_build(lab: str, directory: Path, name: str, images: Mapping[str, str]) -> Iterator[str]:
    """The file of a release in the store for so long, which is what a lab runs but for some images.

    Args:
        lab: The lab's name.
        directory: Where the file is written.
        name: Of the release.
        images: As in :func:`another_build`.
    """
    store = Store()
    runs = deployed.deployed(load_cluster("lab").model_copy(update={"name": lab}))
    file = another_build(store, runs, directory, name, images=images)
    try:
        yield str(file)
    finally:
        shutil.rmtree(store.root / "releases" / name)
        store.update_index()
