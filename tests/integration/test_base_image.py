"""The commands that make the base image, however they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import KubeV6Error
from tasks import scope, steps
from tasks.docker import base_image
from tasks.scope import Threads
from tasks.steps import StopSignal
from tests.fakes import substitute
from tests.waiting import eventually


def run(script: str) -> None:
    with steps.step("docker", "base image") as shown:
        base_image._run_root(["sh", "-c", script], shown)


def silent(place: Path) -> str:
    """A script that goes on and on in a child of its own and says nothing; the child's process id is written down."""
    return f"sh -c 'echo $$ > {place}; sleep 600; :'; :"


def gone(place: Path) -> bool:
    """Whether the child has ended; its exit status may still wait for somebody to ask for it."""
    try:
        return not Path("/proc", place.read_text().strip(), "cmdline").read_bytes()
    except OSError:
        return True


def test_a_stop_ends_a_silent_command_and_its_children(tmp_path: Path) -> None:
    place, signal = tmp_path / "pid", StopSignal()
    with scope.holding(signal), Threads(1) as pool:
        running = pool.submit(run, silent(place))
        eventually(lambda: place.exists() and place.read_text().strip() != "")
        signal.give()
        assert str(running.exception(60)) == "stopped; running it again goes on from here"
    eventually(lambda: gone(place))


def test_what_takes_too_long_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, base_image, "BOOTSTRAP_DEADLINE", 2)
    with pytest.raises(KubeV6Error, match=r"^making the base image: sh did not end in 2 s; see whether"):
        run(silent(tmp_path / "pid"))
    assert (tmp_path / "pid").read_text()
    eventually(lambda: gone(tmp_path / "pid"))


def test_a_command_that_fails_is_one_line_with_the_last_that_it_said() -> None:
    with pytest.raises(
        KubeV6Error, match=r"^making the base image: sh ended with status 3: E: no such suite; "
    ) as told:
        run("echo I: retrieving; printf 'E: no such suite' >&2; exit 3")
    assert told.value.detail == "I: retrieving\nE: no such suite"
