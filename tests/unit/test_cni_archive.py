"""The archive of the CNI plugins: what is damaged is one line, wherever it shows."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from configs.errors import KubeV6Error
from configs.manifest import CNI_PLUGINS
from tasks.release.fetch import cni
from tasks.release.store import Store
from tests.unit.test_store import tar_of

CONTENT = bytes(range(256)) * 64
ARCHIVE = gzip.compress(tar_of(*((name, CONTENT + name.encode()) for name in CNI_PLUGINS)), 0)
"""Not packed, so that each place in it is one of the archive inside."""


@pytest.mark.parametrize("at", [0, 3, 300, 5_000, 20_000, len(ARCHIVE) // 2, len(ARCHIVE) - 5])
def test_one_that_is_cut_off_or_damaged_is_one_line_also_in_the_middle_of_a_plugin(tmp_path: Path, at: int) -> None:
    path, store = tmp_path / "cni.tgz", Store(tmp_path / "data")
    for content in (ARCHIVE[:at], ARCHIVE[:at] + bytes([ARCHIVE[at] ^ 255]) + ARCHIVE[at + 1 :]):
        path.write_bytes(content)
        with pytest.raises(KubeV6Error, match=r"^cni: ") as raised:
            cni.keep_plugins(path, store, name="cni", checked="")
        assert "\n" not in str(raised.value)
        with pytest.raises(KubeV6Error, match=r"^cni: "):
            cni.refuse_other(path, name="cni")


def test_one_that_is_whole_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "cni.tgz"
    path.write_bytes(ARCHIVE)
    kept = cni.keep_plugins(path, Store(tmp_path / "data"), name="cni", checked="")
    assert [plugin.name for plugin in kept] == list(CNI_PLUGINS)
