"""Releases that are built from complete trees, each on a lab: deploy, deploy again, reset, deploy.

Those whose kube-proxy knows nftables come up by that too, with Debian 13 and containerd 2. A cluster of each goes to
the next minor version in place, where there is a tree of that too.

Only with ``make releases``, as each takes from five minutes to half an hour. ``KUBEV6_TREES`` names a directory with a
repository for each release, called after the release: ``v1.34.2`` has Kubernetes' tag of that name, and the fork's
releases (:data:`FORKS`) are clones of it. Nothing is downloaded but Debian's packages.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.plan.versions import is_next_minor, kube_proxy_modes, kubeadm_upgrades
from configs.schema.loading import CONFIGS
from tasks.docker import container_engine
from tasks.lab import lab
from tasks.lab import record as lab_record
from tests.checkout import REPO

NAME = "kubev6-releases-test"
PAUSE = "kube-support:5000/pause"
"""A program that waits, which every cluster's registry has."""
WORKERS = 2
FORKS = ("v1.9.0-alpha.0.ipv6.0", "v1.9.0-alpha.1.ipv6.1b")
"""Those of the how-to's author."""
PLACE = os.environ.get("KUBEV6_TREES", "")
FOUND = sorted(each for each in Path(PLACE).iterdir() if each.is_dir()) if PLACE and Path(PLACE).is_dir() else []
TREES: list[Path | None] = [*FOUND] or [None]
NEXT: list[tuple[Path, Path] | None] = [
    (one, other)
    for one in FOUND
    for other in FOUND
    if not {one.name, other.name} & {*FORKS} and is_next_minor(one.name, other.name) and kubeadm_upgrades(other.name)
] or [None]
"""Trees of a minor version and of the next."""
BUILD_MINUTES = 90
"""Two cores compile a Kubernetes of today in eight minutes, and make an image with its Go in three."""


@dataclass(frozen=True)
class Case:
    """A release and the lab that it is to run on.

    Attributes:
        release: Its file.
        cluster: The file of the lab.
        newest: The file of a lab of the newest kind, where the release can run there.
        sources: Options of ``kubev6 build`` that say where its series finds its commits.
    """

    release: Path
    cluster: Path
    newest: Path | None
    sources: tuple[str, ...]


def kubev6(*arguments: str, minutes: float = 10) -> tuple[str, float]:
    """Run the command line as a person would; returns what it prints, and seconds."""
    began = time.monotonic()
    command = [sys.executable, "-m", "kubev6", *arguments]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=minutes * 60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, time.monotonic() - began


def skip_without(found: object) -> None:
    """Skip where no tree was named that is wanted."""
    if not found:
        pytest.skip(
            f"KUBEV6_TREES is {PLACE!r}: no directory with trees of releases, or with two minor versions in turn"
        )


def case_of(tree: Path, directory: Path) -> Case:
    """A tree as a release, and labs for it."""
    tree, name = tree.resolve(), tree.name
    release = directory / f"{name}.yaml"
    sources: tuple[str, ...] = ("--source", f"upstream={tree}")
    if name in FORKS:
        content = yaml.safe_load((CONFIGS / "releases" / f"{name}.yaml").read_text())
        content["build"] = {"series": name}
        sources += ("--source", f"leblancd={tree}")
        shipped = (CONFIGS / "clusters" / "kube-v6-lab.yaml").read_text()
    else:
        kubev6("releases", "new", name.removeprefix("v"), "--from", str(tree), "--to", str(directory))
        content = yaml.safe_load(release.read_text())
        shipped = (CONFIGS / "clusters" / "lab.yaml").read_text()
    # The user's store keeps it, where it must not stand for what is published under that name.
    content["name"] = f"tree-of-{name}"
    # What is published is not asked for: the tree makes etcd, and the lab's Debian has CNI plugins.
    release.write_text(yaml.safe_dump({key: value for key, value in content.items() if key not in ("fetch", "cni")}))
    cluster = directory / f"lab-{name}.yaml"
    changed, count = re.subn(r"(?m)^name: .*$", f"name: {NAME}", shipped)
    changed, released = re.subn(r"(?m)^release: .*$", f"release: {release}", changed)
    assert (count, released) == (1, 1)
    cluster.write_text(changed)
    newest = None
    if "nftables" in kube_proxy_modes(content["kubernetes"]):
        newest = directory / "newest.yaml"
        settings = 'lab: {debian: trixie, containerd: "2"}\nkube_proxy: {mode: nftables}'
        newest.write_text(changed.replace("lab: {}", settings))
        assert settings in newest.read_text()
    return Case(release, cluster, newest, sources)


