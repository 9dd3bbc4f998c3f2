"""A real Docker engine of the test's own, killed and started again beside the machine's, and what it refuses."""

from __future__ import annotations

import io
import os
import select
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from configs.errors import KubeV6Error
from tasks.docker import container_engine, toolchain
from tasks.docker.build import labels
from tasks.docker.container_engine import EnginePaths
from tasks.docker.toolchain import Containers
from tasks.lab import lab
from tasks.lab import network as lab_network
from tests.fakes import substitute
from tests.waiting import eventually

ONE_SUBNET = ("--default-address-pool=base=10.210.0.0/24,size=24",)


def root_of(program: str) -> Any:
    """The smallest file system, as a tar archive, in which a program of this machine runs."""
    path = shutil.which(program)
    assert path is not None
    listed = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
    libraries = [word for word in listed.split() if word.startswith("/")]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        for file in [path, *libraries]:
            name = f"bin/{program}" if file == path else file.lstrip("/")
            tar.add(file, arcname=name)
    return archive.getvalue()


@dataclass(frozen=True)
class OwnEngine:
    """An engine that shares nothing with the machine's."""

    root: Path
    paths: EnginePaths
    command: list[str]

    def start(self, *words: str) -> None:
        container_engine.start_process(self.paths, [*self.command, *words])

    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=f"unix://{self.paths.socket}", timeout=30)

    def pids(self) -> list[int]:
        return [int(file.read_text()) for file, _program in self.paths.pid_files if file.exists()]

    def kill(self) -> None:
        """End it and its containerd without a chance to tidy up, and wait until they are gone."""
        for pid in self.pids():
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            container_engine._as_root(["kill", "-KILL", str(pid)])
            select.select([handle], [], [], 20)
            os.close(handle)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnEngine]:
    # A socket's path must be short.
    root = Path(tempfile.mkdtemp(prefix="k6-"))
    monkeypatch.setenv("KUBEV6_DATA", str(root / "data"))
    containerd = root / "exec" / "containerd" / "containerd.pid"
    paths = EnginePaths(root / "s", ((root / "pid", "dockerd"), (containerd, "containerd")))
    # In namespaces of its own: an engine that is told to have no bridge removes the machine's.
    command = ["unshare", "--net", "--mount", "dockerd", "--bridge=none", "--iptables=false"]
    command += [f"--host=unix://{paths.socket}", f"--pidfile={root / 'pid'}"]
    command += [f"--data-root={root / 'lib'}", f"--exec-root={root / 'exec'}"]
    own = OwnEngine(root, paths, command)
    try:
        yield own
    finally:
        own.kill()
        container_engine._as_root(["rm", "-rf", str(root)])


def test_a_killed_engine_is_started_again_over_what_it_left(engine: OwnEngine) -> None:
    engine.start()
    assert engine.client().ping()
    engine.kill()
    # Its number has meanwhile been given to another process, here this very one.
    for file, _program in engine.paths.pid_files:
        file.write_text(str(os.getpid()))
    engine.start()
    assert engine.client().ping()
    assert os.getpid() not in engine.pids()


def test_a_container_of_a_killed_engine_can_be_started_again(engine: OwnEngine) -> None:
    engine.start()
    client = engine.client()
    client.api.import_image_from_data(root_of("sleep"), repository="sleep", tag="1")
    made = client.containers.run("sleep:1", ["/bin/sleep", "600"], detach=True, network_mode="none", name="sleeper")
    made.reload()
    assert made.status == "running"
    engine.kill()
    engine.start()
    found = engine.client().containers.get("sleeper")
    found.start()
    found.reload()
    assert found.status == "running"
    found.remove(force=True)


def test_a_command_whose_engine_is_killed_is_one_line(
    engine: OwnEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine.start()
    client = engine.client()
    client.api.import_image_from_data(root_of("sleep"), repository="sleep", tag="1")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{engine.paths.socket}")

    def kill_when_it_runs() -> None:
        eventually(lambda: bool(client.containers.list()))
        engine.kill()

    with ThreadPoolExecutor(1) as beside:
        killing = beside.submit(kill_when_it_runs)
        with pytest.raises(KubeV6Error, match="test: its container went away"):
            toolchain.run("sleep:1", ["/bin/sleep", "600"], name="test", deadline=600)
        killing.result()
    assert "could not be removed" in caplog.text
    with pytest.raises(KubeV6Error):
        toolchain.run("sleep:1", ["/bin/sleep", "600"], name="test", deadline=600)
    containers = Containers()
    with containers.having("one"):
        containers.stop()
    engine.start()
    for left_behind in client.containers.list(all=True):
        left_behind.remove(force=True)


def test_a_lab_gets_a_subnet_also_after_a_run_that_was_killed_while_it_looked_for_one(engine: OwnEngine) -> None:
    engine.start(*ONE_SUBNET)
    client = engine.client()
    client.networks.create(f"{lab_network.management_name('one')}-proposal", check_duplicate=True)
    made = lab_network.ensure_management(client, "one")
    assert str(lab_network.subnet(made)) == "10.210.0.0/24"
    assert [network.name for network in client.networks.list(filters={"driver": "bridge"})] == [made.name]


def test_no_subnet_left_for_a_lab_is_one_line(engine: OwnEngine) -> None:
    engine.start(*ONE_SUBNET)
    lab_network.ensure_management(engine.client(), "one")
    with pytest.raises(KubeV6Error, match=r"^Docker could not find a subnet for the network kubev6-two-mgmt: ") as told:
        lab_network.ensure_management(engine.client(), "two")
    assert told.value.todo == "see `docker network ls`: perhaps all its subnets are in use"


def test_an_image_of_ours_that_something_uses_is_named_and_the_others_of_this_engine_are_not_ours(
    engine: OwnEngine,
) -> None:
    engine.start()
    client = engine.client()
    (label,) = (f"LABEL {key}={value}" for key, value in labels("0" * 64).items())
    for name, changes in (("kubev6/toolchain", [label]), ("mine", [])):
        client.api.import_image_from_data(root_of("sleep"), repository=name, tag="1", changes=changes)
    made = client.containers.create("kubev6/toolchain:1", ["/bin/sleep", "600"], network_mode="none")
    with pytest.raises(
        KubeV6Error, match=r"^the image kubev6/toolchain:1 cannot be removed: .*container.*; let what us"
    ):
        lab._remove_images(client)
    made.remove()
    lab._remove_images(client)
    assert [image.tags for image in client.images.list()] == [["mine:1"]]


def test_an_engine_that_runs_is_believed(engine: OwnEngine) -> None:
    engine.start()
    assert container_engine.clear_stale_pid_files(engine.paths) == []


def test_an_engine_that_cannot_start_is_one_line_with_its_log_as_the_detail(engine: OwnEngine) -> None:
    with pytest.raises(KubeV6Error, match=r"^dockerd ended with status 1; see .*dockerd.log$") as caught:
        container_engine.start_process(engine.paths, [*engine.command, "--storage-driver=nonesuch"])
    assert "nonesuch" in caught.value.detail


def test_an_engine_placed_elsewhere_is_not_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(KubeV6Error, match="DOCKER_HOST"):
        container_engine.client()


def test_no_docker_is_said_with_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, container_engine, "search_path", lambda: "/nonexistent")
    with pytest.raises(KubeV6Error, match=r"not installed.*docker\.io"):
        container_engine.start()


def test_the_machines_own_engine_answers() -> None:
    assert container_engine.client().ping()
