"""What kubeadm deployed as add-ons, mended where that version of it cannot be told how they should be."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from configs.manifest import Manifest
from configs.plan.versions import KubeProxyMode, kube_proxy_takes_configuration
from configs.schema.cluster import Cluster
from configs.words import counted
from tasks.kubernetes.kubeadm import KUBECTL, Listed
from tasks.node.change import Change
from tasks.shell import quote
from tasks.ssh.connection import Connection
from tasks.steps import step

KUBE_SYSTEM = (*KUBECTL.split(), "--namespace", "kube-system")
log = logging.getLogger("kubev6.kubernetes")
KUBE_PROXY = "daemonset/kube-proxy"
ADD_ONS = (KUBE_PROXY, "deployment/coredns", "deployment/kube-dns")
"""What kubeadm deploys."""
CONFIGURATION = "configmap/kube-proxy"
"""kube-proxy's file, as kubeadm has written it."""
MODE = re.compile(r"^mode:(?: (.*))?$", re.MULTILINE)
"""In that file."""
MODE_SET = "kubev6/kube-proxy-mode"
"""The annotation of that file when its mode was changed here, and of the pods that have read it."""
AT_ONCE: Mapping[str, Any] = MappingProxyType({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}})
"""How kube-proxy is replaced in a lab, where people wait for it: what it has set up works on while it is away, and one
that does not start does not harm anybody."""
CONNTRACK = "--conntrack-max-per-core=0"
"""Keeps kube-proxy from setting the size of the connection table, which only the host's own network may do."""
IN_PLACE_OF_A_FILE = ("--kubeconfig=/var/lib/kube-proxy/kubeconfig.conf", "--bind-address=::")
"""What the file says that kubeadm gives kube-proxy, by which options are of no effect; the one above has no other form
there, as 0 in the file stands for the default."""


@dataclass(frozen=True, slots=True)
class Mend:
    """One thing that has to be changed.

    Attributes:
        subject: Of which object.
        what: What becomes of it, for a person.
        arguments: Those of kubectl, after the namespace.
    """

    subject: str
    what: str
    arguments: tuple[str, ...]

    def change(self, node: str) -> Change:
        """The same as a change.

        Args:
            node: What it is told of: the control plane, or the cluster.
        """
        return Change("add-on", self.subject, "change", after=self.what, node=node)


def apply(
    connection: Connection, cluster: Cluster, manifest: Manifest, images: dict[str, str], *, upgraded: bool = False
) -> tuple[Mend, ...]:
    """Bring the add-ons to what they should be.

    While a cluster is upgraded kube-proxy keeps its mode: the build that an upgrade goes back to may not have another.

    Args:
        connection: To the control plane.
        cluster: The topology.
        manifest: The release.
        images: Reference of each of the release's images, by name.
        upgraded: Whether the cluster is upgraded.

    Returns:
        What was changed.

    Raises:
        NodeError: The API server does not answer, or refused a change.
    """
    with step(cluster.name, "add-ons") as shown:
        objects = listed(connection)
        mends = (*wanting(objects, cluster, manifest, images),)
        other_mode = (*other_kube_proxy_mode(objects, cluster.kube_proxy.mode),)
        if not upgraded:
            mends += other_mode
        elif other_mode:
            log.warning("kube-proxy gets its mode %s by the next deploy: this one upgrades", cluster.kube_proxy.mode)
        for mend in mends:
            connection.run(f"{quote([*KUBE_SYSTEM, *mend.arguments])} >/dev/null", step="add-ons")
        shown.ended_as(counted(len(mends), "change") if mends else "as they should be")
        return mends


def listed(connection: Connection) -> Sequence[Any]:
    """What there is of add-ons, and what else is of their kinds.

    Args:
        connection: To the control plane.

    Raises:
        NodeError: The API server does not answer.
    """
    get = [*KUBE_SYSTEM, "get", "deployments,daemonsets,configmaps", "-o", "json"]
    found: Listed = connection.run_json(get, step="add-ons", kind=Listed)
    return found.items


