"""Reads what etcd has written into its database, which is bbolt's: pages of a B+tree, of format 2 since 2014.

It is read here so that a snapshot can be counted when it is made, and put into an etcd of any version when it is
restored: etcd's own program for that is in hardly any image of etcd, and of no distribution but Debian's.
https://github.com/etcd-io/bbolt: page.go, bucket.go, db.go.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

MAGIC, VERSION = 0xED0CDAED, 2
_BRANCH, _LEAF, _META = 0x01, 0x02, 0x04
_BUCKET = 0x01
"""The flag of an element that is a bucket."""
_PAGE = struct.Struct("<QHHI")
"""Of a page: its number, kind, how many elements, and how many more pages it goes on for."""
_META_BODY = struct.Struct("<IIIIQQQQQQ")
"""Magic, version, size of a page, flags, root bucket's page and sequence, free list, highest page, transaction, and the
checksum of all that (FNV-1a)."""
_LEAF_ELEMENT = struct.Struct("<IIII")
_BRANCH_ELEMENT = struct.Struct("<IIQ")
_BUCKET_HEADER = struct.Struct("<QQ")
DEEPEST = 64
"""Pages from the root to a leaf."""


class DamagedError(ValueError):
    """It is no such database, or not all of it."""


class Database:
    """A database of bbolt's, in memory.

    Args:
        content: All of its bytes.

    Raises:
        DamagedError: It is none.
    """

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        metas = [meta for meta in map(self._meta, self._places_of_metas()) if meta]
        if not metas:
            raise DamagedError("it does not begin as a database of etcd's does")
        _, self._page_size, self._root = max(metas)

    def bucket(self, name: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The keys and values of a bucket, in the order of the keys; nothing when there is no such bucket.

        Args:
            name: The bucket.

        Raises:
            DamagedError: A page is not what it should be.
        """
        for flags, key, value in self._elements(self._root, 0):
            if key == name and flags & _BUCKET:
                root, _ = _BUCKET_HEADER.unpack_from(value)
                # A small one has its only page behind its header.
                inside = self._elements(root, 0) if root else self._of_page(value[_BUCKET_HEADER.size :], 0)
                for kind, each, content in inside:
                    if not kind & _BUCKET:
                        yield bytes(each), bytes(content)

    def _places_of_metas(self) -> Iterator[int]:
        """Where the two pages may begin that say where the rest is: the size of a page stands in them."""
        yield 0
        for power in range(9, 17):
            yield 1 << power

    def _meta(self, place: int) -> tuple[int, int, int] | None:
        """The transaction, the size of a page and the root, as a page says; None when it is not whole."""
        if place + _PAGE.size + _META_BODY.size > len(self._content):
            return None
        _, flags, _, _ = _PAGE.unpack_from(self._content, place)
        body = place + _PAGE.size
        magic, version, size, _, root, _, _, _, transaction, checksum = _META_BODY.unpack_from(self._content, body)
        if flags != _META or (magic, version) != (MAGIC, VERSION) or size < 512:
            return None
        if _fnv(self._content[body : body + _META_BODY.size - 8]) != checksum:
            return None
        return transaction, size, root

    def _elements(self, number: int, depth: int) -> Iterator[tuple[int, memoryview, memoryview]]:
        """Flags, key and value of what is below a page."""
        start = number * self._page_size
        if depth > DEEPEST or number < 2 or start + self._page_size > len(self._content):
            raise DamagedError(f"it has no page {number}")
        _, _, _, overflow = _PAGE.unpack_from(self._content, start)
        yield from self._of_page(self._content[start : start + (overflow + 1) * self._page_size], depth)

    def _of_page(self, page: memoryview, depth: int) -> Iterator[tuple[int, memoryview, memoryview]]:
        try:
            _, flags, count, _ = _PAGE.unpack_from(page)
            if flags & _BRANCH:
                for index in range(count):
                    _, _, below = _BRANCH_ELEMENT.unpack_from(page, _PAGE.size + index * _BRANCH_ELEMENT.size)
                    yield from self._elements(below, depth + 1)
                return
            if not flags & _LEAF:
                raise DamagedError(f"a page is of the kind {flags:#x}")
            for index in range(count):
                place = _PAGE.size + index * _LEAF_ELEMENT.size
                kind, offset, key_size, value_size = _LEAF_ELEMENT.unpack_from(page, place)
                begins = place + offset
                ends = begins + key_size + value_size
                if ends > len(page):
                    raise DamagedError("an element reaches beyond its page")
                yield kind, page[begins : begins + key_size], page[begins + key_size : ends]
        except struct.error:
            raise DamagedError("a page is cut off") from None


def _fnv(content: memoryview) -> int:
    """The 64-bit FNV-1a hash."""
    value = 0xCBF29CE484222325
    for byte in content:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value
