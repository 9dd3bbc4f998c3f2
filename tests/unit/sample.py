"""A release manifest with made-up digests, and the states of all nodes, for tests of what follows from one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configs.manifest import BinaryEntry, ImageEntry, Manifest, SourceEntry
from configs.plan.node import plan_node
from configs.plan.state import NodeState
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster
from configs.schema.release import Release

VERSION = "v1.20.2+kubev6.debian-1.20.3f2a1b7"
TAG = VERSION.replace("+", "_")
GOOD: dict[str, Any] = {
    "name": "test",
    "release": "debian-1.20",
    "fabric": {"interface": "eth1", "subnet": "fd00::/64"},
    "pods": {"prefix": "fd00::/16"},
    "services": {"subnet": "fd00:1234::/110"},
    "nat64": {"prefix": "64:ff9b::/96"},
    "verify": {"outside": "http://outside.example/"},
    "nodes": [
        {"name": "support", "roles": ["support"], "address": "fd00::64"},
        {"name": "kube-1", "roles": ["control-plane"], "address": "fd00::100"},
        {"name": "kube-10", "roles": ["worker"], "address": "fd00::10a"},
    ],
}
"""A cluster file that is right, as YAML gives it."""


def manifest(*, stand_in: bool = True) -> Manifest:
    """A release of Kubernetes 1.20, with the stand-in for CoreDNS or with CoreDNS itself."""
    dns = ("cluster-dns-stand-in", TAG, "CoreDNS") if stand_in else ("coredns", "1.7.0", "")
    images = [
        *((name, TAG, "") for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")),
        ("etcd", "3.4.23", ""),
        ("pause", "3.2", ""),
        ("probe", "1.35.0", ""),
        dns,
    ]
    return Manifest(
        name="debian-1.20",
        version=VERSION,
        key="0" * 64,
        created="2026-01-02T03:04:05Z",
        source=SourceEntry(kind="built", origin="kubernetes 1.20.2-1", series="debian-1.20"),
        toolchain="go1.19.8 linux/amd64",
        binaries=tuple(
            BinaryEntry(name=name, sha256=f"{number:064x}", size=1000 + number)
            for number, name in enumerate(("kubeadm", "kubelet", "kubectl"), 1)
        ),
        images=tuple(
            ImageEntry(name=name, tag=tag, digest=f"sha256:{number:064x}", size=5000 + number, stand_in_for=instead)
            for number, (name, tag, instead) in enumerate(images, 100)
        ),
    )


def plan(
    cluster: Cluster,
    release: Release,
    contents: Manifest | None = None,
    machines: Mapping[str, Machine] | None = None,
) -> dict[str, NodeState]:
    """The state of every node, by name; machines that are not given are the default of :class:`Machine`."""
    asked = machines or {}
    return {
        node.name: plan_node(cluster, release, contents, node.name, asked.get(node.name, Machine()))
        for node in cluster.nodes
    }
