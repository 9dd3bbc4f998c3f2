"""What integration tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.fakes import substitute
from tests.integration.prefect_database import PrefectDatabase


@pytest.fixture(scope="session")
def prefect_database(tmp_path_factory: pytest.TempPathFactory) -> PrefectDatabase:
    """For homes of Prefect's. A server's first start, which makes its database by itself, has test_installed.py."""
    own = tmp_path_factory.getbasetemp()
    return PrefectDatabase(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


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
