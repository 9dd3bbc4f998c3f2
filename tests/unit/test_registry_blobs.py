"""What the registry has on its disk, and is not what its digest says."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from tasks.node_agent import registry_blobs
from tests.fakes import substitute


def kept(root: Path, content: bytes) -> Path:
    """A blob as the registry keeps it; the file of its content."""
    digest = hashlib.sha256(content).hexdigest()
    file = root / "docker/registry/v2/blobs/sha256" / digest[:2] / digest / "data"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return file


def test_only_what_is_damaged_is_taken_out(tmp_path: Path) -> None:
    good, spoilt, short = (kept(tmp_path, content) for content in (b"good", b"spoilt", b"too short"))
    memory = tmp_path / "memory.json"
    assert registry_blobs.drop_damaged(str(tmp_path), str(memory)) == []
    spoilt.write_bytes(b"SPOILT")
    short.write_bytes(b"")
    gone = {f"sha256:{file.parent.name}" for file in (spoilt, short)}
    assert set(registry_blobs.drop_damaged(str(tmp_path), str(memory))) == gone
    assert good.exists()
    assert not spoilt.parent.exists()
    assert not short.parent.exists()
    assert set(json.loads(memory.read_text())) == {good.parent.name}


def test_what_was_read_once_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(tmp_path, b"good")
    memory = tmp_path / "memory.json"
    registry_blobs.drop_damaged(str(tmp_path), str(memory))

    def read(path: str) -> str:
        raise AssertionError(path)

    substitute(monkeypatch, registry_blobs, "sha256_of", read)
    assert registry_blobs.drop_damaged(str(tmp_path), str(memory)) == []


@pytest.mark.parametrize("memory", [None, "no json"])
def test_a_registry_that_has_nothing_yet(tmp_path: Path, memory: str | None) -> None:
    file = tmp_path / "memory.json"
    if memory is not None:
        file.write_text(memory)
    assert registry_blobs.drop_damaged(str(tmp_path / "not there"), str(file)) == []


def test_what_a_push_that_was_cut_off_has_left_half_sent_goes_and_what_is_being_sent_stays(tmp_path: Path) -> None:
    old, new = (tmp_path / f"docker/registry/v2/repositories/a/b/_uploads/{name}" for name in ("old", "new"))
    for upload in (old, new):
        upload.mkdir(parents=True)
        for name in ("startedat", "data"):
            (upload / name).write_text("x")
            os.utime(upload / name, (1, 1))
    (new / "data").touch()
    registry_blobs.drop_abandoned(str(tmp_path))
    assert not old.exists()
    assert new.exists()
