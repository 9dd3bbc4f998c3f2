"""Capabilities by the bits of a process's bounding set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.lab.capabilities import NAMES, held, names_of


@pytest.mark.parametrize(
    ("mask", "names"),
    [
        (0, ()),
        (0x1, ("CHOWN",)),
        (1 << 12 | 1 << 21, ("NET_ADMIN", "SYS_ADMIN")),
        (1 << 37, ("AUDIT_READ",)),
        (1 << 39, ()),
    ],
)
def test_names_of_a_mask(mask: int, names: tuple[str, ...]) -> None:
    assert names_of(mask) == names


def test_a_confined_machine_lacks_one(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tx\nCapEff:\t0000000000000000\nCapBnd:\t000001fffeffffff\nCapAmb:\t0\n")
    assert set(NAMES) - set(held(status)) == {"SYS_RESOURCE"}
