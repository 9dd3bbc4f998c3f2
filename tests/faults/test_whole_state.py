"""A reset after deploys, one of them killed, leaves machines as they were but for what the documentation names."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from configs.schema.loading import CONFIGS
from tasks.docker import container_engine
from tasks.lab import lab
from tasks.paths import data_dir
from tasks.ssh.connection import connect
from tests.checkout import REPO
from tests.waiting import eventually

NAME = "kubev6-whole-state-test"
PROGRAM = Path(__file__).with_name("machine_state.py").read_bytes()
STAYS = re.compile(
    r"file /(opt/containerd|var/lib/containerd|var/lib/docker-registry/docker)\b"
    r"|file /(run|usr/lib/modules$)|packet filter (\*|:\S+ ACCEPT)"
    r"|setting /proc/sys/net/(netfilter/nf_conntrack_tcp_timeout_|ipv4/conf/all/route_localnet)"
    r"|setting /proc/sys/net/(ipv4/conf/eth1/promote_secondaries|ipv6/conf/eth1/accept_ra)$"
)
"""What docs/own-machines.md says that a reset leaves."""
OF_THE_RUNNING = re.compile(r"setting /proc/sys/(net/netfilter/nf_conntrack_count|\S+/flush)")
"""What changes on a machine that runs."""
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


def states() -> dict[str, dict[str, str]]:
    def of(name: str) -> dict[str, str]:
        with connect(lab.endpoints(NAME)[name]) as ssh:
            found: dict[str, str] = json.loads(
                ssh.run(["python3", "-"], step="state", stdin=PROGRAM, timeout=300).stdout
            )
            return found

    names = list(lab.endpoints(NAME))
    with ThreadPoolExecutor() as pool:
        return dict(zip(names, pool.map(of, names), strict=True))


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
    before = states()
    killed_deploy(file, "kube-worker-1: runtime: started")
    kubev6("deploy", "--prebuilt", "--cluster", str(file))
    kubev6("reset", "--yes", "--cluster", str(file))
    after = states()
    left = {
        name: [
            f"{key}: {before[name].get(key)} -> {after[name].get(key)}"
            for key in sorted(before[name].keys() | after[name].keys())
            if before[name].get(key) != after[name].get(key) and not STAYS.match(key) and not OF_THE_RUNNING.match(key)
        ]
        for name in before
    }
    assert left == {name: [] for name in before}
