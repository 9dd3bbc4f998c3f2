"""Docker as the nodes' container runtime, in the smallest lab that there is: a control plane and one worker."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.schema.loading import CONFIGS
from tasks.lab import lab
from tests.checkout import REPO

NAME = "kubev6-docker-test"
WORKER = "kube-worker-1"
BUILD_MINUTES = 60
"""A brand-new machine compiles Kubernetes first."""


def kubev6(*arguments: str, minutes: float = 10) -> subprocess.CompletedProcess[str]:
    """Run the command line as a person would, and keep what it prints."""
    command = [sys.executable, "-m", "kubev6", *arguments]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=minutes * 60, check=False)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, own_history: None) -> Iterator[Path]:  # noqa: ARG001
    """The file of a lab that has been deployed with Docker, and proved."""
    file = tmp_path_factory.mktemp("docker") / "lab.yaml"
    shipped = (CONFIGS / "clusters" / "lab.yaml").read_text()
    for before, after in (("name: lab\n", f"name: {NAME}\nruntime: docker\n"), ("workers: 2", "workers: 1")):
        assert before in shipped
        shipped = shipped.replace(before, after)
    file.write_text(shipped)
    lab.down(NAME)
    try:
        done = kubev6("deploy", "--cluster", str(file), minutes=BUILD_MINUTES)
        assert done.returncode == 0, done.stdout + done.stderr
        yield file
    finally:
        lab.down(NAME)


def on(cluster: Path, node: str, *command: str) -> str:
    done = kubev6("ssh", "--cluster", str(cluster), node, "--", *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_a_cluster_on_docker_is_proved_and_every_node_says_what_runs_its_containers(cluster: Path) -> None:
    done = kubev6("kubectl", "--cluster", str(cluster), "--", "get", "nodes", "-o", "json")
    assert done.returncode == 0, done.stderr
    nodes = json.loads(done.stdout)["items"]
    runtimes = [node["status"]["nodeInfo"]["containerRuntimeVersion"] for node in nodes]
    assert len(runtimes) == 2
    assert all(runtime.startswith("docker://") for runtime in runtimes), runtimes


def test_docker_leaves_forwarding_as_it_was_and_runs_its_images_by_the_labs_own_runtime(cluster: Path) -> None:
    for command in ("iptables", "ip6tables"):
        assert "-P FORWARD ACCEPT" in on(cluster, WORKER, command, "-S", "FORWARD")
    assert on(cluster, WORKER, "docker", "info", "--format", "{{.DefaultRuntime}} {{.Driver}}") == "lab overlay2"


def test_a_file_that_would_give_pods_another_network_is_moved_away_and_kept(cluster: Path) -> None:
    on(cluster, WORKER, "touch", "/etc/cni/net.d/05-other.conf")
    again = kubev6("deploy", "--cluster", str(cluster), "--prebuilt")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "\n1 change.\n" in again.stdout
    assert on(cluster, WORKER, "ls", "/etc/cni/net.d") == "10-bridge-v6.conf"
    assert on(cluster, WORKER, "ls", "/var/lib/kubev6/backup/etc/cni/net.d") == "05-other.conf"
