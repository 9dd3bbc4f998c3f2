"""Runs on a node: says which cluster, if any, this node is a member of.

One that is just becoming a member, by a kubeadm of an earlier run whose controller has gone away, is waited for.
"""

import json
import re
import subprocess
import time
from typing import Any, Dict, List

from tasks.node_agent.commands import said, text
from tasks.node_agent.files import text_of
from tasks.node_agent.kubeadm_lock import await_other_kubeadm
from tasks.node_agent.record import HOME

ETCD = "/etc/kubernetes/manifests/etcd.yaml"
APISERVER = "/etc/kubernetes/manifests/kube-apiserver.yaml"
START_SECONDS = 60
"""How long an API server that belongs here is waited for, when the kubelet runs that starts it."""


def found(pattern: str, content: str) -> str:
    """What the group of a pattern matches first; empty when it matches nowhere."""
    match = re.search(pattern, content)
    return match.group(1) if match else ""


def known(kubeconfig: str, objects: List[str]) -> List[str]:
    """The names of those objects that the API server knows; none when it does not answer."""
    command = [
        "env",
        "HOME=" + HOME,
        "kubectl",
        "--kubeconfig",
        kubeconfig,
        "--request-timeout=5s",
        "-n",
        "kube-system",
        "get",
    ]
    try:
        names = subprocess.run(
            command + objects + ["--ignore-not-found", "-o", "name"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=15,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [name.split("/")[-1] for name in text(names).split()]


def is_member(kubeconfig: str, node: str, control_plane: bool) -> bool:
    """True once the API server knows the node; a server that is still starting is waited for."""
    kubelet_runs = said(["systemctl", "is-active", "kubelet"]).strip() == "active"
    deadline = time.monotonic() + (START_SECONDS if kubelet_runs else 0)
    # kube-proxy is the last thing that kubeadm init sets up: without it, init died on the way.
    wanted = ["node/" + node] + ["daemonset/kube-proxy"] * control_plane
    while True:
        there = known(kubeconfig, wanted)
        if node in there:
            return len(there) == len(wanted)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)


def probe(node: str, control_plane: bool, wanted: str) -> Dict[str, Any]:
    """Which cluster this node belongs to.

    Args:
        node: Its name there.
        control_plane: Whether it is to be a control plane.
        wanted: The address of the cluster's API server, as a kubeconfig has it.

    Returns:
        ``server``: that of the cluster it belongs to, empty for none. ``member``: whether the wanted cluster knows it,
        and all that kubeadm sets up with it is there.
    """
    await_other_kubeadm()
    kubeconfig = "/etc/kubernetes/admin.conf" if control_plane else "/etc/kubernetes/kubelet.conf"
    server = found(r"server: (\S+)", text_of(kubeconfig))
    # A member of another cluster is none of this one, however long its API server is waited for.
    # Of one that joins as a control plane, etcd is the last that is written; of the first, before its API answers.
    begun = server == wanted and (bool(text_of(APISERVER) and text_of(ETCD)) or not control_plane)
    return {
        "server": server,
        "member": begun and is_member(kubeconfig, node, control_plane),
    }


if "PAYLOAD" in globals():
    print(json.dumps(probe(**PAYLOAD)))  # type: ignore[name-defined]
