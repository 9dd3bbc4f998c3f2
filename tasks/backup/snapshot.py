"""A snapshot of etcd: whether it is whole, and what it holds at its newest revision."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.backup.bolt import DamagedError, Database

DIGEST = 32
"""Bytes of the SHA-256 that etcd puts behind the database (etcd's ``maintenance.go``)."""
NODES = b"/registry/minions/"
"""Where Kubernetes has its nodes."""
_REVISION = struct.Struct(">Qx")
_TOMBSTONE = 18
"""The length of a revision's name by which a key was deleted; others have one byte less."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key at its newest revision.

    Attributes:
        name: The key.
        value: Its value.
        lease: The lease that it lives by; 0 for none.
        revision: When it was changed last.
    """

    name: bytes
    value: bytes
    lease: int
    revision: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a snapshot holds.

    Attributes:
        keys: The keys, that which was changed first first.
        leases: By each lease's id, for how many seconds it is granted.
        revision: The newest of all, also of what was deleted.
    """

    keys: tuple[Key, ...]
    leases: dict[int, int]
    revision: int

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes that Kubernetes knew."""
        return tuple(
            sorted(key.name[len(NODES) :].decode("utf-8", "replace") for key in self.keys if key.name.startswith(NODES))
        )


def read(content: bytes) -> Snapshot:
    """What a snapshot holds.

    Args:
        content: As etcd has sent it: its database, and the SHA-256 of that.

    Raises:
        ValueError: It is not whole, or none.
    """
    database, digest = content[:-DIGEST], content[-DIGEST:]
    if len(content) % 512 != DIGEST:
        raise DamagedError(f"it has {len(content)} bytes, and one with its checksum has {DIGEST} more than whole pages")
    if hashlib.sha256(database).digest() != digest:
        raise DamagedError("its SHA-256 is not that which etcd has put behind it")
    opened, newest, last = Database(database), dict[bytes, Key](), 0
    for revision, value in opened.bucket(b"key"):
        fields = dict(_fields(value))
        name = bytes(fields.get(1, b""))
        (last,) = _REVISION.unpack_from(revision)
        newest.pop(name, None)  # so that the order is that of the changes
        if len(revision) < _TOMBSTONE:
            newest[name] = Key(name, bytes(fields.get(5, b"")), int(fields.get(6, 0)), last)
    leases = {}
    for _, value in opened.bucket(b"lease"):
        fields = dict(_fields(value))
        leases[int(fields.get(1, 0))] = int(fields.get(2, 0))
    return Snapshot(tuple(newest.values()), leases, last)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message of protocol buffers, of which etcd has numbers and texts (mvccpb, leasepb)."""
    place = 0
    while place < len(message):
        tag, place = _number(message, place)
        if tag & 7 == 0:
            value, place = _number(message, place)
            yield tag >> 3, value
        elif tag & 7 == 2:
            size, place = _number(message, place)
            if place + size > len(message):
                raise DamagedError("a value is cut off")
            yield tag >> 3, message[place : place + size]
            place += size
        else:
            raise DamagedError(f"a field is of the kind {tag & 7}")


def _number(message: bytes, place: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    value = shift = 0
    while True:
        if place >= len(message) or shift > 63:
            raise DamagedError("a number is cut off")
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
