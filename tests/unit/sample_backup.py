"""Snapshots of etcd and backups, made as etcd and kubev6 make them, for tests of what is read from them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.backup import FORMAT, Backup
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from tasks.backup import archive, bolt, keys
from tasks.backup.archive import PKI, SNAPSHOT
from tests.unit import sample

PAGE = 4096
Pairs = Sequence[tuple[bytes, bytes]]
MADE = "2026-11-28T01:30:00Z"
AUTHORITY = "QSBDQQ=="


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def message(fields: Mapping[int, int | bytes]) -> bytes:
    """Protocol buffers."""
    return b"".join(
        varint(number << 3 | 2) + varint(len(value)) + value
        if isinstance(value, bytes)
        else varint(number << 3) + varint(value)
        for number, value in fields.items()
    )


def leaf(pairs: Pairs, flags: int = 0) -> bytes:
    """The content of a leaf, without the number of its page."""
    elements, content = b"", b""
    for index, (key, value) in enumerate(pairs):
        place = (len(pairs) - index) * 16 + len(content)
        elements += struct.pack("<IIII", flags, place, len(key), len(value))
        content += key + value
    return elements + content


class Bolt:
    """Writes a database of bbolt's."""

    def __init__(self, page_size: int = PAGE) -> None:
        self.size = page_size
        self.pages: list[bytes] = []

    def page(self, kind: int, count: int, content: bytes) -> int:
        number = len(self.pages) + 2
        whole = -(-(16 + len(content)) // self.size)
        head = struct.pack("<QHHI", number, kind, count, whole - 1)
        padded = (head + content).ljust(whole * self.size, b"\0")
        self.pages += [padded[at : at + self.size] for at in range(0, len(padded), self.size)]
        return number

    def tree(self, pairs: Pairs, fan: int = 8) -> int:
        """The pages of a bucket, whose root is given."""
        below = []
        for at in range(0, len(pairs), fan):
            some = pairs[at : at + fan]
            below.append((some[0][0], self.page(bolt._LEAF, len(some), leaf(some))))
        while len(below) > 1:
            above = []
            for at in range(0, len(below), fan):
                some_below = below[at : at + fan]
                elements, content = b"", b""
                for index, (key, number) in enumerate(some_below):
                    place = (len(some_below) - index) * 16 + len(content)
                    elements += struct.pack("<IIQ", place, len(key), number)
                    content += key
                above.append((some_below[0][0], self.page(bolt._BRANCH, len(some_below), elements + content)))
            below = above
        return below[0][1] if below else self.page(bolt._LEAF, 0, b"")

    def whole(self, buckets: Mapping[bytes, Pairs]) -> bytes:
        """The file; small buckets lie in their parent's page, as bbolt has it."""
        values = []
        for name, pairs in sorted(buckets.items()):
            if len(pairs) < 3:
                inside = struct.pack("<QHHI", 0, bolt._LEAF, len(pairs), 0) + leaf(pairs)
                values.append((name, struct.pack("<QQ", 0, 0) + inside))
            else:
                values.append((name, struct.pack("<QQ", self.tree(pairs), 0)))
        root = self.page(bolt._LEAF, len(values), leaf(values, flags=1))
        free = self.page(0x10, 0, b"")
        metas = [self.meta(0, 1 << 40, 2), self.meta(1, root, 3, free)]  # the older one leads nowhere
        return b"".join([*metas, *self.pages])

    def meta(self, number: int, root: int, transaction: int, free: int = 3) -> bytes:
        body = struct.pack(
            "<IIIIQQQQQ", bolt.MAGIC, bolt.VERSION, self.size, 0, root, 0, free, len(self.pages) + 2, transaction
        )
        body += struct.pack("<Q", bolt._fnv(memoryview(body)))
        return (struct.pack("<QHHI", number, bolt._META, 0, 0) + body).ljust(self.size, b"\0")


def key_value(name: bytes, value: bytes, lease: int = 0) -> bytes:
    fields: dict[int, int | bytes] = {1: name, 2: 3, 3: 4, 4: 1, 5: value}
    return message(fields | ({6: lease} if lease else {}))


def snapshot(changes: Sequence[tuple[bytes, bytes | None, int]], leases: Mapping[int, int]) -> bytes:
    """A snapshot of an etcd in which some keys were set, or deleted where there is no value, each by a lease or 0."""
    pairs = []
    for number, (name, value, lease) in enumerate(changes, 2):
        revision = struct.pack(">QcQ", number, b"_", 0)
        deleted = value is None
        content = message({1: name}) if value is None else key_value(name, value, lease)
        pairs.append((revision + b"t" * deleted, content))
    granted = [(struct.pack(">Q", each), message({1: each, 2: seconds})) for each, seconds in sorted(leases.items())]
    database = Bolt().whole({b"key": pairs, b"lease": granted, b"meta": [(b"consistent_index", b"\0" * 8)]})
    return database + hashlib.sha256(database).digest()


CHANGES: list[tuple[bytes, bytes | None, int]] = [
    (b"/registry/minions/kube-1", b"node 1", 0),
    (b"/registry/minions/kube-10", b"node 10", 0),
    (b"/registry/secrets/gone", b"it was here", 0),
    (b"/registry/secrets/kept", b"one", 0),
    (b"/registry/secrets/gone", None, 0),
    (b"/registry/secrets/kept", b"\0two\xff", 0),
    (b"/registry/events/e", b"event", 7587881),
    (b"/registry/masterleases/fd00::100", b"here", 99),
]


def contents() -> dict[str, bytes]:
    """The files of a backup."""
    made = snapshot(CHANGES, {7587881: 3660, 99: 15})
    return {
        SNAPSHOT: made,
        "kubeadm.yaml": b"kind: ClusterConfiguration\n",
        f"{PKI}ca.crt": b"A CA",
        f"{PKI}ca.key": b"k",
    }


def backup(cluster: Cluster | None = None, files: Mapping[str, bytes] | None = None, **other: Any) -> Backup:
    """What a backup says of itself."""
    held = contents() if files is None else files
    return Backup(
        **{
            "format": FORMAT,
            "id": hashlib.sha256(held[SNAPSHOT]).hexdigest(),
            "made": MADE,
            "by": "0.2.0",
            "topology": cluster or load_cluster("lab"),
            "release": load_release("debian-1.20"),
            "manifest": sample.manifest(),
            "authority": AUTHORITY,
            "fingerprint": "f" * 64,
            "control_plane": "kube-control-plane",
            "etcd": "3.4.23",
            "revision": 9,
            "objects": 5,
            "nodes": ("kube-control-plane", "kube-worker-1"),
            "parts": archive.parts(held),
            **other,
        }
    )


def write(path: Path, recipient: str, made: Backup | None = None) -> None:
    """A backup in a file."""
    path.write_bytes(keys.sealed(archive.packed(made or backup(), contents()), (recipient,)))
