"""Releases that are built from complete trees, each on a lab: deploy, deploy again, reset, deploy.

Those whose kube-proxy knows nftables come up by that too, with Debian 13 and containerd 2.

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

from configs.plan.versions import kube_proxy_modes
from configs.schema.loading import CONFIGS
from tasks.docker import container_engine
from tasks.lab import lab
from tasks.lab import record as lab_record
from tests.checkout import REPO

NAME = "kubev6-releases-test"
FORKS = ("v1.9.0-alpha.0.ipv6.0", "v1.9.0-alpha.1.ipv6.1b")
"""Those of the how-to's author."""
PLACE = os.environ.get("KUBEV6_TREES", "")
FOUND = sorted(each for each in Path(PLACE).iterdir() if each.is_dir()) if PLACE and Path(PLACE).is_dir() else []
TREES: list[Path | None] = [*FOUND] or [None]
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


@pytest.fixture(params=TREES, ids=lambda tree: tree.name if tree else "none")
def case(request: pytest.FixtureRequest, tmp_path: Path, own_history: None) -> Iterator[Case]:  # noqa: ARG001
    """One of the trees as a release, and a lab for it."""
    if not request.param:
        pytest.skip(f"KUBEV6_TREES is {PLACE!r}: no directory with trees of releases")
    tree = request.param.resolve()
    release = tmp_path / f"{request.param.name}.yaml"
    sources: tuple[str, ...] = ("--source", f"upstream={tree}")
    if request.param.name in FORKS:
        content = yaml.safe_load((CONFIGS / "releases" / f"{request.param.name}.yaml").read_text())
        content["build"] = {"series": request.param.name}
        sources += ("--source", f"leblancd={tree}")
        shipped = (CONFIGS / "clusters" / "kube-v6-lab.yaml").read_text()
    else:
        version = request.param.name.removeprefix("v")
        kubev6("releases", "new", version, "--from", str(tree), "--to", str(tmp_path))
        content = yaml.safe_load(release.read_text())
        shipped = (CONFIGS / "clusters" / "lab.yaml").read_text()
    # The user's store keeps it, where it must not stand for what is published under that name.
    content["name"] = f"tree-of-{request.param.name}"
    # What is published is not asked for: the tree makes etcd, and the lab's Debian has CNI plugins.
    release.write_text(yaml.safe_dump({key: value for key, value in content.items() if key not in ("fetch", "cni")}))
    cluster = tmp_path / "lab.yaml"
    changed, count = re.subn(r"(?m)^name: .*$", f"name: {NAME}", shipped)
    changed, released = re.subn(r"(?m)^release: .*$", f"release: {release}", changed)
    assert (count, released) == (1, 1)
    cluster.write_text(changed)
    newest = None
    if "nftables" in kube_proxy_modes(content["kubernetes"]):
        newest = tmp_path / "newest.yaml"
        settings = 'lab: {debian: trixie, containerd: "2"}\nkube_proxy: {mode: nftables}'
        newest.write_text(changed.replace("lab: {}", settings))
        assert settings in newest.read_text()
    lab.down(NAME)
    try:
        yield Case(release, cluster, newest, sources)
    finally:
        lab.down(NAME)


def memory() -> str:
    """What each machine of the lab uses, in MB."""
    machines = container_engine.client().containers.list(filters={"label": f"{lab_record.LAB_LABEL}={NAME}"})
    used: dict[str, Any] = {str(each.name).partition(".")[2]: each.stats(stream=False) for each in machines}
    sizes = {name: each["memory_stats"].get("usage", 0) >> 20 for name, each in sorted(used.items()) if name}
    return ", ".join(f"{name} {size} MB" for name, size in sizes.items())


def test_a_release_from_its_own_tree_comes_up_is_left_alone_and_comes_up_again(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
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
