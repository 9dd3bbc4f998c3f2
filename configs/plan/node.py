"""Cluster + release -> what each node must look like.

Everything that follows from a topology is derived here or beside it: pod subnets, static routes, the content of every
file. Pure: no machine is asked, so the same arguments always give the same states.
"""

from __future__ import annotations

from configs.errors import ConfigError
from configs.manifest import Manifest
from configs.plan import versions
from configs.plan.derived import (
    Derived,
    cluster_dns_address,
    container_runtime,
    derive,
    kubeadm_api,
    registry_name,
    runtime_socket,
)
from configs.plan.stages.kubernetes import kubernetes
from configs.plan.stages.network import network
from configs.plan.stages.runtime import runtime
from configs.plan.stages.support import support
from configs.plan.state import NodeState, StageState
from configs.plan.systems import Machine
from configs.render import render
from configs.schema.cluster import Cluster, Node
from configs.schema.release import Release


def plan_node(
    cluster: Cluster, release: Release, manifest: Manifest | None, name: str, machine: Machine, certificate: str = ""
) -> NodeState:
    """What the node called ``name`` must look like.

    Args:
        cluster: The topology.
        release: The release's configuration.
        manifest: What the release holds; without it the state lacks digests and the exact version.
        name: The node.
        machine: What its machine says of itself.
        certificate: What the registry shows, as PEM; empty when the support node has still to make it.

    Raises:
        ConfigError: There is no such node, or its machine's operating system is unknown or lacks what it needs.
    """
    node = cluster.node(name)
    try:
        return NodeState(name, _stages(derive(cluster, release, manifest, machine, certificate), node))
    except ConfigError as error:
        raise ConfigError(f"{name}: {error.message}", todo=error.todo) from None


def _stages(derived: Derived, node: Node) -> tuple[StageState, ...]:
    stages = [network(derived, node)]
    if "support" in node.roles:
        stages.append(support(derived))
    if node.in_kubernetes:
        stages += [runtime(derived, node), kubernetes(derived, node)]
    return tuple(stages)


def join_config(
    cluster: Cluster,
    release: Release,
    version: str,
    node: Node,
    token: str,
    ca_hash: str,
    certificate_key: str = "",
    patches: str = "",
) -> str:
    """The document for ``kubeadm join``.

    Args:
        cluster: The topology.
        release: The release's configuration.
        version: The version of Kubernetes.
        node: The node that joins.
        token: A bootstrap token; the document is as secret as it is.
        ca_hash: ``sha256:...`` of the cluster's certificate authority.
        certificate_key: What opens the control planes' certificates, for a node that becomes one; it is as secret too.
        patches: Where kubeadm finds patches to the static pods that it writes there; empty for none.
    """
    api = kubeadm_api(version)
    socket = versions.cri_endpoint(runtime_socket(container_runtime(cluster, release, version)), version)
    return render(
        "kubeadm-join-v1alpha1.yaml" if api == "v1alpha1" else "kubeadm-join.yaml",
        api=api,
        listed=versions.extra_args_are_listed(api),
        cluster=cluster,
        node=node,
        token=token,
        ca_hash=ca_hash,
        certificate_key=certificate_key,
        patches=patches,
        cri_socket=socket,
    )


def cluster_dns_manifest(cluster: Cluster, version: str, image: str) -> str:
    """The Kubernetes objects of the cluster DNS stand-in.

    Args:
        cluster: The topology.
        version: The version of Kubernetes.
        image: The stand-in's image reference.
    """
    address = cluster_dns_address(cluster, version)
    workloads = versions.workloads_api(version)
    return render("cluster-dns.yaml", cluster=cluster, cluster_dns=address, image=image, workloads=workloads)


def image_reference(cluster: Cluster, manifest: Manifest, name: str) -> str:
    """The reference under which nodes pull an image of the release, by digest."""
    return f"{registry_name(cluster)}/{name}@{manifest.image(name).digest}"
