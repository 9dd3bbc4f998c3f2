"""The kubernetes stage: the executables, the kubelet's unit and kubeadm's document."""

from __future__ import annotations

from configs.derived import Derived
from configs.manifest import BINARY_REPOSITORY, NODE_BINARIES
from configs.schema import Node
from configs.state import Binary, File, Service, StageState

KUBEADM_CONFIG = "/etc/kubernetes/kubev6-kubeadm.yaml"
KUBELET_UNIT = "/etc/systemd/system/kubelet.service"


def kubernetes(derived: Derived, node: Node) -> StageState:
    """The kubernetes stage of a node of Kubernetes."""
    values = {
        "node": node,
        "cni_bin_dir": derived.system.paths["cni"],
        "runtime_unit": derived.system.units[derived.release.runtime],
    }
    files = [
        File(KUBELET_UNIT, derived.render("kubelet.service", **values)),
        File(f"{KUBELET_UNIT}.d/10-kubeadm.conf", derived.render("kubelet-kubeadm.conf", **values)),
        File(f"{KUBELET_UNIT}.d/20-kubev6.conf", derived.render("kubelet-kubev6.conf", **values)),
    ]
    restart_on = (*(file.path for file in files), "/usr/bin/kubelet")
    if "control-plane" in node.roles:
        files.append(File(KUBEADM_CONFIG, _kubeadm_config(derived, node)))
    return StageState(
        name="kubernetes",
        files=tuple(files),
        binaries=_binaries(derived),
        services=(Service("kubelet.service", restart_on=restart_on),),
    )


def _binaries(derived: Derived) -> tuple[Binary, ...]:
    """Nodes fetch their executables by digest from the cluster's registry."""
    blobs = f"http://{derived.registry}/v2/{BINARY_REPOSITORY}/blobs"
    return tuple(
        Binary(f"/usr/bin/{entry.name}", entry.sha256, entry.size, f"{blobs}/sha256:{entry.sha256}")
        for entry in (derived.manifest.binaries if derived.manifest else ())
        if entry.name in NODE_BINARIES
    )


def _kubeadm_config(derived: Derived, node: Node) -> str:
    if derived.v1alpha1:
        etcd_image = f"etcd-amd64:{derived.tags.get('etcd-amd64', '3.0.17')}"
        return derived.render("kubeadm-v1alpha1.yaml", node=node, etcd_image=etcd_image)
    tags = {f"{name}_tag": derived.tags.get(name, "") for name in ("etcd", "coredns")}
    return derived.render("kubeadm.yaml", node=node, **tags)
