"""Whether what a machine has, or would be given by its packages, fits a release that may be of quite another age."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Literal

from configs.derived import container_runtime, own_cni_version
from configs.errors import NodeError
from configs.manifest import Manifest
from configs.schema.cluster import Cluster, Node
from configs.schema.release import Release
from configs.systems import System
from configs.versions import (
    Runtime,
    cni_shows_ipv6,
    containerd_versions,
    docker_hides_ipv6,
    kube_proxy_finds_iptables,
)
from tasks.ssh.connection import Connection

log = logging.getLogger("kubev6.fitting")

ASK = """
PATH=$PATH:/usr/sbin:/sbin
"$1" --version 2>/dev/null || apt-cache policy "$2" 2>/dev/null | grep Candidate || yum -q -C info "$2" 2>/dev/null
iptables --version 2>/dev/null
grep KUBELET_KUBEADM_ARGS /var/lib/kubelet/kubeadm-flags.env 2>/dev/null || true
"""
"""What is installed goes before what would be."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a machine has, as far as that is known.

    Attributes:
        runtime: Version of its container runtime, such as ``20.10``; empty when it has none and would get none.
        iptables: ``nft`` or ``legacy``: how its iptables keeps its rules; empty without one.
        in_use: What runs the containers of the cluster that it is a node of; empty when it is none of any.
    """

    runtime: str = ""
    iptables: str = ""
    in_use: Runtime | Literal[""] = ""


def check(
    connection: Connection, cluster: Cluster, release: Release, manifest: Manifest | None, system: System, node: Node
) -> None:
    """Refuse a machine whose parts do not fit the release, and warn of what may not.

    Args:
        connection: To the machine.
        cluster: The topology.
        release: How the release wants to be configured.
        manifest: What it holds; None when that is not known yet.
        system: The machine's system.
        node: The node.

    Raises:
        NodeError: A part does not fit; nothing was changed there.
    """
    if not node.in_kubernetes:
        return
    version = manifest.version if manifest else f"v{release.kubernetes}"
    runtime = container_runtime(cluster, release, version)
    words = ["sh", "-c", ASK, "ask", runtime, system.packages.get(runtime, runtime)]
    parts = parse(connection.run(words, step="preflight").stdout)
    if found := problem(runtime, parts, version, own_cni_version(cluster, release, manifest)):
        raise NodeError(node.name, "preflight", found, todo="nothing was changed there")
    published = manifest.source.kind == "fetched" if manifest else release.build is None
    if published and (doubt := iptables_doubt(parts, version)):
        log.warning("%s: %s", node.name, doubt)


def parse(said: str) -> Parts:
    """What a machine answered to :data:`ASK`."""
    # The number of a package may have an epoch before it.
    version = r"(?:version|Version *:|Candidate:|containerd\S*)\s+v?(?:\d+:)?(\d+\.\d+)"
    runtime = re.search(version, re.sub(r"(?m)^(iptables v|KUBELET_).*", "", said))
    iptables = re.search(r"(?m)^iptables v.*", said)
    flags = re.search(r"(?m)^KUBELET_KUBEADM_ARGS=.*", said)
    in_use: Runtime | Literal[""] = ""
    if flags:
        in_use = "containerd" if "containerd.sock" in flags[0] else "docker" if "network-plugin=cni" in flags[0] else ""
    return Parts(
        runtime=runtime[1] if runtime else "",
        iptables=("nft" if "nf_tables" in iptables[0] else "legacy") if iptables else "",
        in_use=in_use,
    )


def problem(runtime: Runtime, parts: Parts, version: str, cni: str) -> str:
    """Why the container runtime does not fit a machine; empty when it does, or when its version is not known. Pure.

    Args:
        runtime: Which it is.
        parts: What the machine has.
        version: The version of Kubernetes.
        cni: Version of the release's own CNI plugins; empty when those of the distribution are used.
    """
    if parts.in_use and parts.in_use != runtime:
        return (
            f"it is a node of a cluster whose containers {parts.in_use} runs, not {runtime}: "
            "write that as `runtime` into the cluster's file, or take it out of the cluster first (kubev6 reset)"
        )
    if not parts.runtime:
        return ""
    if runtime == "containerd":
        least, before = containerd_versions(version)
        if not _reaches(parts.runtime, least):
            return (
                f"its containerd is {parts.runtime}, and Kubernetes {version} works with {least} and newer: upgrade it"
            )
        if before and _reaches(parts.runtime, before):
            docker = "write `runtime: docker` into the cluster's file, or choose a newer release"
            return f"its containerd is {parts.runtime}, and Kubernetes {version} wants one before {before}: {docker}"
        return ""
    if cni and docker_hides_ipv6(parts.runtime) and not cni_shows_ipv6(cni):
        return (
            f"its Docker is {parts.runtime} and the release's CNI plugins are {cni}: pods would get no IPv6 address "
            '("permission denied"), because from 17.06 on Docker switches IPv6 off and only from 0.7.0 on the plugins '
            "switch it on again: write `cni: system` into the cluster's file to take the distribution's plugins, or "
            "where it has none deploy a copy of the release's file with newer ones under `cni:`"
        )
    return ""


def iptables_doubt(parts: Parts, version: str) -> str:
    """What may go wrong between a machine's iptables and that of a published kube-proxy; empty when nothing. Pure.

    Args:
        parts: What the machine has.
        version: The version of Kubernetes.
    """
    if parts.iptables != "nft" or kube_proxy_finds_iptables(version):
        return ""
    return (
        f"its iptables keeps rules in nftables, and kube-proxy of {version} in the older tables, where neither sees "
        "the other's: `update-alternatives --set ip6tables /usr/sbin/ip6tables-legacy` if Services do not work"
    )


def _reaches(version: str, other: str) -> bool:
    return [int(part) for part in version.split(".")] >= [int(part) for part in other.split(".")]