@pytest.fixture
def no_lab(own_history: None) -> Iterator[None]:  # noqa: ARG001
    """The lab is gone before and after."""
    lab.down(NAME)
    try:
        yield
    finally:
        lab.down(NAME)


def memory() -> str:
    """What each machine of the lab uses, in MB."""
    machines = container_engine.client().containers.list(filters={"label": f"{lab_record.LAB_LABEL}={NAME}"})
    used: dict[str, Any] = {str(each.name).partition(".")[2]: each.stats(stream=False) for each in machines}
    sizes = {name: each["memory_stats"].get("usage", 0) >> 20 for name, each in sorted(used.items()) if name}
    return ", ".join(f"{name} {size} MB" for name, size in sizes.items())


@pytest.mark.usefixtures("no_lab")
@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.name if tree else "none")
def test_a_release_from_its_own_tree_comes_up_is_left_alone_and_comes_up_again(
    tree: Path | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_without(tree)
    assert tree
    case = case_of(tree, tmp_path)
    cluster = ("--cluster", str(case.cluster))
    built, seconds = kubev6("build", str(case.release), *case.sources, minutes=BUILD_MINUTES)
    told = [f"{built.strip()}: built in {seconds:.0f} s"]

    first, seconds = kubev6("deploy", *cluster, "--prebuilt", minutes=20)
    told.append(f"deployed in {seconds:.0f} s; {memory()}")
    again, seconds = kubev6("deploy", *cluster, "--prebuilt")
    told.append(f"again in {seconds:.0f} s")
    _, seconds = kubev6("reset", *cluster, "--yes")
    told.append(f"reset in {seconds:.0f} s")
    last, seconds = kubev6("deploy", *cluster, "--prebuilt", minutes=20)
    told.append(f"deployed once more in {seconds:.0f} s")

    assert "\n0 changes.\n" in again
    assert all("\n0 changes.\n" not in each for each in (first, last))
    kubev6("verify", *cluster)
    if case.newest:
        lab.down(NAME)
        _, seconds = kubev6("deploy", "--cluster", str(case.newest), "--prebuilt", minutes=20)
        told.append(f"on Debian 13 with containerd 2 and nftables in {seconds:.0f} s; {memory()}")
    with capsys.disabled():
        sys.stdout.write("".join(f"\n  {line}" for line in told) + "\n")


@pytest.mark.usefixtures("no_lab")
@pytest.mark.parametrize("trees", NEXT, ids=lambda trees: f"{trees[0].name}-{trees[1].name}" if trees else "none")
def test_a_cluster_goes_to_the_next_minor_version_in_place_and_is_left_alone_then(
    trees: tuple[Path, Path] | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_without(trees)
    assert trees
    before, after = (case_of(tree, tmp_path) for tree in trees)
    for case in (before, after):
        kubev6("build", str(case.release), *case.sources, minutes=BUILD_MINUTES)
    kubev6("deploy", "--cluster", str(before.cluster), "--prebuilt", minutes=20)
    pods = ("kubectl", "--cluster", str(before.cluster), "--")
    kubev6(*pods, "create", "deployment", "web", f"--image={PAUSE}", "--replicas=2")

    cluster = ("--cluster", str(after.cluster))
    planned, _ = kubev6("deploy", *cluster, "--prebuilt", "--plan")
    assert planned.count("its pods go elsewhere meanwhile") == WORKERS + 1
    _, seconds = kubev6("deploy", *cluster, "--prebuilt", minutes=30)
    again, _ = kubev6("deploy", *cluster, "--prebuilt")
    assert "\n0 changes.\n" in again
    kubev6(*pods, "wait", "--for=condition=Available", "deployment/web", "--timeout=60s")
    kept, _ = kubev6(*pods, "get", "nodes", "-o", "jsonpath={.items[*].spec.unschedulable}")
    assert not kept, "every node takes pods again"
    with capsys.disabled():
        sys.stdout.write(f"\n  from {trees[0].name} to {trees[1].name} in {seconds:.0f} s\n")
