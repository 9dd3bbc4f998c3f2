"""What a program on a node tells its controller while it works."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tasks.node_agent import commands, read_facts
from tasks.node_agent.commands import answer, ask, run, run_shown
from tasks.node_agent.protocol import Failed, progress
from tests.fakes import substitute


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


def test_a_tool_that_hangs_is_named_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, commands, "QUESTION_SECONDS", 0)
    asked = ask(["sleep", "100"])
    with pytest.raises(Failed, match=r"^`sleep 100` has not answered for 0 s$") as told:
        answer(asked)
    assert asked is not None
    assert asked.poll() is not None
    assert "restart the machine" in told.value.todo


def test_a_machine_that_stood_still_has_answered_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, commands, "QUESTION_SECONDS", 0)
    asked = ask(["echo", "active"])
    assert asked is not None
    os.waitid(os.P_PID, asked.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has looked
    assert answer(asked) == "active\n"


@pytest.mark.parametrize("hangs", ["one", "all"])
def test_no_question_is_left_behind_when_one_hangs(monkeypatch: pytest.MonkeyPatch, hangs: str) -> None:
    substitute(monkeypatch, commands, "QUESTION_SECONDS", 0)
    started: list[subprocess.Popen[bytes] | None] = []

    def sleeping(words: Sequence[str]) -> subprocess.Popen[bytes] | None:
        assert words
        process = ask(["sleep", "100"] if hangs == "all" or not started else ["true"])
        started.append(process)
        return process

    substitute(monkeypatch, read_facts, "ask", sleeping)
    with pytest.raises(Failed, match="sleep 100"):
        read_facts.facts(["network"], {"service": ["a"], "package": ["b"]}, [])
    assert len(started) == 2
    assert all(process and process.wait(5) is not None for process in started)


def package_manager(directory: Path, says: str, tries: int) -> list[str]:
    """One that says something, and works once it has been asked some times."""
    count = directory / "count"
    script = f'echo x >>{count}; [ $(wc -l <{count}) -ge {tries} ] || {{ echo "{says}"; exit 100; }}; echo done'
    return ["sh", "-c", script]


@pytest.mark.parametrize(
    "says",
    [
        "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt-get)",
        "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)",
        "E: Could not get lock /var/lib/dpkg/lock - open (11: Resource temporarily unavailable)",
        "dpkg: error: dpkg frontend lock was locked by another process with pid 7",
        "dpkg: error: dpkg status database is locked by another process",
        "System management is locked by the application with pid 7 (zypper).",
    ],
)
def test_another_package_manager_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], says: str
) -> None:
    substitute(monkeypatch, time, "sleep", lambda _seconds, /: None)
    run_shown(package_manager(tmp_path, says, 3))
    waited = [line for line in map(str, told(capsys)) if "waiting for another package manager" in line]
    assert len(waited) == 2
    assert says[:60] in waited[0]


def test_one_that_never_ends_is_said_and_what_is_wrong_otherwise_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt-get)"
    substitute(monkeypatch, commands, "LOCK_SECONDS", -1)
    with pytest.raises(Failed, match=r"process 7 \(apt-get\); waited for") as waited:
        run_shown(package_manager(tmp_path, says, 9))
    assert (waited.value.transient, waited.value.todo) == (False, "let the other package manager end, or end it")
    (tmp_path / "count").unlink()
    with pytest.raises(Failed, match="Unable to locate package"):
        run_shown(package_manager(tmp_path, "E: Unable to locate package socat", 2))
