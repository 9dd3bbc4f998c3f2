"""What a node says of the cluster that it is a member of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tasks.ssh.program import program


def test_a_member_of_another_cluster_says_so_without_waiting_for_that(tmp_path: Path) -> None:
    (tmp_path / "kubelet.conf").write_text("server: https://[fd00:9::1]:6443\n")
    asked = {"node": "kube-worker-1", "control_plane": False, "wanted": "https://[fd00::100]:6443"}
    text = f"PAYLOAD = {asked!r}\n" + program("kubeadm_probe").replace("/etc/kubernetes", str(tmp_path))
    answer = subprocess.run([sys.executable, "-IS", "-"], input=text, capture_output=True, text=True, timeout=20)
    assert json.loads(answer.stdout) == {"server": "https://[fd00:9::1]:6443", "tag": "", "member": False}
