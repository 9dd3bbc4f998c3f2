"""The deploy flow on Ray, started for one run by Prefect's own runner; the machines are fakes."""

from __future__ import annotations

import ipaddress
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.run.record import runs
from kubev6.server.temporary_server import TemporaryServer
from tests.integration import fake_machines
from tests.waiting import eventually

pytest.importorskip("prefect_ray", reason="Ray is not installed here: pip install 'kubev6[ray]'")
PROGRAM = Path(fake_machines.__file__)
SECONDS_TO_STOP = 30.0
IN_WORKERS = """
import sys
if any("default_worker" in word for word in sys.orig_argv):
    from tests.integration import fake_worker
    fake_worker.dask_setup(None)
"""
LISTENS = "0A"
"""State of a socket in /proc/net/tcp (proc(5))."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Data of these runs and their workers, whose machines are fakes too."""
    home = tmp_path_factory.mktemp("ray")
    (home / "sitecustomize.py").write_text(IN_WORKERS)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("PREFECT_", "RAY_"))]:
            patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("PREFECT_HOME", str(home / "prefect"))
        patch.setenv("KUBEV6_DATA", str(home / "data"))
        patch.setenv("KUBEV6_CACHE", str(home / "cache"))
        patch.setenv("PYTHONPATH", f"{home}:{PROGRAM.parents[2]}")
        server = TemporaryServer()
        try:
            server.wait()
            patch.setenv("PREFECT_API_URL", server.url)
            yield home / "data"
        finally:
            server.stop()


def start(behaviour: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, PROGRAM, "new", "deploy", "--task-runner", "ray"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "KUBEV6_TEST_MACHINES": behaviour},
    )


def family(process: int) -> Iterator[int]:
    """A process and all that it has started."""
    yield process
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from family(int(child))


def listening(process: int) -> set[str]:
    """The addresses on which a process and all that it has started take connections."""
    sockets = set()
    for each in family(process):
        for file in Path(f"/proc/{each}/fd").iterdir():
            if file.is_symlink() and (found := re.match(r"socket:\[(\d+)\]", str(file.readlink()))):
                sockets.add(found[1])
    found_at = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == LISTENS and rest[5] in sockets:
                words = re.findall("." * 8, local.partition(":")[0])
                packed = b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)
                found_at.add(str(ipaddress.ip_address(packed)))
    return found_at


def test_a_deploy_on_ray_tells_all_that_one_in_threads_tells(data: Path) -> None:
    out, err = (process := start("new")).communicate(timeout=300)
    lines = [" ".join(line.split()) for line in err.splitlines()]
    assert process.returncode == 0, err
    assert all(re.match(r"\S+ [A-Za-z ]+ (\.\.\.|\d)", line) for line in lines), "noise on the screen"
    assert "17 changes.\n" in out
    record = runs()[0][1]
    assert record.status == "succeeded"
    assert len(record.changes) == 17
    assert {step.outcome for step in record.steps} == {"ended"}
    assert fake_machines.TOKEN not in out + err + max((data / "logs").iterdir()).read_text()


def test_ray_listens_on_loopback_alone_and_ctrl_c_ends_it(data: Path) -> None:
    process = start("endless")
    eventually((data / "at-work").exists, 300)
    addresses = {ipaddress.ip_address(each) for each in listening(process.pid)}
    assert addresses
    assert {each for each in addresses if not (getattr(each, "ipv4_mapped", None) or each).is_loopback} == set()
    rays = set(family(process.pid))
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "kubev6: stopped; running it again goes on from here"
    assert "Traceback" not in err
    assert time.monotonic() - began < SECONDS_TO_STOP
    eventually(lambda: not any(Path(f"/proc/{each}").exists() for each in rays), SECONDS_TO_STOP)
    assert not (Path.home() / ".ray").exists(), "its key is of the run alone"
