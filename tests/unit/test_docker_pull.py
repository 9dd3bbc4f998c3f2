"""How far a pull is, by what the Docker engine says of each layer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest
import urllib3.exceptions

from tasks.docker import container_engine
from tasks.docker import pull as pull_module
from tasks.docker.pull import _Layers, pull
from tasks.steps import Step
from tests.fakes import substitute


def event(status: str, layer: str = "", current: int = 0, total: int = 0) -> dict[str, Any]:
    return {"status": status, "id": layer, "progressDetail": {"current": current, "total": total} if total else {}}


def test_a_pull_counts_the_bytes_of_all_layers() -> None:
    layers = _Layers()
    seen = []
    for each in (
        event("Pulling from library/pause", "3.2"),
        event("Pulling fs layer", "a"),
        event("Downloading", "a", 1_000_000, 4_000_000),
        event("Downloading", "b", 2_000_000, 6_000_000),
        event("Download complete", "a"),
        event("Extracting", "a", 500, 4_000_000),
        event("Pull complete", "b"),
    ):
        layers.hear(each)
        seen.append((layers.words, layers.done, layers.total))
    assert seen == [
        ("Pulling from library/pause", 0, 0),
        ("Pulling fs layer", 0, 0),
        ("1 of 4 MB", 1_000_000, 4_000_000),
        ("3 of 10 MB", 3_000_000, 10_000_000),
        ("Download complete", 6_000_000, 10_000_000),
        ("Extracting", 6_000_000, 10_000_000),
        ("Pull complete", 10_000_000, 10_000_000),
    ]


def test_layers_that_are_there_already_are_not_waited_for() -> None:
    layers = _Layers()
    layers.hear(event("Already exists", "a"))
    assert (layers.done, layers.total) == (0, 0)


def pulled(monkeypatch: pytest.MonkeyPatch, error: Exception) -> str:
    def answers(repository: str, tag: str, *, stream: bool, decode: bool) -> Iterator[dict[str, Any]]:
        assert (repository, tag, stream, decode) == ("registry.example/pause", "3.2", True, True)
        yield event("Pulling fs layer", "a")
        raise error

    engine = docker.DockerClient("unix:///nowhere", version="1.41")
    substitute(monkeypatch, engine.api, "pull", answers)
    substitute(monkeypatch, container_engine, "client", lambda: engine)
    return pull("registry.example/pause:3.2", Step("test", "pull"))


def test_an_answer_of_the_engine_that_breaks_off_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pulled(monkeypatch, urllib3.exceptions.ProtocolError("Connection broken")) == "Connection broken"


def test_a_defect_is_not_taken_for_a_registry_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no number"):
        pulled(monkeypatch, ValueError("no number"))


def test_an_image_that_trickles_in_for_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def trickles(repository: str, tag: str, *, stream: bool, decode: bool) -> Iterator[dict[str, Any]]:
        assert (repository, tag, stream, decode) == ("registry.example/pause", "3.2", True, True)
        for number in range(100):
            time.sleep(0.05)
            yield event("Downloading", "a", number, 100)

    engine = docker.DockerClient("unix:///nowhere", version="1.41")
    substitute(monkeypatch, engine.api, "pull", trickles)
    substitute(monkeypatch, container_engine, "client", lambda: engine)
    substitute(monkeypatch, pull_module, "DEADLINE", 0.3)
    began = time.monotonic()
    assert pull("registry.example/pause:3.2", Step("pause", "download")) == "it has not come whole in 0 hours"
    assert time.monotonic() - began < 3
