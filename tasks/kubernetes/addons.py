"""What kubeadm deployed as add-ons, mended where that version of it cannot be told how they should be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from configs.manifest import Manifest
from configs.plan.versions import kube_proxy_takes_configuration
from configs.schema.cluster import Cluster
from tasks.kubernetes.kubeadm import KUBECTL, Listed
from tasks.shell import quote
from tasks.ssh.connection import Connection
from tasks.steps import step

ADD_ONS = ("daemonset/kube-proxy", "deployment/coredns", "deployment/kube-dns")
"""What kubeadm deploys."""
CONNTRACK = "--conntrack-max-per-core=0"
"""Keeps kube-proxy from setting the size of the connection table, which only the host's own network may do."""
IN_PLACE_OF_A_FILE = ("--kubeconfig=/var/lib/kube-proxy/kubeconfig.conf", "--bind-address=::")
"""What the file says that kubeadm gives kube-proxy, by which options are of no effect; the one above has no other form
there, as 0 in the file stands for the default."""


@dataclass(frozen=True, slots=True)
class Mend:
    """One thing that has to be changed.

    Attributes:
        what: For a person.
        arguments: Those of kubectl, after the namespace.
    """

    what: str
    arguments: tuple[str, ...]


def apply(connection: Connection, cluster: Cluster, manifest: Manifest, images: dict[str, str]) -> tuple[str, ...]:
    """Bring the add-ons to what they should be.

    Args:
        connection: To the control plane.
        cluster: The topology.
        manifest: The release.
        images: Reference of each of the release's images, by name.

    Returns:
        What was changed, one line each.

    Raises:
        NodeError: The API server does not answer, or refused a change.
    """
    kubectl = [*KUBECTL.split(), "--namespace", "kube-system"]
    with step(cluster.name, "add-ons") as shown:
        get = [*kubectl, "get", "deployments,daemonsets", "-o", "json"]
        listed: Listed = connection.run_json(get, step="add-ons", kind=Listed)
        mends = tuple(wanting(listed.items, cluster, manifest, images))
        for mend in mends:
            connection.run(f"{quote([*kubectl, *mend.arguments])} >/dev/null", step="add-ons")
        shown.ended_as(f"{len(mends)} changes" if mends else "as they should be")
        return tuple(mend.what for mend in mends)


def wanting(workloads: Sequence[Any], cluster: Cluster, manifest: Manifest, images: dict[str, str]) -> Iterator[Mend]:
    """What has to be changed about some workloads. Pure.

    kubeadm knows images by their tags, and that of the how-to's author has the repository of kube-dns's in its code, so
    they do not come from where the others do; and before 1.9 kube-proxy has options only, of which kubeadm sets few.
    What is not kubeadm's own is left alone, whatever its image is called.

    Args:
        workloads: Deployments and DaemonSets.
        cluster: The topology.
        manifest: The release.
        images: Reference of each of the release's images, by name.
    """
    for workload in workloads:
        subject = f"{workload['kind'].lower()}/{workload['metadata']['name']}"
        if subject not in ADD_ONS:
            continue
        for index, container in enumerate(workload["spec"]["template"]["spec"]["containers"]):
            seen = container["image"]
            wanted = images.get(seen.rpartition("/")[2].split("@")[0].rpartition(":")[0], seen)
            if seen != wanted:
                change = ("set", "image", subject, f"{container['name']}={wanted}")
                yield Mend(f"{subject}: image {wanted} in place of {seen}", change)
            old_kube_proxy = container["name"] == "kube-proxy" and not kube_proxy_takes_configuration(manifest.version)
            if (
                cluster.lab
                and old_kube_proxy
                and (command := container.get("command", [])) != (wanted_command := _with_conntrack(command))
            ):
                path = f"/spec/template/spec/containers/{index}/command"
                patch = json.dumps([{"op": "replace", "path": path, "value": wanted_command}])
                yield Mend(f"{subject}: {CONNTRACK}", ("patch", subject, "--type=json", "-p", patch))


def _with_conntrack(command: Sequence[str]) -> list[str]:
    """The command of an old kube-proxy, told to leave the connection table as it is."""
    kept = [word for word in command if not word.startswith("--config=")]
    options = IN_PLACE_OF_A_FILE if len(kept) < len(command) else ()
    return [*kept, *options, *([] if CONNTRACK in kept else [CONNTRACK])]
