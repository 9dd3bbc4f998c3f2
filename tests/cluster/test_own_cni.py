"""A cluster whose pods a CNI of its own connects: deployed, again, and reset; then with one that is applied by hand.

Only with ``make test-networking``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.plan.stages.runtime import BRIDGE
from configs.schema.loading import CONFIGS, load_cluster
from tasks.docker import container_engine
from tasks.kubernetes import cni
from tasks.lab import lab
from tasks.release.fetch.fetch_image import held_image
from tasks.release.store import Store
from tasks.ssh.connection import connect
from tests.checkout import REPO

NAME = "kubev6-own-cni-test"
MANIFESTS = Path(__file__).parent / "cni"
IMAGE = "example.org/cni/routes:1.0"
"""What these name; a Debian with Python is what they want of it."""
WORKER = "kube-worker-1"


def kubev6(*arguments: str, status: int = 0, stdin: str = "") -> str:
    """Run the command line as a person would; returns what it prints."""
    command = [sys.executable, "-m", "kubev6", *arguments]
    done = subprocess.run(command, cwd=REPO, input=stdin, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def on(node: str, script: str) -> str:
    """What a script says on a machine."""
    with connect(lab.endpoints(NAME)[node]) as ssh:
        return ssh.run(script, step="test", check=False).stdout.strip()


@pytest.fixture
def cluster(tmp_path: Path, own_history: None) -> Iterator[Path]:  # noqa: ARG001
    """The file of a lab with manifests; its machines have come up, and the image is in the store."""
    if not os.environ.get("KUBEV6_TEST_NETWORKING"):
        pytest.skip("takes minutes: `make test-networking` has it")
    file, archive = tmp_path / "lab.yaml", tmp_path / "image.tar"
    shipped = (CONFIGS / "clusters" / "lab.yaml").read_text()
    for before, after in (("name: lab\n", f"name: {NAME}\n"), ("workers: 2", "workers: 1")):
        assert before in shipped
        shipped = shipped.replace(before, after)
    file.write_text(f"{shipped}\ncni: {{by: manifests, manifests: [{MANIFESTS}]}}\n")
    lab.down(NAME)
    try:
        lab.up(load_cluster(file))
        machine = container_engine.client().containers.get(f"kubev6-{NAME}_outside").image
        assert machine
        with archive.open("wb") as saved:
            saved.writelines(machine.save())
        kubev6("images", "import", str(archive), "--as", IMAGE)
        yield file
    finally:
        lab.down(NAME)


def test_pods_are_connected_by_what_the_manifests_install_and_nothing_of_it_is_left(cluster: Path) -> None:
    before = on(WORKER, "ls -A /etc/cni/net.d /opt/cni/bin 2>&1; find /etc/tmpfiles.d -type f")
    said = kubev6("deploy", "--cluster", str(cluster), "--prebuilt")
    assert "proof failed" not in said
    assert BRIDGE not in on(WORKER, "ls /etc/cni/net.d")
    subnets = kubev6(
        *("kubectl", "--cluster", str(cluster), "--", "get", "nodes"),
        *("-o", "jsonpath={range .items[*]}{.metadata.name}={.spec.podCIDR} {end}"),
    )
    assert subnets.split() == [f"{node.name}={node.pod_subnet}" for node in load_cluster(cluster).kubernetes_nodes]
    assert "0 changes." in kubev6("deploy", "--cluster", str(cluster), "--prebuilt")

    bridged = cluster.with_name("bridged.yaml")
    bridged.write_text(cluster.read_text().replace("by: manifests, manifests:", "by: bridge} # "))
    assert f"{WORKER}: preflight: its pods are connected by another CNI" in kubev6(
        "deploy", "--cluster", str(bridged), "--prebuilt", status=1
    )

    kubev6("reset", "--cluster", str(cluster), "--yes")
    assert on(WORKER, "ls -A /etc/cni/net.d /opt/cni/bin 2>&1; find /etc/tmpfiles.d -type f") == before

    by_hand = cluster.with_name("by-hand.yaml")
    by_hand.write_text(cluster.read_text().replace("by: manifests, manifests:", "by: none} # "))
    assert f"{WORKER}: CNI: waits for a CNI" in kubev6("deploy", "--cluster", str(by_hand), "--prebuilt")
    assert "2 checks, 2 failed" in kubev6("verify", "--cluster", str(by_hand), status=1)
    text, image = cni.manifests(load_cluster(cluster)), held_image(IMAGE, Store())
    assert image
    text = cni.with_images(text, cni.references(load_cluster(cluster), {IMAGE: image}))  # which the registry has by now
    kubev6("kubectl", "--cluster", str(by_hand), "--", "apply", "-f", "-", stdin=text)
    wait = ("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s")
    kubev6("kubectl", "--cluster", str(by_hand), "--", *wait)
    assert " 0 failed" in kubev6("verify", "--cluster", str(by_hand))
