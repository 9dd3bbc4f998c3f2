"""Whether a file is a program that the nodes can run, told by its first bytes (elf(5))."""

from __future__ import annotations

import codecs
import struct

HEAD = 512
"""How many bytes suffice to tell; the header of a 64-bit ELF file has 64."""

_HEADER = 64
_LITTLE_ENDIAN = 1
_BITS = {1: "32-bit", 2: "64-bit"}
_PROGRAMS = (2, 3)
"""Values of ``e_type``: a program, and one that can be loaded anywhere, as shared libraries can be too."""
_X86_64 = 62
_MACHINES = {3: "x86", 62: "x86-64", 8: "MIPS", 21: "PowerPC", 22: "s390x", 40: "ARM", 183: "AArch64", 243: "RISC-V"}
"""By ``e_machine``, as far as Linux distributions exist for them."""
_BEGINNINGS = (
    (b"#!", "a script"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"MZ", "a program for Windows"),
    (b"\xcf\xfa\xed\xfe", "a program for macOS"),
    (b"\xca\xfe\xba\xbe", "a program for macOS"),
)
_WORDS = 40
"""How much of a text is quoted."""


def instead_of_a_program(head: bytes) -> str:
    """What a file is that is no program for Linux on x86-64.

    Args:
        head: Its first :data:`HEAD` bytes, or all of it.

    Returns:
        Words for a person, such as ``an HTML page``; empty when it is such a program.
    """
    if head.startswith(b"\x7fELF"):
        return _instead_of_x86_64(head)
    if not head:
        return "empty"
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if head.removeprefix(codecs.BOM_UTF8).lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if text := _text(head):
        return f"a text that begins with {text[:_WORDS]!r}"
    return f"something that begins with the bytes {head[:8].hex(' ')}"


def _text(head: bytes) -> str:
    """What the bytes say, the last letter of which may be cut off; empty when they are no text."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return ""
    return text.strip() if all(letter.isprintable() or letter.isspace() for letter in text) else ""


def _instead_of_x86_64(head: bytes) -> str:
    if len(head) < _HEADER:
        return "an ELF file that ends within its header"
    bits, little = _BITS.get(head[4], "damaged"), head[5] == _LITTLE_ENDIAN
    kind, machine = struct.unpack_from("<HH" if little else ">HH", head, 16)
    if (bits, little, machine) != ("64-bit", True, _X86_64):
        return f"a {bits} ELF file for {_MACHINES.get(machine, f'machine {machine}')}"
    return "" if kind in _PROGRAMS else "an ELF file that is no program"
