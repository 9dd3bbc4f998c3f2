"""The flow that fetches a release, from a real web server: a task run for each file and image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State

import flows.fetch
from configs.manifest import Manifest
from configs.schema.loading import load_cluster
from flows import deploy
from flows.run.context import run_context
from flows.steps import release as steps
from tasks.release.choose import decide
from tasks.release.fetch import download
from tasks.release.store import Store
from tests.fakes import substitute
from tests.integration.web_server import WebServer, serving
from tests.unit.test_program import elf
from tests.unit.test_store import layer, saved
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("own_data", "prefect_server")
PUBLISHER = "publisher.invalid"
CONTENT = {name: elf() + name.encode() * 100_000 for name in ("kubeadm", "kubectl", "kubelet")}
IMAGE, ARCHIVE = "registry.example/team/etcd:3", b"".join(saved([layer(b"etcd" * 1000)]))
PATHS = {name: f"/{PUBLISHER}/{name}" for name in CONTENT} | {IMAGE: "/registry.example/team/etcd/3.tar"}


@pytest.fixture
def mirror() -> Iterator[WebServer]:
    with serving() as running:
        for name, content in {**CONTENT, IMAGE: ARCHIVE}.items():
            running.put(PATHS[name], content)
        yield running


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, download, "PAUSE", 0.01)


@pytest.fixture
def release(tmp_path: Path) -> str:
    """The file of a release."""
    binaries = {
        name: {"url": f"https://{PUBLISHER}/{name}", "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in CONTENT.items()
    }
    file = tmp_path / "small.yaml"
    fetched = {"binaries": binaries, "images": [IMAGE]}
    file.write_text(yaml.safe_dump({"name": "small", "kubernetes": "1.34.2", "fetch": fetched}))
    return str(file)


def fetch(release: str, mirror: WebServer, **given: Any) -> tuple[State[Any], dict[str, State[Any]]]:
    """How the flow ended, and each of its task runs, by their names."""
    state = cast(State[Any], flows.fetch.fetch(release, mirror.url, **given, return_state=True))
    assert state.state_details.flow_run_id
    return state, task_runs(state.state_details.flow_run_id)


def task_runs(flow_run: UUID) -> dict[str, State[Any]]:
    found: dict[str, State[Any]] = {}

    def told() -> bool:
        """Whether the server has heard how all have ended."""
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])))
        found.update({run.name: run.state for run in runs if run.state})
        return bool(found) and all(each.is_final() or each.name == "NotReady" for each in found.values())

    eventually(told, 20)
    return found


def test_what_cannot_be_had_is_all_named_and_running_again_fetches_that_alone(release: str, mirror: WebServer) -> None:
    absent = {name: mirror.files.pop(PATHS[name]) for name in ("kubectl", IMAGE)}

    state, runs = fetch(release, mirror)

    assert state.is_failed()
    assert state.message
    assert state.message.startswith(f"the mirror {mirror.url} has no {PUBLISHER}/kubectl, registry.example/team/etcd/3")
    assert {name for name, each in runs.items() if each.is_failed()} == {"fetch kubectl", f"fetch {IMAGE}"}
    assert runs["fetch kubeadm"].message == f"0.7 MB from {mirror.url}, sha256 given"
    assert runs["release small"].name == "NotReady"
    assert Store().list() == ()

    mirror.files |= {PATHS[name]: file for name, file in absent.items()}
    state, runs = fetch(release, mirror)

    assert state.is_completed()
    assert {name: each.name for name, each in runs.items()} == {
        "small from the store": "Completed",
        "fetch kubeadm": "Cached",
        "fetch kubectl": "Completed",
        "fetch kubelet": "Cached",
        f"fetch {IMAGE}": "Completed",
        "release small": "Completed",
    }
    assert runs["fetch kubeadm"].message == "0.7 MB, in the store"
    assert runs["small from the store"].message == "is not there, or not to be taken"
    assert {path: len(file.asked) for path, file in mirror.files.items()} == dict.fromkeys(PATHS.values(), 1)
    (kept,) = Store().list()
    assert [binary.name for binary in kept.binaries] == sorted(CONTENT)

    _, runs = fetch(release, mirror)

    assert {name: each.name for name, each in runs.items()} == {"small from the store": "Cached"}


def test_what_passes_by_itself_is_tried_again_alone(release: str, mirror: WebServer) -> None:
    busy = mirror.files[PATHS["kubelet"]]
    busy.refuse = [(503, {})] * download.ATTEMPTS

    state, runs = fetch(release, mirror)

    assert state.is_completed()
    assert {path: len(file.asked) for path, file in mirror.files.items() if file is not busy} == dict.fromkeys(
        set(PATHS.values()) - {PATHS["kubelet"]}, 1
    )
    assert runs["fetch kubelet"].is_completed()


def test_a_deploy_of_a_published_release_fetches_it_in_the_same_way(
    release: str, mirror: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import flow

    from tasks.release.fetch.mirror import chosen

    def whole(manifest: Manifest, *_: object) -> Manifest:
        return manifest

    substitute(monkeypatch, steps, "with_probe", whole)  # which a Docker engine builds
    del mirror.files[PATHS["kubectl"]]
    del mirror.files[PATHS["kubelet"]]
    decision = decide(load_cluster("lab"), True, release, Store())

    @flow
    def deploying() -> str:
        return deploy.provide(decision, chosen(mirror.url), "", before_compiling=lambda: None).why

    with run_context():
        failed = cast(State[Any], deploying(return_state=True))
        for name in ("kubectl", "kubelet"):
            mirror.put(PATHS[name], CONTENT[name])
        why = deploying()

    assert failed.message
    for words in ("small (named) could not be fetched: ", "kubectl, publisher.invalid/kubelet; ", "; the choices: "):
        assert words in failed.message
    assert why == f"named, from the mirror {mirror.url}"
    assert len(mirror.files[PATHS["kubeadm"]].asked) == 1
