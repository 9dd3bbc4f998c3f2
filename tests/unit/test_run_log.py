"""The log of a run."""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.run.context import run_context
from flows.run.log import RunLog, run_log

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


def test_runs_of_one_process_have_each_a_log_of_their_own_also_in_the_same_second(own_data: Path) -> None:
    with run_context(), run_log("deploy") as first:
        logging.getLogger("kubev6.test").info("in the first")
        with run_context(), run_log("deploy") as second:
            logging.getLogger("kubev6.test").info("in the second")
    assert sorted((own_data / "logs").iterdir()) == sorted((first, second))
    assert ("in the first" in first.read_text(), "in the second" in first.read_text()) == (True, False)
    assert ("in the first" in second.read_text(), "in the second" in second.read_text()) == (False, True)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (first, second))
