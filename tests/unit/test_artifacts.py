"""Telling Prefect's server what came of a run, when it does not answer."""

from __future__ import annotations

import logging
import socket
from contextlib import nullcontext
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate

from configs.schema.loading import load_cluster
from flows.run import artifacts
from flows.run.context import run_context
from flows.run.recording import recorded
from tasks import secrets
from tests.fakes import fake_of, substitute


@pytest.mark.usefixtures("own_data")
@pytest.mark.parametrize(("asked", "seconds"), [(None, 0.2), (False, 0.2), (True, 0.1)])
def test_a_run_that_is_asked_to_stop_waits_less_for_a_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, asked: bool | None, seconds: float
) -> None:
    substitute(monkeypatch, artifacts, "SECONDS", 0.2)
    substitute(monkeypatch, artifacts, "SECONDS_IF_STOPPED", 0.1)
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", str(uuid4()))
    with socket.create_server(("127.0.0.1", 0)) as silent, caplog.at_level(logging.WARNING, "kubev6"):
        api = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        substitute(monkeypatch, artifacts, "get_client", lambda **_: SyncPrefectClient(api))
        with run_context() as run, recorded(run.events, "deploy", "lab") as run.recording, artifacts.published(run):
            if asked is not None:
                run.stop(asked=asked)
    assert caplog.messages == [f"Prefect does not show what came of this run: no answer in {seconds} s"]


@pytest.mark.usefixtures("own_data")
def test_what_is_shown_holds_no_secret_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    @fake_of(SyncPrefectClient)
    class Client:
        def create_artifact(self, artifact: ArtifactCreate) -> None:
            shown.append(str(artifact.data))

    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", str(uuid4()))
    substitute(monkeypatch, artifacts, "get_client", lambda **_: nullcontext(Client()))
    cluster = load_cluster("lab").model_copy(update={"name": "hunter2"})
    with run_context() as run, recorded(run.events, "deploy", cluster) as run.recording, artifacts.published(run):
        secrets.remember("hunter2")
    assert shown
    assert "deploy •••" in "".join(shown)
    assert "hunter2" not in "".join(shown)
