"""A whole cluster on machines whose interfaces another tool than networkd configures: deploy, restart, reset, restart.

Only with ``make test-networking``, as each tool takes minutes. The network stage of each is run for real in
tests/integration/test_networking.py every time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from configs.schema.cluster import LabNetworking
from configs.schema.loading import CONFIGS, load_cluster
from tasks.docker import container_engine
from tasks.lab import lab
from tasks.lab import record as lab_record
from tasks.ssh.connection import connect
from tests.checkout import REPO

NAME = "kubev6-networking-test"
TOOLS = [tool for tool in get_args(LabNetworking) if tool != "networkd"]  # which every other lab has
CHOSEN = os.environ.get("KUBEV6_TEST_NETWORKING", "").split()
BUILD_MINUTES = 60
"""A brand-new machine compiles Kubernetes first."""


def kubev6(*arguments: str, minutes: float = 10) -> str:
    """Run the command line as a person would; returns what it prints."""
    command = [sys.executable, "-m", "kubev6", *arguments]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=minutes * 60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(params=TOOLS)
def cluster(request: pytest.FixtureRequest, tmp_path: Path, own_history: None) -> Iterator[Path]:  # noqa: ARG001
    """The file of a lab whose machines have a tool."""
    if request.param not in CHOSEN:
        pytest.skip(f"{request.param} takes minutes: `make test-networking` has every tool")
    file = tmp_path / "lab.yaml"
    shipped = (CONFIGS / "clusters" / "lab.yaml").read_text()
    for before, after in (
        ("name: lab\n", f"name: {NAME}\n"),
        ("lab: {}\n", f"lab: {{networking: {request.param}}}\n"),
        ("workers: 2", "workers: 1"),
    ):
        assert before in shipped
        shipped = shipped.replace(before, after)
    file.write_text(shipped)
    lab.down(NAME)
    try:
        yield file
    finally:
        lab.down(NAME)


def restart_all(file: Path) -> None:
    """Start every machine again, as after a power cut."""
    for machine in container_engine.client().containers.list(filters={"label": f"{lab_record.LAB_LABEL}={NAME}"}):
        machine.restart(timeout=10)
    lab.up(load_cluster(file))


def on(node: str, script: str) -> str:
    """What a script says on a machine."""
    with connect(lab.endpoints(NAME)[node]) as ssh:
        return ssh.run(script, step="test", check=False).stdout.strip()


def test_a_cluster_survives_restarts_and_a_reset_leaves_the_machines_their_network(cluster: Path) -> None:
    file = str(cluster)
    lab.up(load_cluster(cluster))
    nodes = [node.name for node in load_cluster(cluster).nodes]
    before = {node: on(node, "find /etc/netplan /etc/network /etc/NetworkManager -type f | sort") for node in nodes}
    kubev6("deploy", "--cluster", file, minutes=BUILD_MINUTES)
    assert all("kubev6" in on(node, "ls /etc/netplan /etc/network/* /etc/NetworkManager/*") for node in nodes)

    restart_all(cluster)
    kubev6("verify", "--cluster", file)
    assert "0 changes in all" in kubev6("deploy", "--cluster", file, "--plan")

    kubev6("reset", "--cluster", file, "--yes")
    restart_all(cluster)
    for node in nodes:
        assert on(node, "find /etc/netplan /etc/network /etc/NetworkManager -type f | sort") == before[node]
        assert on(node, "ip -4 route show default").startswith("default via")
        assert "fd00:" not in on(node, "ip -6 addr; ip -6 route")
        assert on(node, "systemctl --failed --plain --no-legend") == ""
