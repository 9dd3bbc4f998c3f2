"""The log of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.run.log import RunLog

FULL = Path("/dev/full")
"""A device that always answers that no space is left (full(4))."""


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("a test of the run log")
    logger.propagate = False
    handler = RunLog(FULL)
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


def test_a_full_disk_is_said_once_in_one_line_and_fails_nothing(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    logger.error("first")
    logger.error("second")
    warnings = [record.getMessage() for record in caplog.records if record.name == "kubev6.log"]
    assert warnings == ["/dev/full: the log of this run is cut off here: No space left on device"]
