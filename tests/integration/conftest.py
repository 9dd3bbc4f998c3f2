"""What integration tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes import substitute


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """One Prefect server for all flows that the process of the tests runs itself: its start takes seconds."""
    from tests.integration.flow_of_build import prefect

    with prefect():
        yield


@pytest.fixture
def impatient_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads that are tried again at once, and given up after seconds."""
    from tasks.release.fetch import download

    substitute(monkeypatch, download, "PAUSE", 0.01)
    substitute(monkeypatch, download, "TIMEOUT", (10.0, 10.0))