def wanting(objects: Sequence[Any], cluster: Cluster, manifest: Manifest, images: dict[str, str]) -> Iterator[Mend]:
    """What has to be changed about some workloads. Pure.

    kubeadm knows images by their tags, and that of the how-to's author has the repository of kube-dns's in its code, so
    they do not come from where the others do; and before 1.9 kube-proxy has options only, of which kubeadm sets few.
    What is not kubeadm's own is left alone, whatever its image is called.

    One patch does all to one of them, so that its pods are replaced once. `kubectl set image` of 1.9 knows what a
    DaemonSet is only now and then.

    Args:
        objects: Of kube-system; all but Deployments and DaemonSets are passed over.
        cluster: The topology.
        manifest: The release.
        images: Reference of each of the release's images, by name.
    """
    for workload in objects:
        subject = f"{workload['kind'].lower()}/{workload['metadata']['name']}"
        if subject not in ADD_ONS:
            continue
        said, patch = [], []
        for index, container in enumerate(workload["spec"]["template"]["spec"]["containers"]):
            path, seen = f"/spec/template/spec/containers/{index}", container["image"]
            wanted = images.get(seen.rpartition("/")[2].split("@")[0].rpartition(":")[0], seen)
            if seen != wanted:
                said.append(f"image {wanted} in place of {seen}")
                patch.append({"op": "replace", "path": f"{path}/image", "value": wanted})
            old_kube_proxy = container["name"] == "kube-proxy" and not kube_proxy_takes_configuration(manifest.version)
            if (
                cluster.lab
                and old_kube_proxy
                and (command := container.get("command", [])) != (wanted_command := _with_conntrack(command))
            ):
                said.append(CONNTRACK)
                patch.append({"op": "replace", "path": f"{path}/command", "value": wanted_command})
        if cluster.lab and subject == KUBE_PROXY and _goes_node_by_node(workload):
            said.append("replaced on all nodes at once")
            patch.append({"op": "add", "path": "/spec/updateStrategy", "value": dict(AT_ONCE)})
        if patch:
            yield Mend(subject, ", ".join(said), ("patch", subject, "--type=json", "-p", json.dumps(patch)))


def other_kube_proxy_mode(objects: Sequence[Any], mode: KubeProxyMode) -> Iterator[Mend]:
    """What has to be changed for kube-proxy to have a mode, which kubeadm sets once. Pure.

    It reads its file when it starts; what its pods' template says of the file starts it again.

    Args:
        objects: Of kube-system, with ConfigMaps and DaemonSets.
        mode: The mode that it should have.
    """
    named = {f"{each['kind'].lower()}/{each['metadata']['name']}": each for each in objects}
    configuration, daemonset = named.get(CONFIGURATION), named.get(KUBE_PROXY)
    text = configuration["data"].get("config.conf", "") if configuration else ""
    if configuration is None or daemonset is None or (seen := MODE.search(text)) is None:
        return
    said = configuration["metadata"].get("annotations", {}).get(MODE_SET, "")
    has = (seen[1] or "").strip("'\"") or "iptables"
    if has != mode:
        said, changed = mode, MODE.sub(f"mode: {mode}", text, count=1)
        patch = {"metadata": {"annotations": {MODE_SET: mode}}, "data": {"config.conf": changed}}
        rest = "; what the other one made stays until the nodes are restarted" if "ipvs" in (has, mode) else ""
        arguments = ("patch", CONFIGURATION, "-p", json.dumps(patch))
        yield Mend(CONFIGURATION, f"mode {mode} in place of {has}{rest}", arguments)
    template = daemonset["spec"]["template"]
    if said and said != template.get("metadata", {}).get("annotations", {}).get(MODE_SET):
        patch = {"spec": {"template": {"metadata": {"annotations": {MODE_SET: said}}}}}
        yield Mend(KUBE_PROXY, "started again", ("patch", KUBE_PROXY, "-p", json.dumps(patch)))


def _goes_node_by_node(daemonset: Any) -> bool:
    """Whether the pods of a DaemonSet are replaced some at a time, by the cluster itself."""
    strategy = daemonset["spec"].get("updateStrategy", {})
    some = strategy.get("rollingUpdate", {}).get("maxUnavailable")
    return bool(strategy.get("type") == AT_ONCE["type"] and some != AT_ONCE["rollingUpdate"]["maxUnavailable"])


def _with_conntrack(command: Sequence[str]) -> list[str]:
    """The command of an old kube-proxy, told to leave the connection table as it is."""
    kept = [word for word in command if not word.startswith("--config=")]
    options = IN_PLACE_OF_A_FILE if len(kept) < len(command) else ()
    return [*kept, *options, *([] if CONNTRACK in kept else [CONNTRACK])]
