"""Runs on a node: says which cluster, if any, this node is a member of.

Sent as text to the node's own Python, so it needs nothing but the standard library. ``PAYLOAD`` is bound by the sender.
"""

import json
import re
import subprocess
import time

CA = "/etc/kubernetes/pki/ca.crt"
APISERVER = "/etc/kubernetes/manifests/kube-apiserver.yaml"


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def kubectl(kubeconfig, *arguments):
    command = ["kubectl", "--kubeconfig", kubeconfig, "--request-timeout=5s"] + list(arguments)
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=15)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def is_member(kubeconfig, node, control_plane, patience):
    """True once the API server knows the node; a server that is still starting is waited for."""
    deadline = time.monotonic() + patience
    while True:
        if kubectl(kubeconfig, "get", "node", node):
            # kube-proxy is the last thing that kubeadm init sets up: without it, init died on the way.
            return not control_plane or kubectl(kubeconfig, "-n", "kube-system", "get", "daemonset", "kube-proxy")
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)


def probe(node, control_plane):
    manifest = read(APISERVER)
    kubeconfig = "/etc/kubernetes/admin.conf" if control_plane else "/etc/kubernetes/kubelet.conf"
    config = read(kubeconfig)
    server = re.search(r"server: (\S+)", config)
    image = re.search(r"image: \S+:(\S+)", manifest)
    began = bool(config and (manifest or not control_plane))
    patience = 0
    if began:
        active = subprocess.run(["systemctl", "is-active", "--quiet", "kubelet"]).returncode == 0
        patience = 60 if active else 0
    return {
        "server": server.group(1) if server else "",
        "tag": image.group(1) if image else "",
        "ca": read(CA),
        "member": began and is_member(kubeconfig, node, control_plane, patience),
    }


print(json.dumps(probe(**PAYLOAD)))
