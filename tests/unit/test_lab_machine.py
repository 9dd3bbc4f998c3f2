"""A machine that has booted and is let into, with an engine whose answers are the test's own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from configs.errors import NodeError
from configs.render import render
from tasks.lab import machine as lab_machine
from tasks.lab.machine import booted
from tests.fakes import substitute

HOST_KEY = "ssh-ed25519 AAAAhost kube-worker-1"
OURS = "ssh-ed25519 AAAAours kubev6\n"


def exchanged(monkeypatch: pytest.MonkeyPatch, *answers: str) -> tuple[str, str, list[str]]:
    """The state and the host key that came of it, and what was written into the machine."""
    left, written = list(answers), []
    machine: Any = None
    substitute(monkeypatch, lab_machine, "_exec", lambda *_: left.pop(0) if left else "")
    substitute(monkeypatch, lab_machine, "_put_key", lambda _, public_keys: written.append(public_keys))
    return *booted("kube-worker-1", machine, OURS), written


def test_a_key_that_is_let_in_already_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert exchanged(monkeypatch, f"{HOST_KEY}\nrunning\n\n{OURS}") == ("running", "ssh-ed25519 AAAAhost", [])


def test_a_new_key_goes_beside_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    other = "ssh-ed25519 AAAAother somebody\n"
    assert exchanged(monkeypatch, f"{HOST_KEY}\nrunning\n\n{other}") == (
        "running",
        "ssh-ed25519 AAAAhost",
        [other + OURS],
    )


def test_an_answer_that_got_lost_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert exchanged(monkeypatch, "", "", f"{HOST_KEY}\nrunning\n\n{OURS}") == ("running", "ssh-ed25519 AAAAhost", [])


def test_what_a_shell_complains_of_is_no_host_key(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = f"sh: 1: systemctl: Permission denied\n{HOST_KEY}\n\n\n{OURS}"
    with pytest.raises(NodeError, match=r"ssh_host_ed25519_key\.pub could not be read"):
        exchanged(monkeypatch, *[answer] * 9)


def test_a_systemctl_that_hangs_or_complains_holds_up_nobody_and_is_not_in_the_answer(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{HOST_KEY}\n")
    (tmp_path / "let-in").write_text(OURS)
    script = render("lab-booted.sh", deadline=0.1, host_key=tmp_path / "key", authorized_keys=tmp_path / "let-in")
    (tmp_path / "systemctl").write_text("#!/bin/sh\necho Failed to connect to bus >&2\nexec sleep 100\n")
    (tmp_path / "systemctl").chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", script.replace("timeout 10 ", "timeout 0.1 ")],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=20,
    )
    assert done.stdout == f"{HOST_KEY}\n\n\n{OURS}"


def test_units_that_failed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    units = "a.service loaded failed failed A\nb.mount loaded failed failed B"
    state, host_key, written = exchanged(monkeypatch, f"{HOST_KEY}\ndegraded\n{units}\n\n{OURS}")
    assert (state, host_key, written) == ("degraded (a.service, b.mount failed)", "ssh-ed25519 AAAAhost", [])


def test_a_machine_without_a_host_key_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NodeError, match=r"ssh_host_ed25519_key\.pub could not be read") as caught:
        exchanged(monkeypatch)
    assert caught.value.transient
