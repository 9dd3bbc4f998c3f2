"""What was downloaded before, and with which checksum.

Where a publisher gives no checksum, that of the first download is kept here, and what comes later has to have it too.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, RootModel

from configs.errors import KubeV6Error
from configs.manifest import SHA256
from tasks import bounded
from tasks.disk import writing
from tasks.exclusive import exclusive
from tasks.release.store import Store
from tasks.replace import write_whole

GIVEN = "sha256 given"
PUBLISHED = "sha256 published"
FIRST = "sha256 recorded at first fetch"
SAME = "sha256 as at the first fetch"


class Record(BaseModel):
    """A file or an image as it was downloaded.

    Attributes:
        sha256: Of the file; of an image's configuration, which names all that is in it.
        size: In bytes.
        first_seen: When it was first downloaded with this checksum: UTC, ISO 8601.
        checked: What it was checked against then.
        manifest: Of an image, the digest of its manifest in the store; empty for a file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern=SHA256)
    size: int
    first_seen: str
    checked: str
    manifest: str = ""


class _Records(RootModel[dict[str, Record]]):
    pass


def file_of(store: Store) -> Path:
    """Where the records that belong to a store are kept."""
    return store.root / "fetched.json"


def find(store: Store, address: str) -> Record | None:
    """What was downloaded from an address, or under an image reference, before; None when nothing was.

    Raises:
        KubeV6Error: The records cannot be read.
    """
    return _read(file_of(store)).get(address)


def digests(store: Store) -> frozenset[str]:
    """The sha256 of every file that was downloaded, and of every blob of every image.

    Raises:
        KubeV6Error: The records cannot be read.
    """
    found = set()
    for record in _read(file_of(store)).values():
        found.add(record.sha256)
        if record.manifest:
            blobs = [record.manifest, *(digest for digest, _ in store.image_blobs(record.manifest))]
            found.update(digest.removeprefix("sha256:") for digest in blobs)
    return frozenset(found)


def remember(store: Store, address: str, sha256: str, size: int, checked: str, *, manifest: str = "") -> None:
    """Keep what was downloaded. That it was first seen earlier, with the same checksum, is kept as well.

    Raises:
        KubeV6Error: The records cannot be read or written.
    """
    path = file_of(store)
    with exclusive(path.with_name(".fetched.lock")):
        records = _read(path)
        before = records.get(address)
        first_seen = (
            before.first_seen if before and before.sha256 == sha256 else datetime.now(UTC).isoformat("T", "seconds")
        )
        new = Record(sha256=sha256, size=size, first_seen=first_seen, checked=checked, manifest=manifest)
        if new == before:
            return
        whole = _Records(dict(sorted({**records, address: new}.items())))
        with writing(str(path), "KUBEV6_DATA"):
            write_whole(path, whole.model_dump_json(indent=1) + "\n")


def not_as_recorded(what: str, seen: str, record: Record, store: Store) -> KubeV6Error:
    """The error that says that something is not what it was when it was first downloaded.

    Args:
        what: What was downloaded, and from where.
        seen: The sha256 it has now.
        record: What it was then.
        store: The store that the record belongs to.
    """
    return KubeV6Error(
        f"{what}: wrong checksum: it has the sha256 {seen}; when first fetched, at {record.first_seen}, it had "
        f"{record.sha256}, as {file_of(store)} records",
        todo="ask its publisher; if the new one is right, remove its entry there, and fetch again",
    )


def published_in(text: str, file_name: str) -> str | None:
    """The sha256 of a file in what its publisher gives: the digest alone, or lines of ``<digest>  <file name>``.

    Args:
        text: The content of a ``.sha256`` file.
        file_name: The file whose digest is wanted.

    Returns:
        The digest; None when there is none for that file.
    """
    for line in text.splitlines():
        digest, _, name = line.strip().partition(" ")
        if re.fullmatch(SHA256, digest.lower()) and name.strip().removeprefix("*").rpartition("/")[2] in (
            "",
            file_name,
        ):
            return digest.lower()
    return None


def _read(path: Path) -> dict[str, Record]:
    try:
        return bounded.read(path, _Records).root
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise KubeV6Error(
            f"{path}: is no record of downloads: {bounded.reason(error)}",
            todo="restore it, or remove it to trust the next downloads as the first ones",
        ) from None
