"""What is taken for a program that the nodes can run, and what others are called."""

from __future__ import annotations

import platform
import struct
import sys
from pathlib import Path

import pytest

from tasks.release.fetch.program import HEAD, instead_of_a_program


def elf(*, kind: int = 2, machine: int = 62, bits: int = 2) -> bytes:
    """The header of an ELF file (elf(5)): by itself that of a program for x86-64."""
    return (b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9) + struct.pack("<HH", kind, machine)).ljust(64, b"\0")


@pytest.mark.parametrize("kind", [2, 3])
def test_a_program_for_x86_64_is_one(kind: int) -> None:
    assert instead_of_a_program(elf(kind=kind)) == ""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="Python is of this machine")
def test_python_itself_is_one() -> None:
    assert instead_of_a_program(Path(sys.executable).read_bytes()[:HEAD]) == ""


@pytest.mark.parametrize(
    ("head", "seen"),
    [
        (b"", "empty"),
        (b"hello\n", "a text that begins with 'hello'"),
        (b'\xef\xbb\xbf{\n "message": "not found"}', 'a text that begins with \'{\\n "message": "not found"}\''),
        (("ü" * HEAD).encode()[: HEAD - 1], f"a text that begins with {'ü' * 40!r}"),
        (b"<!DOCTYPE html><title>Sign in</title>", "an HTML page"),
        (b"\xef\xbb\xbf\r\n <HTML>\xff", "an HTML page"),
        (b"#!/bin/sh\n", "a script"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"PK\x03\x04", "a zip archive"),
        (b"MZ\x90\x00", "a program for Windows"),
        (b"\xcf\xfa\xed\xfe\x07", "a program for macOS"),
        (bytes(range(200, 232)), "something that begins with the bytes c8 c9 ca cb cc cd ce cf"),
        (b"a\0b", "something that begins with the bytes 61 00 62"),
        (b"  \n", "something that begins with the bytes 20 20 0a"),
        (elf()[:63], "an ELF file that ends within its header"),
        (elf(kind=1), "an ELF file that is no program"),
        (elf(kind=4), "an ELF file that is no program"),
        (elf(machine=183), "a 64-bit ELF file for AArch64"),
        (elf(machine=3, bits=1), "a 32-bit ELF file for x86"),
        (elf(bits=1), "a 32-bit ELF file for x86-64"),
        (elf(machine=9999), "a 64-bit ELF file for machine 9999"),
        (elf(bits=7), "a damaged ELF file for x86-64"),
        (b"\x7fELF\x02\x02" + bytes(10) + struct.pack(">HH", 2, 22) + bytes(44), "a 64-bit ELF file for s390x"),
    ],
)
def test_what_is_none_is_called_by_its_name(head: bytes, seen: str) -> None:
    assert instead_of_a_program(head) == seen
