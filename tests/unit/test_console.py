"""What a person sees of steps when there is no terminal, what machines get, and the table of times made from them."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from flows.run.context import RunContext
from kubev6.console import step_screen
from kubev6.console.display import showing_steps
from kubev6.console.json_lines import JsonLines
from kubev6.console.listener import Ended, Listener
from kubev6.console.step_screen import StepScreen
from kubev6.console.tables import failed_checks, show_proof, show_times
from tasks.events import ChangeMade, emit
from tasks.kubernetes.checks import Check
from tasks.node.change import Change
from tasks.scope import Threads
from tasks.ssh.command_log import hear_local_commands, ran
from tasks.steps import step
from tests.fakes import substitute


def listening(run: RunContext, listener: Listener) -> Iterator[Listener]:
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(listener)
    with run.events.heard_by(listener.hear):
        yield listener
    root.removeHandler(listener)
    root.setLevel(before)


def new_screen(*, verbose: bool = False) -> StepScreen:
    return StepScreen(Console(file=io.StringIO(), width=120, emoji=False, markup=False), verbose=verbose)


@pytest.fixture
def screen(run: RunContext) -> Iterator[Listener]:
    yield from listening(run, new_screen())


@pytest.fixture
def verbose_screen(run: RunContext) -> Iterator[Listener]:
    yield from listening(run, new_screen(verbose=True))


@pytest.fixture
def machine(run: RunContext) -> Iterator[Listener]:
    yield from listening(run, JsonLines(io.StringIO(), nodes=("kube-worker-1",)))


def lines(screen: StepScreen) -> list[str]:
    """What it shows, with single spaces and without the times."""
    assert isinstance(screen.console.file, io.StringIO)
    shown = [" ".join(line.split()) for line in screen.console.file.getvalue().splitlines()]
    return [re.sub(r"\b\d+\.\d s\b", "N.N s", line) for line in shown]


def events(machine: JsonLines) -> list[dict[str, object]]:
    assert isinstance(machine._stream, io.StringIO)
    return [json.loads(line) for line in machine._stream.getvalue().splitlines()]


def test_a_step_is_a_line_at_its_start_and_one_with_its_outcome(screen: StepScreen) -> None:
    with step("kube-worker-1", "network") as current:
        current.progress("asking")
        current.ended_as("12 changes")
    assert lines(screen) == ["kube-worker-1 network ...", "kube-worker-1 network N.N s 12 changes"]


def test_a_failed_step_shows_the_first_line_of_what_was_seen(screen: StepScreen) -> None:
    with pytest.raises(ValueError, match="full"), step("kube-worker-1", "network"):
        raise ValueError("kube-worker-1: network: the disk is full\nand more that only the log needs")
    assert lines(screen)[-1] == "kube-worker-1 network N.N s FAILED: the disk is full"
    assert [ended.ok for ended in screen.ended] == [False]


def test_addresses_are_shown_as_they_are(screen: StepScreen) -> None:
    with step("kube-control-plane", "kubeadm init") as current:
        current.ended_as("fd00:100::/64 at [fd00::100]:6443")
    assert lines(screen)[-1].endswith("fd00:100::/64 at [fd00::100]:6443")


def test_what_a_node_says_cannot_steer_the_terminal(screen: StepScreen) -> None:
    with step("kube-worker-1", "network") as current:
        current.ended_as("\x1b[2J\x1b]0;title\x07a\rb\tc")
    assert lines(screen)[-1] == r"kube-worker-1 network N.N s \x1b[2J\x1b]0;title\x07a\rb c"


def test_a_screen_that_knows_no_other_signs_shows_question_marks(run: RunContext) -> None:
    content = io.BytesIO()
    shown = StepScreen(Console(file=io.TextIOWrapper(content, "ascii"), width=120))
    for _ in listening(run, shown):
        with step("build", "patch") as current:
            current.ended_as("André")
    shown.console.file.flush()
    assert content.getvalue().endswith(b"  Andr?\n")


def test_a_silent_step_says_a_word_now_and_then(screen: StepScreen, monkeypatch: pytest.MonkeyPatch) -> None:
    with step("build", "compile") as current:
        current.progress("kubelet")
        screen.remind()
        assert len(lines(screen)) == 1
        substitute(monkeypatch, step_screen, "SECONDS_BETWEEN_WORDS", 0.0)
        screen.remind()
    assert lines(screen)[1] == "build compile N.N s kubelet"


def test_warnings_of_every_part_are_shown_and_those_of_libraries_are_not(screen: StepScreen) -> None:
    logging.getLogger("kubev6.anything").warning("CNI 0.6.0 does not go with this Docker")
    logging.getLogger("kubev6.anything").info("not shown")
    logging.getLogger("urllib3.connectionpool").warning("not shown")
    logging.getLogger("prefect.flow_runs").error("not shown")
    assert lines(screen) == ["CNI 0.6.0 does not go with this Docker"]


def test_many_threads_at_once_lose_nothing(screen: StepScreen) -> None:
    def work(number: int) -> None:
        for _ in range(20):
            with step(f"node-{number}", "stage") as current:
                current.progress("x")

    with Threads(max_workers=8) as threads:
        for done in [threads.submit(work, number) for number in range(8)]:
            done.result()
    assert len(screen.ended) == 160
    assert len(lines(screen)) == 320


def test_commands_and_every_word_and_prefect_are_for_who_asks(screen: StepScreen, verbose_screen: StepScreen) -> None:
    with step("kube-worker-1", "network") as current:
        current.progress("12 to change")
        ran("kube-worker-1", ["ip", "-6", "route", "replace", "a b"], step="network")
        logging.getLogger("prefect.flow_runs").info("Beginning flow run")
    assert lines(verbose_screen) == [
        "kube-worker-1 network ...",
        "kube-worker-1 network N.N s 12 to change",
        "kube-worker-1 network $ ip -6 route replace 'a b'",
        "prefect.flow_runs: Beginning flow run",
        "kube-worker-1 network N.N s",
    ]
    assert len(lines(screen)) == 2


def test_commands_of_this_machine_are_heard_whoever_starts_them_and_logins_are_not_told(
    verbose_screen: StepScreen,
) -> None:
    hear_local_commands()
    hear_local_commands()
    subprocess.run([sys.executable, "-c", "", "https://me:secret@example.net/x"], check=True)
    (line,) = lines(verbose_screen)
    assert line == f"local $ {sys.executable} -c '' https://***@example.net/x"


@pytest.mark.parametrize("how", [{}, {"verbose": True}, {"as_json": True}])
def test_a_reader_that_is_gone_ends_no_step(
    run: RunContext, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(sys, "stderr", os.fdopen(writing, "w", buffering=1))
    substitute(monkeypatch, logging.getLogger(), "level", logging.DEBUG)
    with showing_steps(run.events, **how) as shown, step("build", "compile") as current:
        current.progress("kubelet")
    assert [ended.ok for ended in shown.ended] == [True]
    sys.stderr.close()  # nothing is left that could not be written


def test_a_process_that_ends_at_once_gives_the_cursor_back() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as seen, os.fdopen(writing, "w") as terminal:
        StepScreen(Console(file=terminal), live=False).let_go()
        StepScreen(Console(file=terminal), live=True).let_go()
        terminal.close()
        assert seen.read() == b"\x1b[?25h"


def test_machines_get_every_event_as_a_line(machine: JsonLines) -> None:
    with step("kube-worker-1", "kubernetes") as current:
        current.progress("30 of 90 MB fetched", 30, 90)
        current.progress("asking")
        made = Change("file", "/etc/hosts", "replace", "one", "two", node="kube-worker-1", stage="kubernetes")
        emit(ChangeMade(change=made))
        ran("kube-worker-1", "true")
        logging.getLogger("kubev6.fetch").warning("damaged")
        current.ended_as("1 change")
    with pytest.raises(ValueError, match="full"), step("build", "compile"):
        raise ValueError("the disk is full\nmore")
    told = events(machine)
    for event in told:
        assert str(event.pop("time")).endswith("Z")
        elapsed = event.pop("elapsed", 0.0)
        assert isinstance(elapsed, float)
    at = {"subject": "kube-worker-1", "title": "kubernetes", "node": "kube-worker-1"}
    change = {"kind": "file", "subject": "/etc/hosts", "action": "replace", "before": "one", "after": "two"}
    assert told == [
        {"level": "info", "event": "started", "text": "", **at},
        {"level": "debug", "event": "progress", "text": "30 of 90 MB fetched", "done": 30, "total": 90, **at},
        {"level": "debug", "event": "progress", "text": "asking", **at},
        {"level": "info", "event": "change", "text": "replace file /etc/hosts (one -> two)", "change": change, **at},
        {"level": "warning", "event": "message", "subject": "kubev6.fetch", "title": "", "text": "damaged"},
        {"level": "info", "event": "ended", "text": "1 change", **at},
        {"level": "info", "event": "started", "subject": "build", "title": "compile", "text": ""},
        {"level": "error", "event": "failed", "subject": "build", "title": "compile", "text": "the disk is full\nmore"},
    ]


def test_times_are_from_the_first_beginning_to_the_last_end() -> None:
    console = Console(file=io.StringIO(), width=80)
    steps = [Ended("b", "network", 11.0, 3.0, True), Ended("a", "network", 10.0, 2.0, True)]
    show_times(console, [*steps, Ended("build", "compile", 5.0, 4.5, True)], 9.0)
    assert isinstance(console.file, io.StringIO)
    rows = [line.split() for line in console.file.getvalue().splitlines() if line.strip()]
    assert rows[2:] == [["compile", "build", "4.5"], ["network", "2", "in", "parallel", "4.0"], ["all", "9.0"]]


def test_a_proof_shows_what_holds_and_will_not_for_long_with_every_word() -> None:
    console = Console(file=io.StringIO(), width=200)
    warned = Check("certificates", "files", "kube-worker-1", True, f"ends soon: {'long ' * 12}end", warns=True)
    show_proof(console, [Check("API", "kube-worker-1", "x", True, "v1.20.2"), warned])
    assert isinstance(console.file, io.StringIO)
    (line,) = (line for line in console.file.getvalue().splitlines() if "kube-worker-1" in line)
    assert "warning" in line
    assert "end" in line
    assert "v1.20.2" not in console.file.getvalue()


def test_a_line_names_the_first_checks_that_failed_and_the_number_of_the_others() -> None:
    checks = [Check("API", f"node-{number}", "[fd00::1]:443", number > 4, "no answer") for number in range(1, 7)]
    said = "4 of 6 checks of its proof failed: "
    said += "; ".join(f"API from node-{number} to [fd00::1]:443" for number in (1, 2, 3))
    assert failed_checks(checks) == f"{said}; and 1 more"
    assert failed_checks(checks[3:]) == "1 of 3 checks of its proof failed: API from node-4 to [fd00::1]:443"
