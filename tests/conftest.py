"""What tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.run.context import RunContext, run_context
from tasks.events import Event


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty data and cache directories of the test's own, for it and the processes that it starts."""
    monkeypatch.setenv("KUBEV6_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("KUBEV6_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


@pytest.fixture
def run() -> Iterator[RunContext]:
    """A run that the test is part of."""
    with run_context() as context:
        yield context


@pytest.fixture
def heard(run: RunContext) -> Iterator[list[Event]]:
    """Every event of that run."""
    events: list[Event] = []
    with run.events.heard_by(events.append):
        yield events
