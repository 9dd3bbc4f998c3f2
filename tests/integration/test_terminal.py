"""What a terminal gets of a run: real programs on a real terminal (a pty)."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.cells import cell_len

REPO = Path(__file__).parents[2]
PROGRAM = """
import logging, pathlib, sys, time
from flows.run.context import run_context
from kubev6.console.display import showing_steps
from tasks.steps import step
logging.getLogger().setLevel(logging.DEBUG)
go = pathlib.Path(sys.argv[1])
live = "--no-progress" not in sys.argv
with run_context() as run, showing_steps(run.events, live=live):
    with step("kube-worker-1", "kubernetes") as current:
        current.progress("50 of 100 MB fetched, and more " + 40 * "words ", 50, 100)
        print("the result")
        while not go.exists():
            time.sleep(0.02)
        current.ended_as("12 changes")
"""
FIRST_USE = """
from kubev6.server import environment
environment.prepare()
import prefect
"""
MOVES = re.compile(r"\x1b\[[0-9]*[A-Kf]")
COLOURS = re.compile(r"\x1b\[[0-9;]+m")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Seen:
    """What a terminal got until it had shown what was waited for and after that, and what went to a pipe instead."""

    before: str
    after: str
    piped: str

    @property
    def all(self) -> str:
        return self.before + self.after


def resize(terminal: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def show(
    go: Path, *words: str, columns: int = 120, then: int = 0, piped: bool = False, until: str = "words", env: str = ""
) -> Seen:
    """Run the program on a terminal until that shows ``until``, and let it go on.

    Before that the terminal can be made ``then`` columns wide; two more pictures are waited for then.
    """
    here, there = pty.openpty()
    resize(there, columns)
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(go), *words],
        stdin=there,
        stdout=subprocess.PIPE if piped else there,
        stderr=there,
        cwd=REPO,
        env={**environment, "TERM": "xterm-256color", **dict([env.split("=")] if env else [])},
    )
    os.close(there)
    before, after = bytearray(), bytearray()
    try:
        for data in read(here):
            if until.encode() not in before:
                before += data
                if then and until.encode() in before:
                    resize(here, then)
            else:
                after += data
            if until.encode() in before and (not then or after.count(b"kube-worker-1") > 2):  # the first may be cut
                go.touch()
    finally:
        go.touch()
        os.close(here)
    out = process.stdout.read().decode() if process.stdout else ""
    assert process.wait(60) == 0
    # Where one ends and the other begins may be in the middle of a sign.
    return Seen(before.decode(errors="ignore"), after.decode(errors="ignore"), out)


def read(terminal: int) -> Iterator[bytes]:
    """What comes on a terminal until nobody has its other side any more."""
    while True:
        assert select.select([terminal], [], [], 60)[0], "nothing more comes"
        try:
            yield os.read(terminal, 65536)
        except OSError:  # how Linux says that
            return


@pytest.fixture
def go(tmp_path: Path) -> Path:
    return tmp_path / "go"


def test_a_terminal_shows_one_moving_line_with_a_bar_and_keeps_the_line_of_the_end(go: Path) -> None:
    seen = show(go)
    assert MOVES.search(seen.all)
    assert "━" in seen.before
    kept = ESCAPES.sub("", seen.after).splitlines()
    assert any(re.fullmatch(r" *kube-worker-1 +kubernetes +[0-9.]+ s  12 changes", line) for line in kept)
    assert seen.all.rstrip().endswith("\x1b[?25h")  # the cursor is there again


def test_no_color_is_obeyed(go: Path) -> None:
    assert COLOURS.search(show(go).all)
    go.unlink()
    seen = show(go, env="NO_COLOR=1")
    assert not COLOURS.search(seen.all)
    assert MOVES.search(seen.all)


@pytest.mark.parametrize("how", ["TERM=dumb", "TERM=unknown", "--no-progress"])
def test_plain_lines_where_nothing_can_or_shall_move(go: Path, how: str) -> None:
    seen = show(go, how, until="...") if how == "--no-progress" else show(go, until="...", env=how)
    assert "\x1b" not in seen.all
    lines = [" ".join(line.split()) for line in seen.all.splitlines()]
    assert lines[:2] == ["kube-worker-1 kubernetes ...", "the result"]
    assert re.fullmatch(r"kube-worker-1 kubernetes [0-9.]+ s 12 changes", lines[2])


def test_results_go_to_the_pipe_while_the_terminal_shows_the_steps(go: Path) -> None:
    seen = show(go, piped=True)
    assert seen.piped == "the result\n"
    assert "the result" not in seen.all
    assert MOVES.search(seen.all)


def test_a_terminal_that_is_made_narrower_gets_narrower_lines(go: Path) -> None:
    seen = show(go, columns=150, then=60)
    lines = ESCAPES.sub("\n", seen.after).replace("\r", "\n").splitlines()
    drawn = [line for line in lines if "kube-worker-1" in line and "12 changes" not in line]
    # The picture that was being drawn meanwhile may still be a wide one.
    assert len(drawn) >= 2
    assert cell_len(drawn[-1]) < 60


def test_a_terminal_that_knows_only_ascii_gets_nothing_else(go: Path) -> None:
    seen = show(go, env="PYTHONIOENCODING=ascii")
    assert seen.all.isascii()
    assert "-----" in seen.before


def test_a_first_use_tells_nobody_outside(tmp_path: Path) -> None:
    here, there = pty.openpty()
    # CI systems are never told of; what says that this is one goes.
    plain = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-c", FIRST_USE],
        stdin=there,
        stdout=there,
        stderr=there,
        cwd=REPO,
        env={**plain, "KUBEV6_DATA": str(tmp_path)},
    )
    os.close(there)
    try:
        said = b"".join(read(here)).decode()
    finally:
        os.close(here)
    assert process.wait(60) == 0
    assert said == ""
    assert not list(tmp_path.rglob(".sdk_telemetry"))
