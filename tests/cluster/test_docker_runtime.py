"""A working tree on the smallest lab that there is, a control plane and one worker, whose runtime is Docker."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from configs.schema.loading import CONFIGS, load_release
from flows.run import record as run_record
from tasks.lab import lab
from tasks.release import build
from tests.checkout import REPO
from tests.integration.git_project import Project

NAME = "kubev6-docker-test"
WORKER = "kube-worker-1"
BUILD_MINUTES = 60
"""A brand-new machine compiles Kubernetes first."""


def kubev6(*arguments: str, minutes: float = 10) -> subprocess.CompletedProcess[str]:
    """Run the command line as a person would, and keep what it prints."""
    command = [sys.executable, "-m", "kubev6", *arguments]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=minutes * 60, check=False)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, own_history: None) -> Path:  # noqa: ARG001
    """A checkout of Kubernetes, as a person has one, at a path where none was before: the cache knows trees by path."""
    release = load_release("debian-1.20")
    source = build.obtain_source(release, {}, "")
    picked = build.pick_series(release, source, "")
    project = Project(tmp_path_factory.mktemp("src") / uuid.uuid4().hex / "kubernetes")
    project.git("fetch", "--quiet", str(source.repository), picked.commit)
    project.git("checkout", "--quiet", "--detach", picked.commit)
    return project.path


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> Iterator[Path]:
    """The file of a lab that runs that tree with Docker, and is proved."""
    file = tmp_path_factory.mktemp("docker") / "lab.yaml"
    shipped = (CONFIGS / "clusters" / "lab.yaml").read_text()
    for before, after in (("name: lab\n", f"name: {NAME}\nruntime: docker\n"), ("workers: 2", "workers: 1")):
        assert before in shipped
        shipped = shipped.replace(before, after)
    file.write_text(shipped)
    lab.down(NAME)
    try:
        came_to = brought(file, tree)
        assert came_to.of["tree"] == f"{tree}, for the first time"
        assert came_to.of["different"].split(", ")[:2] == ["kubeadm", "kubelet"]
        yield file
    finally:
        lab.down(NAME)


@dataclass(frozen=True)
class CameTo:
    """What a person reads of an edit, by the word that each line begins with; and how many changes were made."""

    of: dict[str, str]
    changes: int


def brought(cluster: Path, tree: Path) -> CameTo:
    """The tree as it stands onto the cluster."""
    done = kubev6("dev", "--source", str(tree), "--cluster", str(cluster), minutes=BUILD_MINUTES)
    assert done.returncode == 0, done.stdout + done.stderr
    _, record = run_record.runs()[0]
    return CameTo(dict(re.findall(r"(?m)^(\w+) +(.*)$", done.stdout)), len(record.changes))


def pods(cluster: Path) -> dict[str, str]:
    """When each container of the control plane was started, by the name of its component."""
    get = ("-n", "kube-system", "get", "pods", "-l", "tier=control-plane", "-o", "json")
    done = kubev6("kubectl", "--cluster", str(cluster), "--", *get)
    assert done.returncode == 0, done.stderr
    return {
        each["name"]: each["state"]["running"]["startedAt"]
        for pod in json.loads(done.stdout)["items"]
        for each in pod["status"]["containerStatuses"]
    }


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


def test_only_what_an_edit_changes_is_compiled_and_replaced_and_what_does_not_compile_changes_nothing(
    cluster: Path, tree: Path
) -> None:
    before = pods(cluster)
    edited = tree / "cmd" / "kube-scheduler" / "edited.go"
    edited.write_text('package main\n\nimport "os"\n\nfunc init() { os.Setenv("EDITED", "yes") }\n')

    came_to = brought(cluster, tree)

    assert came_to.of["tree"] == "changed: cmd/kube-scheduler/edited.go"
    assert came_to.of["different"] == "kube-scheduler"
    assert came_to.of["replaced"] == "kube-scheduler on kube-control-plane"
    assert re.fullmatch(r"(\d+) of \1 checks hold", came_to.of["proof"])
    after = pods(cluster)
    assert [name for name, started in after.items() if before[name] != started] == ["kube-scheduler"]

    edited.write_text("package main\n\nfunc init() { nothing() }\n")
    broken = kubev6("dev", "--source", str(tree), "--cluster", str(cluster))
    assert broken.returncode == 1
    assert "failed: cmd/kube-scheduler/edited.go:3:15: undefined: nothing" in broken.stderr
    assert pods(cluster) == after
    edited.write_text('package main\n\nimport "os"\n\nfunc init() { os.Setenv("EDITED", "yes") }\n')


def test_a_file_that_would_give_pods_another_network_is_moved_away_and_kept(cluster: Path, tree: Path) -> None:
    on(cluster, WORKER, "touch", "/etc/cni/net.d/05-other.conf")
    again = brought(cluster, tree)
    assert (again.of["different"], again.of["replaced"], again.changes) == ("nothing that is compiled", "nothing", 1)
    assert on(cluster, WORKER, "ls", "/etc/cni/net.d") == "10-bridge-v6.conflist"
    assert on(cluster, WORKER, "ls", "/var/lib/kubev6/backup/etc/cni/net.d") == "05-other.conf"
