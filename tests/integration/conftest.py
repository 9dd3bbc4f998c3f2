"""What integration tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """One Prefect server for all flows that the process of the tests runs itself: its start takes seconds."""
    from tests.integration.flow_of_build import prefect

    with prefect():
        yield
