"""Cluster DNS where CoreDNS's own image could not be had: the stand-in's objects, applied on the control plane."""

from __future__ import annotations

from configs.manifest import ImageEntry, Manifest
from configs.plan.node import cluster_dns_manifest, image_reference
from configs.plan.versions import kubeadm_api, kubectl_says_unchanged
from configs.schema.cluster import Cluster
from configs.words import counted
from tasks.kubernetes.kubeadm import KUBECTL
from tasks.shell import quote
from tasks.ssh.connection import Connection
from tasks.steps import step

VERSIONS = r"{range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}{'\n'}{end}"
"""What is asked of each object, as a jsonpath, to see whether it has changed."""


def stand_in(manifest: Manifest) -> ImageEntry | None:
    """The image that stands in for CoreDNS in this release, or None where kubeadm deploys the real one."""
    return next((image for image in manifest.images if image.stand_in_for == "CoreDNS"), None)


def replaces_kubeadms(manifest: Manifest) -> bool:
    """Whether kubeadm deploys its own whatever it is told, and two would share the Service."""
    return stand_in(manifest) is not None and kubeadm_api(manifest.version) == "v1alpha1"


def by_resource_version(script: str) -> str:
    """A script that applies objects from its input, made to say which of them it has changed: nothing else is said.

    Args:
        script: For a kubectl that says of each object that it was configured.
    """
    seen = f"{quote([*KUBECTL.split(), 'get', '-f', '-', '-o', f'jsonpath={VERSIONS}'])} 2>/dev/null"
    return (
        f'objects=$(cat); seen() {{ printf "%s\\n" "$objects" | {seen}; }}; before=$(seen); '
        f'printf "%s\\n" "$objects" | {{ {script}; }} >/dev/null || exit; '
        'seen | while read -r line; do case $before in *"$line"*) ;; *) echo "$line" ;; esac; done'
    )


def apply(connection: Connection, cluster: Cluster, manifest: Manifest) -> bool:
    """Bring the stand-in's objects to what they should be.

    Args:
        connection: To the control plane.
        cluster: The topology.
        manifest: The release.

    Returns:
        True when something changed.
    """
    image = stand_in(manifest)
    if image is None:
        return False
    with step(cluster.name, "cluster DNS") as current:
        objects = cluster_dns_manifest(cluster, manifest.version, image_reference(cluster, manifest, image.name))
        # Looking objects of our own up in the API's description would take longer than comparing them.
        script = f"{KUBECTL} apply --validate=false -f -"
        if replaces_kubeadms(manifest):
            script = f"{KUBECTL} -n kube-system delete deployment kube-dns --ignore-not-found >&2 && {script}"
        if not kubectl_says_unchanged(manifest.version):
            script = by_resource_version(script)
        lines = connection.run(script, step="cluster DNS", stdin=objects.encode()).stdout.splitlines()
        changed = [line for line in lines if not line.endswith("unchanged")]
        current.ended_as(f"stand-in for CoreDNS, {counted(len(changed), 'change')}")
        return bool(changed)
