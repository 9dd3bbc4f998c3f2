"""Git that prints without end, objects that are larger than source code, series that go on and on: each is one line."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path

import pytest

from configs.errors import ConfigError, KubeV6Error
from tasks import bounded
from tasks.release.series import debian_source, git_command, git_remote, repository, series_file
from tasks.release.series.git_command import ask
from tasks.release.series.repository import create_repository, open_repository, read_commit, read_object
from tests.fakes import substitute
from tests.integration.git_project import Project


@pytest.mark.parametrize("prints", ["yes", "yes >&2", "tr '\\0' x </dev/zero"], ids=["lines", "errors", "one line"])
def test_an_answer_without_an_end_is_ended(monkeypatch: pytest.MonkeyPatch, prints: str) -> None:
    substitute(monkeypatch, git_command, "ANSWER", 1 << 20)
    tracemalloc.start()
    try:
        answer = ask(["-c", f"alias.x=!{prints}", "x"])
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert answer.returncode == 124
    assert answer.stderr == "fatal: its answer has more than 1 MiB, which is the most that is taken"


@pytest.mark.parametrize(
    "command",
    ["sleep 60", "while :; do echo x; sleep 0.05; done", "exec >&- 2>&-; sleep 60"],
    ids=["silent", "trickling", "outputs closed"],
)
def test_an_answer_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    substitute(monkeypatch, git_command, "SECONDS", 1.0)
    began = time.monotonic()
    answer = ask(["-c", f"alias.x=!{command}", "x"])
    assert time.monotonic() - began < 10
    assert (answer.returncode, answer.stderr) == (124, "fatal: no answer within 1 s")


def test_both_outputs_come_whole() -> None:
    answer = ask(["-c", "alias.x=!head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2; exit 3", "x"])
    assert (len(answer.stdout), len(answer.stderr), answer.returncode) == (300_000, 200_000, 3)


@pytest.mark.parametrize("address", ["evil::anything", "ext::{program}"])
def test_an_address_has_no_program_run(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "git-remote-evil"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    place = git_remote.locate("upstream", address.format(program=program), base=tmp_path)
    with pytest.raises(KubeV6Error, match=r"its refs cannot be read: transport '\w+' not allowed; "):
        git_remote.head(place, "main")
    assert not (tmp_path / "ran").exists()
    # Which is what keeps it from that.
    ask(["-c", "protocol.allow=always", "ls-remote", "--", place.address])
    assert (tmp_path / "ran").exists()


def test_an_object_that_is_larger_than_source_code_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path / "project")
    project.commit("small", {"a": "x" * 2000})
    large = project.commit("large " + "y" * 5000, {"b": "x" * 10})
    repo = open_repository(project.path)
    substitute(monkeypatch, repository, "LARGEST", 1024)
    for read in (lambda: read_commit(repo, large), lambda: read_object(repo, f"{large}:a")):
        with pytest.raises(KubeV6Error, match=r"^object \S+: it has more than 1 KiB, .*; leave out of the series"):
            read()
    assert read_object(repo, f"{large}:b") == b"x" * 10


@pytest.mark.parametrize("kind", ["patches", "rewrites"])
def test_a_series_has_an_end(tmp_path: Path, kind: str) -> None:
    rewrite = {"title": "a", "paths": ["a"], "replace": "a", "by": "b"}
    one: dict[str, list[object]] = {"patches": [{"patch": "a"}], "rewrites": [rewrite]}
    many = one | {kind: one[kind] * (series_file.MOST_PATCHES + 1)}
    (tmp_path / "a.yaml").write_text(json.dumps({"base": "kubernetes", **many}))
    with pytest.raises(ConfigError) as caught:
        series_file.load(tmp_path / "a.yaml")
    assert str(caught.value).startswith(f"{tmp_path}/a.yaml: {kind}: ")
    assert "2000" in str(caught.value)
    assert len(str(caught.value)) < len(str(tmp_path)) + 400


def test_a_patch_that_is_larger_than_any_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = create_repository(tmp_path / "tree", committed=1)
    substitute(monkeypatch, bounded, "LARGEST", 1024)
    patch = tmp_path / "large.patch"
    patch.write_text("x" * 1025)
    for path, seen in ((patch, "it has more than 1 KiB"), (tmp_path / "none.patch", "No such file or directory")):
        with pytest.raises(KubeV6Error, match=rf"^{path}: cannot be read: {seen}.*; mend it, or take it out"):
            debian_source._commit_patch(repo, path, path.name, 1)
