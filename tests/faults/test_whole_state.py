"""A reset after deploys, one of them killed, leaves machines as they were but for what the documentation names."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.schema.loading import CONFIGS
from tasks.docker import container_engine
from tasks.lab import lab
from tasks.paths import data_dir
from tests.checkout import REPO
from tests.faults.facts import written_down
from tests.faults.scenarios import WHOLE_STATE
from tests.faults.whole_state import left, states
from tests.waiting import eventually

NAME = "kubev6-whole-state-test"
DEPLOY_MINUTES = 30


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A lab of two nodes and the support node."""
    for shared in ("blobs", "releases"):
        (tmp_path / shared).symlink_to((data_dir() / shared).resolve())
    monkeypatch.setenv("KUBEV6_DATA", str(tmp_path))
    path = tmp_path / "lab.yaml"
    shipped = (CONFIGS / "clusters" / "lab.yaml").read_text()
    path.write_text(re.sub("(?m)^workers: 2", "workers: 1", shipped.replace("name: lab\n", f"name: {NAME}\n")))
    lab.down(NAME)
    yield path
    lab.down(NAME)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "kubev6", *words]


def kubev6(*words: str) -> None:
    done = subprocess.run(command(*words), cwd=REPO, capture_output=True, text=True, timeout=DEPLOY_MINUTES * 60)
    assert done.returncode == 0, done.stdout + done.stderr


def killed_deploy(file: Path, at: str) -> None:
    """A deploy that dies with all of its agents when its log says this."""
    deploy = subprocess.Popen(command("deploy", "--prebuilt", "--cluster", str(file)), cwd=REPO, start_new_session=True)
    logs = data_dir() / "logs"
    eventually(lambda: any(at in log.read_text() for log in logs.glob("*-deploy.log")), DEPLOY_MINUTES * 60)
    os.killpg(deploy.pid, signal.SIGKILL)
    deploy.wait()
    for container in container_engine.client().containers.list(filters={"name": NAME}):
        container.exec_run(["pkill", "-KILL", "-f", "python3 -IS"])


def test_a_reset_leaves_what_the_documentation_names_and_nothing_else(file: Path) -> None:
    kubev6("lab", "up", "--cluster", str(file))
    eventually(lambda: not any(" tentative " in key for state in states(NAME).values() for key in state))
    before = states(NAME)
    killed_deploy(file, "kube-worker-1: runtime: started")
    kubev6("deploy", "--prebuilt", "--cluster", str(file))
    kubev6("reset", "--yes", "--cluster", str(file))
    differences = left(before, states(NAME))
    with written_down(WHOLE_STATE) as fact:
        found = "; ".join(differences) or "none"
        fact["said"] = f"{sum(map(len, before.values()))} files, settings, units and so on; different: {found}"
        assert not differences
