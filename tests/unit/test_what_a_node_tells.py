"""What a program on a node tells its controller while it works."""

from __future__ import annotations

import json

import pytest

from tasks.node_agent.commands import answer, ask, run, run_shown
from tasks.node_agent.protocol import Failed, progress


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


def test_what_a_command_says_is_told_in_whatever_letters_it_says_it() -> None:
    """Under LC_ALL=C the Python of 2016 takes output for ASCII; one byte that is no UTF-8 stands for that here."""
    assert run(["cat"], given="für\n") == "für\n"
    assert run(["printf", r"f\303\274r \377"]) == answer(ask(["printf", r"f\303\274r \377"])) == "für \ufffd"
    with pytest.raises(Failed, match="kein Platz für \ufffd"):
        run(["sh", "-c", r"printf 'kein Platz f\303\274r \377' >&2; exit 1"])


def test_progress_has_numbers_where_they_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    progress("asking")
    progress("30 of 90 MB fetched", 30, 90)
    assert told(capsys) == [{"progress": "asking"}, {"progress": "30 of 90 MB fetched", "done": 30, "total": 90}]
