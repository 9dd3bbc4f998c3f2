"""What a program on a node tells its controller while it works."""

from __future__ import annotations

import json

import pytest

from tasks.on_node.commands import run, run_shown
from tasks.on_node.protocol import Failed, progress


def told(capsys: pytest.CaptureFixture[str]) -> list[object]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_every_command_is_told_before_it_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    run(["true", "a"])
    with pytest.raises(Failed):
        run(["false"])
    run_shown(["echo", "Unpacking"])
    assert told(capsys) == [
        {"command": "true a"},
        {"command": "false"},
        {"command": "echo Unpacking"},
        {"progress": "Unpacking"},
    ]


def test_progress_has_numbers_where_they_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    progress("asking")
    progress("30 of 90 MB fetched", 30, 90)
    assert told(capsys) == [{"progress": "asking"}, {"progress": "30 of 90 MB fetched", "done": 30, "total": 90}]
