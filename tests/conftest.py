"""What tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty data and cache directories of the test's own, for it and the processes that it starts."""
    monkeypatch.setenv("KUBEV6_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("KUBEV6_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"
