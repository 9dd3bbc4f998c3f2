"""The deploy flow on a Dask cluster of real processes, by Prefect's own runner; the machines are fakes."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from distributed import Client, LocalCluster

from flows.run.record import runs
from flows.run.runner import task_runner
from kubev6.server.temporary_server import TemporaryServer
from tests.integration import fake_machines, fake_worker
from tests.integration.prefect_database import PrefectDatabase
from tests.integration.shown_lines import ends_in_order, position
from tests.integration.sshd import free_port
from tests.waiting import eventually

PROGRAM = Path(fake_machines.__file__)
SECONDS_TO_STOP = 30.0
SOMEBODY_ELSE = """
import os, sys
from distributed import Client, Security
try:
    Client(sys.argv[1], security={security}, timeout=3)
    print("let in", end="", flush=True)
except (OSError, TypeError):
    print("kept out", end="", flush=True)
os._exit(0)
"""
"""In a process of its own: a client that could not connect, collected as garbage later on, stops for ever at a lock of
its library when another client begins or ends at that moment."""
pytestmark = pytest.mark.usefixtures("data")


@dataclass(frozen=True)
class Dask:
    address: str
    client: Client

    def behave(self, behaviour: str) -> None:
        self.client.run(fake_worker.behave, behaviour)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, prefect_database: PrefectDatabase) -> Iterator[Path]:
    """Data of these runs and their workers, which have to be the same."""
    home = tmp_path_factory.mktemp("dask")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("PREFECT_", "DASK_"))]:
            patch.delenv(name)
        patch.setenv("PREFECT_HOME", str(prefect_database.put_in(home / "prefect")))
        patch.setenv("KUBEV6_DATA", str(home / "data"))
        patch.setenv("KUBEV6_CACHE", str(home / "cache"))
        server = TemporaryServer()  # one for all runs: its start takes longer than any of them
        try:
            server.wait()
            for name, value in server.environment.items():
                patch.setenv(name, value)
            yield home / "data"
        finally:
            server.stop()


@pytest.fixture(scope="module")
def dask(data: Path) -> Iterator[Dask]:  # noqa: ARG001 - its environment
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,  # fewer than machines: none of them may wait for a thread
            processes=True,
            dashboard_address=None,
            preload="tests.integration.fake_worker",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield Dask(cluster.scheduler_address, client)


def start(behaviour: str, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, PROGRAM, behaviour, "deploy", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **environment},
    )


def run(behaviour: str, *words: str, **environment: str) -> tuple[int, str, list[str]]:
    """Exit status, standard output, and the lines of standard error with single spaces."""
    out, err = (process := start(behaviour, *words, **environment)).communicate(timeout=120)
    return process.returncode, out, [" ".join(line.split()) for line in err.splitlines()]


def test_a_deploy_on_a_dask_cluster_tells_all_that_one_in_threads_tells(dask: Dask, data: Path) -> None:
    dask.behave("new")
    status, out, lines = run("new", "--task-runner", dask.address)
    assert status == 0, lines
    ends_in_order(lines)
    assert "17 changes.\n" in out
    record = runs()[0][1]
    assert record.status == "succeeded"
    assert len(record.changes) == 17
    assert [change.stage for change in record.changes if change.node == "kube-support"] == ["network", "support"]
    assert {step.outcome for step in record.steps} == {"ended"}
    log = max((data / "logs").iterdir()).read_text()
    assert "changed: kube-worker-1: create file /etc/runtime" in log
    assert fake_machines.TOKEN not in out + "".join(lines) + log


def test_one_node_fails_there_and_the_others_go_on(dask: Dask, data: Path) -> None:
    dask.behave("two-fail")
    status, out, lines = run("new", "--task-runner", dask.address)
    assert (status, out) == (1, "")
    told = [line for line in lines if line.startswith("kubev6: ")]
    assert told[0] == "kubev6: kube-worker-2: network: sudo wants a password"
    assert told[1].startswith("kubev6: kube-worker-1: runtime: the disk is full; make room (log: ")
    assert len(told) == 2
    assert position(lines, r"kube-control-plane kubeadm init \d")
    log = max((data / "logs").iterdir()).read_text()
    assert "No space left on device" in log
    assert "in bring_to" in log, "where it happened is known only there"


def test_a_machine_that_leaves_there_has_left_before_any_other_is_changed(dask: Dask) -> None:
    dask.behave("orphan")
    status, _, lines = run("orphan", "--prune", "--yes", "--task-runner", dask.address)
    assert status == 0, lines
    reset = position(lines, rf"{fake_machines.ORPHAN} reset \d")
    assert reset < position(lines, r"kube-\S+ network\b")


def test_nodes_that_wait_there_for_one_that_fails_end_and_only_the_cause_is_named(dask: Dask) -> None:
    dask.behave("no-support")
    status, _, lines = run("new", "--task-runner", dask.address)
    assert status == 1
    (told,) = (line for line in lines if line.startswith("kubev6: "))
    assert told.startswith("kubev6: kube-support: support: there is no tun device (log: ")


def test_what_is_transient_is_tried_again_there(dask: Dask) -> None:
    dask.behave("reset-once")
    status, out, lines = run("new", "--task-runner", dask.address)
    assert status == 0, lines
    assert "18 changes.\n" in out  # the 17 of a run in one go, and the one that the first attempt came to
    assert position(lines, r"kube-worker-1 runtime \d.* FAILED: connection reset") < position(
        lines, r"kube-worker-1 runtime \d+\.\d s$"
    )


def interrupted(data: Path, *words: str, **environment: str) -> tuple[int, str, float]:
    """Begin a run and interrupt it, and its children, when a machine is at work that goes on and on."""
    (data / "at-work").unlink(missing_ok=True)
    process = start("new", *words, **environment)
    eventually((data / "at-work").exists, 60)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)  # ends only when nobody holds the pipes any more
    return process.returncode, err, time.monotonic() - began


def test_ctrl_c_ends_the_run_and_its_work_on_the_cluster_which_can_be_used_again(dask: Dask, data: Path) -> None:
    dask.behave("endless")

    def at_work() -> bool:
        return any(dask.client.run(fake_worker.at_work).values())

    status, err, seconds = interrupted(data, "--task-runner", dask.address)
    assert status == 130
    assert err.splitlines()[-1] == "kubev6: stopped; running it again goes on from here"
    assert "Traceback" not in err
    assert seconds < SECONDS_TO_STOP
    eventually(lambda: not at_work(), SECONDS_TO_STOP)
    dask.behave("new")
    status, _, lines = run("new", "--task-runner", dask.address)
    assert status == 0, lines


def test_ctrl_c_ends_a_dask_cluster_of_the_runs_own(data: Path) -> None:
    there = {"DASK_DISTRIBUTED__WORKER__PRELOAD": '["tests.integration.fake_worker"]'}
    there |= {"KUBEV6_TEST_MACHINES": "endless", "PYTHONPATH": str(PROGRAM.parents[2])}
    status, err, seconds = interrupted(data, "--task-runner", "dask", **there)
    assert status == 130
    assert err.splitlines()[-1] == "kubev6: stopped; running it again goes on from here"
    assert "Traceback" not in err
    assert seconds < SECONDS_TO_STOP


def test_a_scheduler_that_does_not_answer_is_one_line() -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    status, _, lines = run("new", "--task-runner", address)
    assert status == 1
    assert lines[-1].startswith(f"kubev6: {address}: no Dask scheduler answers there within 5 s")
    assert not any(line.startswith("kube-") for line in lines)


def test_nobody_else_can_use_the_scheduler_of_a_run() -> None:
    """Whoever reaches a scheduler can run anything as its user."""
    with task_runner("dask") as started:
        cast(Any, started).client.wait_for_workers(1, timeout=60)  # it starts what it needs when it is first used
        address = vars(started)["_cluster"].scheduler_address
        assert re.fullmatch(r"tls://127\.0\.0\.1:\d+", address)
        for security in ("None", "Security.temporary()"):  # without a key, and with one of somebody else's
            other = subprocess.run(
                [sys.executable, "-c", SOMEBODY_ELSE.format(security=security), address],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert (other.returncode, other.stdout) == (0, "kept out"), other.stderr
        told = cast(Any, started).client.scheduler_info()
        for worker in told["workers"].values():  # which import what is in their directories
            place = Path(worker["local_directory"])
            private = next(each for each in place.parents if each.parent == Path(tempfile.gettempdir()))
            assert stat.S_IMODE(private.stat().st_mode) == 0o700
            assert private.owner() == Path(place).owner()
            assert worker["host"] == "127.0.0.1"
        for listener in (told, *told["workers"].values()):
            page = f"http://127.0.0.1:{listener['services']['dashboard']}/health"
            with pytest.raises(HTTPError, match="404"):
                urlopen(page, timeout=10).close()


def test_without_dask_it_is_said_how_to_have_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util\nreal = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *of: None if name == 'prefect_dask' else real(name, *of)\n"
    )
    status, _, lines = run("new", "--task-runner", "dask", PYTHONPATH=str(tmp_path))
    assert status == 1
    assert lines[-1].startswith(
        "kubev6: --task-runner dask: Dask is not installed here (prefect_dask is missing); install it beside kubev6"
    )
