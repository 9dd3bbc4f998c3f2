"""The kubernetes stage: the executables, the kubelet's unit and kubeadm's document."""

from __future__ import annotations

from configs.manifest import BINARY_REPOSITORY, NODE_BINARIES, BinaryEntry
from configs.plan import versions
from configs.plan.derived import CNI_BIN_DIR, Derived, pinned_images, takes_cgroup_v1
from configs.plan.stages.endpoint import endpoint
from configs.plan.state import Binary, File, Service, StageState
from configs.schema.cluster import Node

KUBEADM_CONFIG = "/etc/kubernetes/kubev6-kubeadm.yaml"
KUBEADM_PATCHES = "/etc/kubernetes/kubev6-patches"
STATIC_PODS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
LAB_EVICTION = {"memory.available": "100Mi", "nodefs.available": "100Mi", "imagefs.available": "100Mi"}
"""When the kubelet of a lab's machine evicts pods; its disk is its host's."""
LAB_OPTIONS = (
    "--fail-swap-on=false",
    "--image-gc-high-threshold=100",
    f"--eviction-hard={','.join(f'{signal}<{least}' for signal, least in LAB_EVICTION.items())}",
)
"""The same for a kubelet that has no file for it, and deletes no images."""
KUBELET_PATH = "/usr/bin/kubelet"
KUBELET_UNIT = "/etc/systemd/system/kubelet.service"


def kubernetes(derived: Derived, node: Node) -> StageState:
    """The kubernetes stage of a node of Kubernetes."""
    runtime_unit = derived.system.units[derived.runtime]
    files = [
        File(KUBELET_UNIT, derived.render("kubelet.service", runtime_unit=runtime_unit)),
        File(f"{KUBELET_UNIT}.d/10-kubeadm.conf", derived.render("kubelet-kubeadm.conf")),
    ]
    if extra_args := _kubelet_extra_args(derived, node):
        text = derived.render("kubelet-kubev6.conf", extra_args=extra_args)
        files.append(File(f"{KUBELET_UNIT}.d/20-kubev6.conf", text))
    restart_on = (*(file.path for file in files), KUBELET_PATH)
    packages: tuple[str, ...] = ()
    services: tuple[Service, ...] = (Service("kubelet.service", restart_on=restart_on),)
    if "control-plane" in node.roles:
        files.append(File(KUBEADM_CONFIG, _kubeadm_config(derived, node)))
        files += _patches(derived)
        held = endpoint(derived, node)
        files += held.files
        packages, services = held.packages, (*services, *held.services)
    # Here and not in the runtime's stage: the support node has made it by now.
    files.append(File(derived.registry_certificate_path, derived.registry_certificate))
    return StageState(
        name="kubernetes",
        packages=packages,
        files=tuple(files),
        binaries=_binaries(derived),
        services=services,
    )


def _kubelet_extra_args(derived: Derived, node: Node) -> tuple[str, ...]:
    """Options of the kubelet that kubeadm does not pass on to it."""
    if not derived.v1alpha1:
        # kubeadm knows the rest, and leaves the plugins' directory to the runtime unless the kubelet itself is it.
        elsewhere = derived.runtime == "docker" and derived.cni_bin_dirs != (CNI_BIN_DIR,)
        return (f"--cni-bin-dir={derived.cni_bin_dirs[0]}",) if elsewhere else ()
    return (
        f"--hostname-override={node.name}",
        *([f"--node-ip={node.address}"] if derived.node_ip else []),
        f"--pod-infra-container-image={derived.pause_image}",
        *(LAB_OPTIONS if derived.cluster.lab else []),
    )


def _binaries(derived: Derived) -> tuple[Binary, ...]:
    """Nodes fetch their executables by digest from the cluster's registry."""
    if derived.manifest is None:
        return ()
    ours = [entry for entry in derived.manifest.binaries if entry.name in NODE_BINARIES]
    plugins = derived.manifest.cni if derived.own_cni else ()
    return (
        *(_binary(derived, entry, "/usr/bin") for entry in ours),
        *(_binary(derived, entry, CNI_BIN_DIR) for entry in plugins),
    )


def _binary(derived: Derived, entry: BinaryEntry, directory: str) -> Binary:
    url = f"https://{derived.registry}/v2/{BINARY_REPOSITORY}/blobs/sha256:{entry.sha256}"
    return Binary(f"{directory}/{entry.name}", entry.sha256, entry.size, url, derived.registry_certificate_path)


def _patches(derived: Derived) -> list[File]:
    """What kubeadm changes of the static pods that it writes: their images go by digest, as it knows tags alone."""
    pinned = pinned_images(derived.cluster, derived.manifest) if versions.kubeadm_patches(derived.version) else {}
    return [
        File(f"{KUBEADM_PATCHES}/{name}.yaml", derived.render("static-pod-image.yaml", name=name, image=pinned[name]))
        for name in STATIC_PODS
        if name in pinned
    ]


def _kubeadm_config(derived: Derived, node: Node) -> str:
    if derived.v1alpha1:
        takes_configuration = versions.kube_proxy_takes_configuration(derived.version)
        return derived.render("kubeadm-v1alpha1.yaml", node=node, kube_proxy_takes_configuration=takes_configuration)
    cluster, version = derived.cluster, derived.version
    patched = versions.kubeadm_patches(version) == "document" and bool(_patches(derived))
    return derived.render(
        "kubeadm.yaml",
        node=node,
        patches=KUBEADM_PATCHES if patched else "",
        listed=versions.extra_args_are_listed(derived.api),
        etcd_tag=derived.image_tag("etcd"),
        coredns_tag=derived.image_tag("coredns"),
        without_coredns=derived.manifest and derived.manifest.has_stand_in and versions.takes_no_dns(derived.api),
        lab_eviction=LAB_EVICTION,
        kube_proxy_modes=versions.kube_proxy_modes(version),
        fails_on_cgroup_v1=versions.refuses_cgroup_v1(version) and takes_cgroup_v1(cluster),
        bridge_is_local=cluster.cni.by == "bridge" and versions.kube_proxy_knows_bridge(version),
        # kube-proxy takes every address in it for a pod's, and a prefix often holds the nodes' own too.
        pods_are_apart=not cluster.pods.prefix.overlaps(cluster.fabric.subnet),
    )
