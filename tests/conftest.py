"""What tests share."""

from __future__ import annotations

import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.run.context import RunContext, run_context
from tasks.events import Event
from tasks.lab import record as lab_record

DURATIONS = Path(__file__).with_name("durations.json")
"""Seconds that each file of integration tests takes. KUBEV6_WRITE_DURATIONS=1 writes those of what is run."""
FAST_SECONDS = 60.0
"""What those marked as fast may take together."""
KEPT_LAB = "kubev6-fast-test"
_took = defaultdict[str, float](float)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kept-lab", action="store_true", help="use a lab that is there from one time to the next")


def pytest_report_header(config: pytest.Config) -> str | None:
    if config.getoption("--kept-lab") and KEPT_LAB not in lab_record.names():
        return (
            f"the lab {KEPT_LAB} is not there yet: this time it is made, and the release if need be: that takes longer"
        )
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--kept-lab"):
        terminalreporter.write_line(f"the lab {KEPT_LAB} stays for the next time: `make down-fast` removes it")


def fast_files(seconds: dict[str, float]) -> set[str]:
    """The quickest files, as many as fit."""
    fast, together = set(), 0.0
    for name in sorted(seconds, key=seconds.__getitem__):
        together += seconds[name]
        if together <= FAST_SECONDS:
            fast.add(name)
    return fast


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests and the quickest of the integration tests are fast; a test of a cluster says so of itself.

    On several processors at once, the longest files are first.
    """
    seconds: dict[str, float] = json.loads(DURATIONS.read_text())
    if "PYTEST_XDIST_WORKER" in os.environ:  # a long file that is begun last has all other processors wait for it
        items.sort(key=lambda item: -seconds.get(item.path.name, 0))
    fast = fast_files(seconds)
    for item in items:
        if item.path.parent.name == "unit" or item.path.name in fast:
            item.add_marker("fast")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    path = Path(report.nodeid.partition("::")[0])
    if path.parent.name == "integration":
        _took[path.name] += report.duration


def pytest_sessionfinish() -> None:
    if os.environ.get("KUBEV6_WRITE_DURATIONS"):
        known = json.loads(DURATIONS.read_text()) | {name: round(seconds, 1) for name, seconds in _took.items()}
        DURATIONS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


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


@pytest.fixture(autouse=True)
def _logs_as_much_as_before() -> Iterator[None]:
    """The log of a run takes every word of its process, also those of the tests that come after."""
    root = logging.getLogger()
    before = root.level
    yield
    root.setLevel(before)
