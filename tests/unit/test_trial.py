"""Asking a tool beforehand whether it can read files: nothing of the machine is touched, and its words are told."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from configs.plan.networking import tools
from configs.plan.node import plan_node
from configs.plan.systems import Machine, Networking
from configs.schema.loading import load_cluster, load_release
from tasks.node.resources import kinds
from tasks.node_agent import read_facts
from tasks.node_agent.protocol import Failed
from tasks.node_agent.trial import try_out
from tests.fakes import substitute

COMPLAINS = "echo WARNING >&2; echo >&2; echo $PWD{0}/ours.yaml: Error in line 3 >&2; cat .{0}/*.yaml >&2; exit 78"


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of a machine with a file of the site's."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    substitute(monkeypatch, tempfile, "tempdir", str(scratch))
    directory = tmp_path / "etc"
    directory.mkdir()
    (directory / "site.yaml").write_text("site\n")
    (directory / "link").symlink_to("nowhere")
    return directory


def trial(etc: Path, script: str, *, block: bool = False, name: str = "ours.yaml") -> list[dict[str, Any]]:
    file = {"path": str(etc / name), "content": "ours\n", "mode": 0o600, "block": block}
    return [{"tool": "planner", "files": [file], "directories": [str(etc), "/nowhere"], "script": script.format(etc)}]


def test_a_refusal_is_told_in_the_tools_words_and_nothing_is_written(etc: Path) -> None:
    with pytest.raises(Failed) as error:
        try_out(trial(etc, COMPLAINS))
    assert error.value.seen == f"planner refuses the files that would be there: {etc}/ours.yaml: Error in line 3"
    assert "ours\nsite" in error.value.detail
    assert sorted(path.name for path in etc.iterdir()) == ["link", "site.yaml"]
    assert not list((etc.parent / "scratch").iterdir())


def test_a_tool_that_can_read_them_is_content_and_leaves_nothing(etc: Path) -> None:
    try_out(trial(etc, "grep -q site .{0}/site.yaml && grep -q ours .{0}/ours.yaml && test -h .{0}/link"))
    assert not (etc / "ours.yaml").exists()
    assert not list((etc.parent / "scratch").iterdir())


def test_a_tool_is_not_asked_again_of_files_that_are_there(etc: Path) -> None:
    (etc / "ours.yaml").write_text("ours\n")
    try_out(trial(etc, COMPLAINS))


def test_a_block_is_tried_within_its_file(etc: Path) -> None:
    script = 'test "$(cat .{0}/site.yaml)" = "$(printf \'site\\n# BEGIN kubev6\\nours\\n# END kubev6\')"'
    try_out(trial(etc, script, block=True, name="site.yaml"))
    assert (etc / "site.yaml").read_text() == "site\n"


def test_a_block_is_tried_within_a_file_of_any_bytes(etc: Path) -> None:
    before = b"# caf\xe9 \x00\r\nsite"
    (etc / "site.yaml").write_bytes(before)
    script = "grep -qa site .{0}/site.yaml && cp .{0}/site.yaml {0}/seen"
    try_out(trial(etc, script, block=True, name="site.yaml"))
    assert (etc / "seen").read_bytes() == before + b"\n# BEGIN kubev6\nours\n# END kubev6\n"
    (etc / "site.yaml").write_bytes((etc / "seen").read_bytes())
    try_out(trial(etc, "exit 1", block=True, name="site.yaml"))  # it is there, and not asked about again


def test_what_a_tool_refuses_is_the_answer_in_the_place_of_facts(etc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read_facts.main(["network"], {}, trial(etc, "exit 3"))
    assert '"seen": "planner refuses the files that would be there: status 3"' in capsys.readouterr().out


@pytest.mark.parametrize("tool", tools.TOOLS)
def test_every_tool_that_can_be_asked_is_asked_of_all_that_is_written_for_it(tool: Networking) -> None:
    cluster = load_cluster("kube-v6").model_copy(update={"runtime": "docker"})
    stage = plan_node(cluster, load_release("debian-1.20"), None, "kube-minion-1", Machine(networking=tool)).stage(
        "network"
    )
    assert stage is not None
    asked: Any = kinds.query((stage,))["trials"]
    if tool == "networkd":  # which has nothing that reads its files without applying them
        assert not asked
    else:
        assert asked[0]["files"]
        assert {file["path"] for file in asked[0]["files"]} <= {file.path for file in stage.files}
