"""A cluster that comes back from a backup: its control plane lost, the restore cut off, and all of it reset.

Only with ``make test-ha``, as it takes minutes. What `make test` has of it is in ``test_lab_cluster.py``; three control
planes are lost in ``test_control_planes.py``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from configs.errors import KubeV6Error
from configs.schema.loading import CONFIGS
from tasks.docker import container_engine
from tasks.lab import lab
from tasks.lab.machine import container_name
from tasks.ssh.connection import connect
from tests.checkout import REPO
from tests.cluster import objects
from tests.waiting import eventually

NAME = "kubev6-backup-test"
CONTROL_PLANE = "kube-control-plane"
MINUTES = 60
"""A brand-new machine compiles Kubernetes first."""
pytestmark = pytest.mark.skipif(not os.environ.get("KUBEV6_TEST_HA"), reason="takes minutes: `make test-ha` runs it")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, own_history: None) -> Iterator[Path]:  # noqa: ARG001
    """The lab's file; it is up, with some objects in it."""
    path = tmp_path_factory.mktemp("cluster") / "lab.yaml"
    shipped = (CONFIGS / "clusters" / "lab.yaml").read_text()
    path.write_text(shipped.replace("name: lab\n", f"name: {NAME}\n").replace("workers: 2", "workers: 1"))
    lab.down(NAME)
    try:
        kubev6("deploy", "--cluster", str(path), "--prebuilt")
        objects.make(kubectl(path))
        yield path
    finally:
        lab.down(NAME)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return objects.new_key(tmp_path_factory.mktemp("key"))


def kubev6(*arguments: str) -> str:
    """Run the command line as a person would; returns what it prints."""
    command = [sys.executable, "-m", "kubev6", *arguments]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=MINUTES * 60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kubectl(file: Path) -> objects.Kubectl:
    return lambda *words: kubev6("kubectl", "--cluster", str(file), "--", *words)


def lose() -> None:
    """Take the control plane's machine away, with all that it has."""
    container_engine.client().containers.get(container_name(NAME, CONTROL_PLANE)).remove(force=True, v=True)


def restoring_until(file: Path, key: Path, sign: str) -> None:
    """Kill a restore when a script says on the control plane that it is so far."""
    words = ["restore", "--cluster", str(file), "--key", str(key), "--yes"]
    running = subprocess.Popen(
        [sys.executable, "-m", "kubev6", *words],
        cwd=REPO,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def is_so_far() -> bool:
        assert running.poll() is None
        with suppress(KubeV6Error), connect(lab.endpoints(NAME)[CONTROL_PLANE]) as ssh:
            return ssh.run(sign, step="test", check=False).status == 0
        return False  # it has no sshd yet

    try:
        eventually(lambda: container_is_up() and is_so_far(), 300)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def container_is_up() -> bool:
    status = {each.name: each for each in lab.status_all()}[NAME]
    return any(each.name == CONTROL_PLANE and each.state == "running" for each in status.machines)


def test_a_restore_that_is_killed_again_and_again_goes_on_and_brings_every_object_back(file: Path, key: Path) -> None:
    before = objects.seen(kubectl(file))
    made = kubev6("backup", "--cluster", str(file), "--key", f"{key}.pub")
    assert f"objects of {NAME}, as {CONTROL_PLANE} has them, are in\n" in made
    lose()
    restoring_until(file, key, "[ -s /etc/kubernetes/manifests/etcd.yaml ]")
    refused = subprocess.run(
        [sys.executable, "-m", "kubev6", "deploy", "--cluster", str(file), "--prebuilt"],
        cwd=REPO, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert "did not come to its end here; run `kubev6 restore` again" in refused.stderr, refused.stderr
    restoring_until(file, key, "grep -q filled /var/lib/kubev6/restore.json")
    out = kubev6("restore", "--cluster", str(file), "--key", str(key), "--yes")
    assert "checks" in out or "proof" in out
    assert objects.lost(before, objects.seen(kubectl(file))) == []
    assert "\n0 changes.\n" in kubev6("deploy", "--cluster", str(file), "--prebuilt")


def test_all_machines_are_reset_and_every_object_comes_back(file: Path, key: Path) -> None:
    before = objects.seen(kubectl(file))
    kubev6("backup", "--cluster", str(file), "--key", f"{key}.pub", "--keep", "1")
    kubev6("reset", "--cluster", str(file), "--yes")
    with connect(lab.endpoints(NAME)[CONTROL_PLANE]) as ssh:
        assert ssh.run("ls /var/lib/kubev6 2>&1", step="test", check=False).status != 0
    kubev6("restore", "--cluster", str(file), "--key", str(key), "--yes")
    assert objects.lost(before, objects.seen(kubectl(file))) == []
