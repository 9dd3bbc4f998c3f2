"""Telling somebody of a failed run."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextvars import copy_context
from http.server import HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Crashed, Failed

from flows.run.context import run_context
from flows.run.notify import COMMAND, URL, hide_when_ended, notify
from flows.run.redaction import hide_in_all
from tasks import secrets
from tests.http_server import Answering, serving

FLOW = Flow(lambda: None, name="kubev6")
RUN = FlowRun(id=UUID(int=7), flow_id=UUID(int=1), name="nightly-debian-1.20")
FAILED: State[Any] = Failed(message="patch 2, abc, conflicts")
TOLD = {
    "flow": "kubev6",
    "run": "nightly-debian-1.20",
    "id": str(RUN.id),
    "state": "Failed",
    "message": "patch 2, abc, conflicts",
    "page": f"http://127.0.0.1:4266/runs/flow-run/{RUN.id}",
}


class Webhook(HTTPServer):
    """Takes what is posted, and answers what it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.taken: list[dict[str, str]] = []
        self.answers = 204


class _Taking(Answering):
    def do_POST(self) -> None:
        assert isinstance(self.server, Webhook)
        self.server.taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(self.server.answers)


@pytest.fixture(autouse=True)
def nobody_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (URL, f"{URL}_FILE", COMMAND):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4266/api")


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with serving(Webhook()) as server:
        monkeypatch.setenv(URL, f"http://127.0.0.1:{server.server_address[1]}/hook/s3cret")
        yield server


def test_without_anybody_to_tell_nothing_is_done(caplog: pytest.LogCaptureFixture) -> None:
    notify(FLOW, RUN, FAILED)
    assert not caplog.records


def test_a_webhook_is_posted_what_happened_and_where_to_look(webhook: Webhook) -> None:
    notify(FLOW, RUN, FAILED)
    assert webhook.taken == [TOLD]


@pytest.mark.usefixtures("run")
def test_no_secret_goes_out_with_what_happened(webhook: Webhook) -> None:
    secrets.remember("s3same")
    crashed: State[Any] = Crashed(message="Flow run encountered an exception: s3same was refused")
    notify(FLOW, RUN, crashed)
    assert webhook.taken[0]["message"] == "Flow run encountered an exception: ••• was refused"


def test_when_the_run_is_over_no_secret_that_the_environment_names_goes_out_either(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect calls after the flow has ended, and its context with it."""
    monkeypatch.setenv(secrets.SUDO_PASSWORD, "s3same")
    monkeypatch.setenv(f"{secrets.SSH_PASSWORD}_FILE", "/nowhere")
    crashed: State[Any] = Crashed(message="Flow run encountered an exception: s3same was refused")
    notify(FLOW, RUN, crashed)
    assert webhook.taken[0]["message"] == "Flow run encountered an exception: ••• was refused"


def test_the_address_of_a_webhook_may_be_in_a_file_and_is_in_no_log(
    webhook: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "address").touch(mode=0o600)
    (tmp_path / "address").write_text(os.environ[URL] + "?key=more\n")
    monkeypatch.delenv(URL)
    monkeypatch.setenv(f"{URL}_FILE", str(tmp_path / "address"))
    hide_in_all()  # as Prefect's own handlers are told
    with caplog.at_level(logging.DEBUG):
        notify(FLOW, RUN, FAILED)
    assert webhook.taken == [TOLD]
    assert "POST •••" in caplog.text, "the library says that it posts"
    assert "s3cret" not in caplog.text


def test_an_address_that_cannot_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(f"{URL}_FILE", str(tmp_path / "address"))
    with caplog.at_level(logging.WARNING, "kubev6"):
        notify(FLOW, RUN, FAILED)
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith(
        f"KUBEV6_NOTIFY_URL: nobody was told: cannot read {tmp_path}/address (KUBEV6_NOTIFY_URL_FILE)"
    )


def test_a_command_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMMAND, f"tee '{tmp_path}/told by mail'")
    notify(FLOW, RUN, FAILED)
    assert json.loads((tmp_path / "told by mail").read_text()) == TOLD


def test_a_webhook_that_fails_is_one_line_without_its_address_and_the_command_is_run(
    webhook: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.answers = 500
    monkeypatch.setenv(COMMAND, f"tee {tmp_path}/told")
    with caplog.at_level(logging.WARNING, "kubev6"):
        notify(FLOW, RUN, FAILED)
    assert [record.getMessage() for record in caplog.records] == ["KUBEV6_NOTIFY_URL: answered 500"]
    assert (tmp_path / "told").exists()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (URL, "http://127.0.0.1:1/s3cret", "KUBEV6_NOTIFY_URL: nobody was told: ConnectionError"),
        (URL, "no address", "KUBEV6_NOTIFY_URL: nobody was told: InvalidURL"),
        (COMMAND, "/nowhere/mail", "KUBEV6_NOTIFY_COMMAND: nobody was told: No such file or directory"),
        (COMMAND, "false", "KUBEV6_NOTIFY_COMMAND: ended with status 1"),
        (COMMAND, "mail 'me", "KUBEV6_NOTIFY_COMMAND: nobody was told: ValueError"),
    ],
)
def test_what_cannot_tell_anybody_fails_nothing(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(name, value)
    with caplog.at_level(logging.WARNING, "kubev6"):
        notify(FLOW, RUN, FAILED)
    assert [record.getMessage() for record in caplog.records] == [said]


def test_nor_does_any_that_the_run_came_to_know(webhook: Webhook) -> None:
    def a_run() -> None:
        with run_context() as run:
            hide_when_ended(run.secrets)
            secrets.remember("a-token-of-minutes")
        crashed: State[Any] = Crashed(message="an exception: a-token-of-minutes was refused")
        notify(FLOW, RUN, crashed)

    copy_context().run(a_run)
    assert webhook.taken[0]["message"] == "an exception: ••• was refused"
