"""Objects of Kubernetes that a test makes, and has to find again as they were."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Kubectl = Callable[..., str]
"""Runs kubectl with some words, and gives what it prints."""
NAMESPACE = "kubev6-kept"
KINDS = (
    "namespaces,configmaps,secrets,serviceaccounts,services,deployments,replicasets,daemonsets,nodes,"
    "clusterroles,clusterrolebindings,roles,rolebindings,persistentvolumes,apiservices"
)
MADE_ANEW = ("lease", "bootstrap-token", "kube-root-ca.crt", "kube-public/cluster-info")
"""What a cluster makes and takes away by itself, and what it signs anew with each bootstrap token."""
Objects = dict[str, str]


def new_key(directory: Path) -> Path:
    """A key of ssh's, and beside it the public one."""
    path = directory / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def make(kubectl: Kubectl) -> None:
    """A namespace with a ConfigMap, a Secret, a Service and a Deployment, and a label on a node."""
    image = kubectl(
        *("-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns"),
        *("-o", "jsonpath={.items[0].spec.containers[0].image}"),
    )
    kubectl("create", "namespace", NAMESPACE)
    here = ("-n", NAMESPACE)
    kubectl(*here, "create", "configmap", "kept", "--from-literal=key=value")
    kubectl(*here, "create", "secret", "generic", "kept", "--from-literal=password=kept-secret")
    kubectl(*here, "create", "deployment", "kept", f"--image={image}")
    kubectl(*here, "expose", "deployment", "kept", "--port=80")
    kubectl(*here, "rollout", "status", "deployment/kept", "--timeout=120s")
    kubectl("label", "nodes", "--all", "kubev6-test=kept")


def remove(kubectl: Kubectl) -> None:
    """What :func:`make` has made."""
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    kubectl("label", "nodes", "--all", "kubev6-test-")


def seen(kubectl: Kubectl) -> Objects:
    """What each object is, by its kind and name: its uid, and what a person has said of it."""
    listed = json.loads(kubectl("get", KINDS, "-A", "-o", "json"))["items"]
    found = {}
    for each in listed:
        about = each["metadata"]
        name = f"{each['kind']} {about.get('namespace', '')}/{about['name']}"
        if any(part in name for part in MADE_ANEW):
            continue
        said = [about["uid"], about.get("labels"), each.get("data")]
        said += [] if each["kind"] == "Node" else [each.get("spec"), each.get("rules"), each.get("subjects")]
        found[name] = json.dumps(said, sort_keys=True)
    return found


def lost(before: Objects, after: Objects) -> list[str]:
    """The objects that are not there, or not as they were."""
    return [name for name, said in before.items() if after.get(name) != said]
