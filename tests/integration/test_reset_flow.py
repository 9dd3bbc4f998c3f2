"""The reset flow: real Prefect with its server, real command line, machines that are fakes."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubev6.server.temporary_server import TemporaryServer
from tasks.paths import cluster_dir
from tests.integration import fake_machines
from tests.integration.prefect_database import PrefectDatabase

PROGRAM = Path(fake_machines.__file__)
CONTROL_PLANE = "kube-control-plane"
pytestmark = pytest.mark.usefixtures("own_data")


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory, prefect_database: PrefectDatabase) -> Iterator[None]:
    """One server for all of these runs, as each would start one of its own for seconds."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        patch.setenv("PREFECT_HOME", str(prefect_database.put_in(tmp_path_factory.mktemp("reset") / "prefect")))
        one = TemporaryServer()
        try:
            one.wait()
            for name, value in one.environment.items():
                patch.setenv(name, value)
            yield
        finally:
            one.stop()


def reset(behaviour: str, *words: str, stdin: int = subprocess.DEVNULL) -> tuple[int, str, list[str]]:
    """Exit status, standard output, and the lines of standard error with single spaces."""
    command = [sys.executable, str(PROGRAM), behaviour, "reset", *words]
    done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, [" ".join(line.split()) for line in done.stderr.splitlines()]


def ended(lines: list[str]) -> list[str]:
    """The steps that ended well, in their order."""
    steps = (re.match(r"(\S+ (?:drain|reset)) \d", line) for line in lines if "FAILED" not in line)
    return [step[1] for step in steps if step]


def test_workers_go_before_the_control_plane_and_the_support_node_last() -> None:
    kubeconfig = cluster_dir("lab") / "kubeconfig"
    kubeconfig.parent.mkdir(parents=True)
    kubeconfig.write_text("x")
    status, out, lines = reset("new", "--yes")
    assert status == 0, lines
    order = ended(lines)
    assert sorted(order[:2]) == ["kube-worker-1 reset", "kube-worker-2 reset"]
    assert order[2:] == [f"{CONTROL_PLANE} reset", "kube-support reset"]
    assert out.index("fd00::101") < out.index("fd00::100") < out.index("fd00::64")
    assert f"{CONTROL_PLANE}: 2 things undone\n{CONTROL_PLANE}: address fd00::100/64 stays\n" in out
    assert "Packages stay installed" in out
    assert not kubeconfig.exists()


def test_a_worker_is_reset_although_the_control_plane_does_not_answer() -> None:
    status, _, lines = reset("no-api", "kube-worker-2", "--yes")
    assert status == 0, lines
    assert ended(lines) == ["kube-worker-2 reset"]
    assert any("kube-worker-2 could not be drained" in line and "does not answer" in line for line in lines)


def test_a_machine_that_fails_keeps_no_other_from_being_reset() -> None:
    status, _, lines = reset("worker-fails", "--yes")
    assert status == 1
    assert ended(lines) == ["kube-worker-2 reset", f"{CONTROL_PLANE} reset", "kube-support reset"]
    assert lines[-1].startswith("kubev6: kube-worker-1: reset: its disk is gone (log: ")
    assert sum(line.startswith("kubev6: ") for line in lines) == 1


def test_without_a_terminal_it_says_what_it_would_do_and_does_nothing() -> None:
    status, out, lines = reset("new", "kube-worker-2")
    assert status == 1
    assert "kube-worker-2  fd00::102  worker" in out
    assert "kube-worker-1" not in out
    assert lines == ["kubev6: reset asks first, and there is no terminal to answer at; --yes answers for you"]


@pytest.mark.parametrize(
    ("answer", "expected", "steps"),
    [("\n", 1, []), ("no\n", 1, []), ("y\n", 0, ["kube-worker-2 drain", "kube-worker-2 reset"])],
)
def test_only_after_a_yes_a_worker_is_drained_and_reset(answer: str, expected: int, steps: list[str]) -> None:
    person, terminal = pty.openpty()
    try:
        os.write(person, answer.encode())
        status, out, lines = reset("new", "kube-worker-2", stdin=terminal)
    finally:
        os.close(person)
        os.close(terminal)
    assert status == expected
    assert ended(lines) == steps
    assert ("Nothing was done." in out) is (expected == 1)
