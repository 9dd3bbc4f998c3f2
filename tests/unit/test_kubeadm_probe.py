"""What a node says of the cluster that it is a member of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.ssh.program import program

WANTED = "https://[fd00::100]:6443"


def asked(tmp_path: Path, known: str, *, control_plane: bool) -> dict[str, object]:
    """What a node answers whose API server knows some objects."""
    (tmp_path / "kubelet.conf").write_text(f"server: {WANTED}\n")
    (tmp_path / "admin.conf").write_text(f"server: {WANTED}\n")
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "kube-apiserver.yaml").write_text("image: [fd00::64]:5000/kube-apiserver:v1.20.2\n")
    (tmp_path / "manifests" / "etcd.yaml").write_text("image: [fd00::64]:5000/etcd:3.4.23\n")
    for name, script in (("kubectl", f'echo "$*" >>{tmp_path}/said\nprintf "{known}"'), ("systemctl", "exit 3")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    payload = {"node": "kube-control-plane", "control_plane": control_plane, "wanted": WANTED}
    text = f"PAYLOAD = {payload!r}\n" + program("kubeadm_probe").replace("/etc/kubernetes", str(tmp_path))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    answer = subprocess.run(
        [sys.executable, "-IS", "-"], input=text, capture_output=True, text=True, timeout=20, env=environment
    )
    found: dict[str, object] = json.loads(answer.stdout)
    return found


@pytest.mark.parametrize(
    ("control_plane", "known", "member"),
    [
        (True, "node/kube-control-plane\\ndaemonset.apps/kube-proxy\\n", True),
        (True, "node/kube-control-plane\\n", False),
        (True, "daemonset.apps/kube-proxy\\n", False),
        (False, "node/kube-control-plane\\n", True),
        (False, "", False),
    ],
)
def test_a_member_is_one_that_the_api_server_knows(
    tmp_path: Path, control_plane: bool, known: str, member: bool
) -> None:
    assert asked(tmp_path, known, control_plane=control_plane)["member"] == member
    said = (tmp_path / "said").read_text().splitlines()
    assert all(line.endswith("--ignore-not-found -o name") for line in said)
    assert ("daemonset/kube-proxy" in said[0]) == control_plane


def test_a_member_of_another_cluster_says_so_without_waiting_for_that(tmp_path: Path) -> None:
    (tmp_path / "kubelet.conf").write_text("server: https://[fd00:9::1]:6443\n")
    asked = {"node": "kube-worker-1", "control_plane": False, "wanted": "https://[fd00::100]:6443"}
    text = f"PAYLOAD = {asked!r}\n" + program("kubeadm_probe").replace("/etc/kubernetes", str(tmp_path))
    answer = subprocess.run([sys.executable, "-IS", "-"], input=text, capture_output=True, text=True, timeout=20)
    assert json.loads(answer.stdout) == {"server": "https://[fd00:9::1]:6443", "member": False}
