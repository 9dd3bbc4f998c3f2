"""Runs that nobody will end, as a server describes them."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest

from configs.errors import KubeV6Error
from flows.run import labels
from flows.run.notify import COMMAND
from kubev6.server import lost_runs, orchestration
from tasks.process import this_process
from tests.http_server import Answering, serving

pytestmark = pytest.mark.usefixtures("own_data")


class PrefectServer(HTTPServer):
    """Answers what it is told to, and keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _PrefectAnswering)
        self.answers: dict[str, Any] = {}
        self.busy = 0
        self.sent: dict[str, Any] = {}

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api"


class _PrefectAnswering(Answering):
    def do_GET(self) -> None:
        assert isinstance(self.server, PrefectServer)
        if self.server.busy:
            self.server.busy -= 1
            self.answer(503)
            return
        path = self.path.removeprefix("/api")
        known = path in self.server.answers
        self.answer(200, json.dumps(self.server.answers[path]).encode()) if known else self.answer(404)

    def do_POST(self) -> None:
        assert isinstance(self.server, PrefectServer)
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.sent[self.path.removeprefix("/api")] = sent
        self.do_GET()


@pytest.fixture
def server() -> Iterator[PrefectServer]:
    with serving(PrefectServer()) as server:
        yield server


def run(state: str, labels: dict[str, Any] | None = None, seconds: float = 0, **more: Any) -> dict[str, Any]:
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    return {
        "id": "7ad1",
        "name": "nightly-debian-1.20",
        "state_type": state,
        "state": {"timestamp": since.isoformat().replace("+00:00", "Z")},
        "labels": labels or {},
        "deployment_id": "d1",
        "auto_scheduled": False,
        "work_queue_id": "q1",
        **more,
    }


HERE = labels.labels()
DEAD = {**HERE, labels.STARTED: this_process().started - 1}


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (partial(run, "RUNNING", HERE), ""),
        (partial(run, "RUNNING", DEAD), lost_runs.NO_PROCESS),
        (partial(run, "CANCELLING", DEAD), lost_runs.NO_PROCESS),
        (partial(run, "RUNNING", DEAD, deployment_id=None), lost_runs.NO_PROCESS),
        (partial(run, "RUNNING", {**DEAD, labels.HOST: f"not-{socket.gethostname()}"}), ""),
        (partial(run, "PENDING", seconds=5), ""),
        (partial(run, "PENDING", seconds=100), lost_runs.NO_PROCESS),
        (partial(run, "PENDING", DEAD, seconds=5), ""),  # it is run again
        (partial(run, "RUNNING", seconds=100, deployment_id=None), ""),
        (partial(run, "SCHEDULED", seconds=100), ""),
        (partial(run, "SCHEDULED", work_queue_id=None), lost_runs.NO_QUEUE),
        (partial(run, "SCHEDULED", work_queue_id=None, auto_scheduled=True), ""),
    ],
)
def test_a_run_is_lost_when_its_process_or_its_queue_is_gone(
    server: PrefectServer, seen: Callable[[], dict[str, Any]], why: str
) -> None:
    server.answers["/flow_runs/filter"] = [seen()]
    assert [lost.why for lost in lost_runs.find(server.api)] == ([why] if why else [])
    assert set(server.sent["/flow_runs/filter"]["flow_runs"]["state"]["type"]["any_"]) >= {seen()["state_type"]}


@pytest.mark.parametrize(
    ("entrypoint", "told"),
    [("flows.nightly.nightly", True), ("flows/nightly.py:nightly", True), ("flows.deploy.deploy", False)],
)
def test_a_lost_run_has_crashed_and_somebody_is_told_of_an_unattended_one(
    server: PrefectServer, entrypoint: str, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMMAND, f"tee {tmp_path}/told")
    server.answers["/flow_runs/filter"] = [run("RUNNING", DEAD)]
    server.answers["/deployments/d1"] = {"entrypoint": entrypoint}
    server.busy = 2
    lost_runs.end_all(server.api)
    state = server.sent["/flow_runs/7ad1/set_state"]
    assert state == {"state": {"type": "CRASHED", "message": lost_runs.NO_PROCESS}, "force": True}
    assert (tmp_path / "told").exists() == told
    if told:
        heard = json.loads((tmp_path / "told").read_text())
        assert heard["message"] == lost_runs.NO_PROCESS
        assert heard["page"] == f"{server.api.removesuffix('/api')}/runs/flow-run/7ad1"


def test_a_named_server_of_another_major_version_is_refused(
    server: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", {**os.environ, "PREFECT_API_URL": server.api})  # start() sets more of them
    server.answers |= {"/health": True, "/admin/version": "2.20.1"}
    with pytest.raises(
        KubeV6Error, match=r"PREFECT_API_URL names \S+, which is Prefect 2\.20\.1, and installed here is 3"
    ):
        orchestration.Orchestration().start()


@pytest.mark.parametrize("theirs", ["3.0.0", None])
def test_a_named_server_of_our_major_version_or_that_does_not_tell_is_taken(
    server: PrefectServer, theirs: str | None
) -> None:
    server.answers |= {"/admin/version": theirs} if theirs else {}
    orchestration._check_version(server.api)
