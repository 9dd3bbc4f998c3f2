"""How long the server of one run may take to end."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from kubev6.server import temporary_server
from kubev6.server.temporary_server import TemporaryServer
from tasks import scope
from tasks.steps import StopSignal
from tests.fakes import substitute
from tests.waiting import eventually


@pytest.fixture
def signal_to_stop() -> StopSignal:
    return StopSignal()


@pytest.fixture
def server(tmp_path: Path, signal_to_stop: StopSignal, monkeypatch: pytest.MonkeyPatch) -> TemporaryServer:
    """One that does not end when it is asked to."""
    program, there = tmp_path / "python", tmp_path / "there"
    program.write_text(f"#!/bin/sh\ntrap '' TERM\ntouch '{there}'\nexec sleep 600\n")
    program.chmod(0o755)
    substitute(monkeypatch, sys, "executable", str(program))
    with scope.holding(signal_to_stop):
        started = TemporaryServer()
    eventually(there.exists)
    return started


@pytest.mark.parametrize(
    ("given", "stopped"),
    [((), False), ((False,), False), ((True,), True), ((False, True), True)],
    ids=["at the end", "after a defect", "being stopped", "being stopped after a defect"],
)
def test_it_is_given_more_time_at_the_end_of_a_run_than_when_that_is_stopped(
    server: TemporaryServer,
    signal_to_stop: StopSignal,
    monkeypatch: pytest.MonkeyPatch,
    given: tuple[bool, ...],
    stopped: bool,
) -> None:
    substitute(monkeypatch, temporary_server, "STOP_SECONDS", 60.0 if stopped else 0.2)
    substitute(monkeypatch, temporary_server, "STOP_SECONDS_IF_STOPPED", 0.2 if stopped else 60.0)
    for asked in given:
        signal_to_stop.give(asked=asked)
    began = time.monotonic()
    server.stop()  # outside the run: the interpreter calls it at its end
    assert time.monotonic() - began < 30
    assert server._process.returncode == -signal.SIGKILL
