"""Local runs whose Prefect server goes away, or that are ended while it looks on; machines are fakes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.run.record import runs
from kubev6.server import environment, lost_runs
from kubev6.server.api import ask
from kubev6.server.temporary_server import TemporaryServer
from tests.integration import fake_machines
from tests.integration.prefect_database import PrefectDatabase
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("own_data")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, prefect_database: PrefectDatabase) -> Iterator[TemporaryServer]:
    """A server that PREFECT_API_URL names. The last test kills it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        patch.setattr(os, "environ", os.environ.copy())  # what is set below is for these tests
        os.environ["PREFECT_HOME"] = str(prefect_database.put_in(tmp_path_factory.mktemp("gone") / "prefect"))
        environment.prepare()
        server = TemporaryServer()
        try:
            server.wait()
            os.environ |= server.environment
            yield server
        finally:
            server.stop()


class Run:
    """A deploy of another process whose support node is waited for."""

    def __init__(self, behaviour: str, own_data: Path) -> None:
        self._go_on = own_data / "go-on"
        self._said = own_data.parent / "said"
        with self._said.open("w") as said:
            words = [sys.executable, fake_machines.__file__, behaviour, "deploy"]
            self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=said, text=True, env=os.environ)
        eventually(lambda: re.search("^kube-support +support ", self.said, re.MULTILINE) is not None, 60)

    @property
    def said(self) -> str:
        return self._said.read_text()

    def go_on(self) -> None:
        self._go_on.touch()

    def ended(self) -> tuple[int, str]:
        """Exit status and standard output."""
        out, _ = self.process.communicate(timeout=60)
        return self.process.returncode, out


Begin = Callable[[str], Run]


@pytest.fixture
def begin(own_data: Path, server: TemporaryServer) -> Iterator[Begin]:  # noqa: ARG001
    begun: list[Run] = []

    def begin(behaviour: str) -> Run:
        begun.append(Run(behaviour, own_data))
        return begun[-1]

    yield begin
    for run in begun:
        run.process.kill()
        run.process.communicate()


def newest(server: TemporaryServer) -> dict[str, Any]:
    found = ask(server.url, "/flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})
    return dict(found[0])


def test_what_ctrl_c_has_stopped_is_cancelled_to_prefect(server: TemporaryServer, begin: Begin) -> None:
    run = begin("endless")
    began = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    assert run.ended() == (130, "")
    assert time.monotonic() - began < 10
    assert newest(server)["state"]["type"] == "CANCELLED"
    assert run.said.endswith("kubev6: stopped; running it again goes on from here\n")


def test_a_local_run_that_was_killed_is_found_and_has_crashed(server: TemporaryServer, begin: Begin) -> None:
    run = begin("endless")
    under_way = newest(server)["id"]
    assert lost_runs.find(server.url) == ()
    run.process.kill()
    run.process.wait()
    assert [lost.identity for lost in lost_runs.find(server.url)] == [under_way]
    lost_runs.end_all(server.url)
    assert newest(server)["state"]["message"] == lost_runs.NO_PROCESS
    assert newest(server)["state"]["type"] == "CRASHED"


def test_a_server_that_does_not_answer_for_a_moment_is_told_the_end(server: TemporaryServer, begin: Begin) -> None:
    run = begin("held")
    os.kill(server._process.pid, signal.SIGSTOP)
    try:
        run.go_on()
        eventually(lambda: re.search(r"^kube-control-plane +proof +\d", run.said, re.MULTILINE) is not None)
    finally:
        os.kill(server._process.pid, signal.SIGCONT)
    status, _ = run.ended()
    assert status == 0, run.said
    assert newest(server)["state"]["type"] == "COMPLETED"


def test_a_server_that_goes_away_keeps_no_work_from_being_done_and_no_run_from_ending(
    server: TemporaryServer, begin: Begin
) -> None:
    run = begin("held")
    server._process.kill()
    server._process.wait()
    run.go_on()
    began = time.monotonic()
    status, out = run.ended()
    assert time.monotonic() - began < 30
    assert status == 1
    assert "17 changes.\n" in out
    assert re.search(r"pod to pod +2 +2", out)
    assert "kubev6 kubectl -- get nodes" in out
    told = [line for line in run.said.splitlines() if not re.match(r"\S+ +[A-Za-z ]+(\.\.\.|\d)", line)]
    page = server.url.removesuffix("/api")
    assert told[-1].startswith(f"kubev6: the Prefect server at {page} went away and does not know how this run ended")
    assert told[:-1] == [], "noise"
    ((_, record),) = runs()
    assert record.status == "succeeded"
