"""Filling a registry from the store.

Everything goes by digest: what is there already is not sent, and what was sent is what arrived. The executables for
the nodes are blobs too, of a repository of their own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import BaseModel

from configs.errors import KubeV6Error
from configs.manifest import BINARY_REPOSITORY, ImageEntry, Manifest
from configs.plan.derived import REGISTRY_CERTIFICATE
from configs.schema.cluster import Cluster
from tasks import bounded
from tasks.release.registry_client import KINDS, Registry, session_with
from tasks.release.registry_login import RegistryLogin
from tasks.release.store import Store
from tasks.scope import Threads
from tasks.ssh.connection import Connection
from tasks.ssh.program import program
from tasks.steps import step

log = logging.getLogger("kubev6.registry")
STORAGE = "/var/lib/docker-registry"
"""Where the registry of the support node keeps what it has: ``rootdirectory`` of its configuration."""
READ = "/run/kubev6-registry-blobs.json"
"""What was found good there since the machine was started."""
BLOBS_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push came to.

    Attributes:
        sent: Number of blobs and manifests sent.
        present: Number of those that were there already.
        sent_bytes: Bytes sent.
    """

    sent: int
    present: int
    sent_bytes: int

    def __str__(self) -> str:
        return f"{self.sent} sent ({self.sent_bytes / 1e6:.0f} MB), {self.present} there already"


class _Found(BaseModel):
    """What the support node says of its registry: what was taken out of its storage, and what it lacks."""

    dropped: list[str]
    lacking: list[str]


@dataclass(frozen=True, slots=True)
class _Blob:
    repository: str
    digest: str
    size: int


def push(
    manifest: Manifest, store: Store, base_url: str, *, login: RegistryLogin | None = None, parallel: int = 4
) -> Pushed:
    """Bring every binary and image of a release into a registry.

    Args:
        manifest: The release.
        store: Where its blobs are.
        base_url: The registry as reached from here, for example ``http://127.0.0.1:5000``.
        login: To it, when it is one outside; None for the cluster's own, which wants none.
        parallel: How many transfers at a time.

    Returns:
        How much was sent and how much was there. Nothing is sent a second time.

    Raises:
        KubeV6Error: The store lacks a blob, or the registry cannot be reached, refuses one or got other bytes.
    """
    damaged = store.check(manifest)
    if damaged:
        raise KubeV6Error(
            f"release {manifest.name}: {damaged[0].of}: the blob {damaged[0].digest} {damaged[0].seen}",
            todo="build or fetch the release again",
        )
    wanted = list(dict.fromkeys(_blobs(manifest, store)))
    with step("registry", "push") as shown, session_with(base_url, login, parallel) as session:
        registry = Registry(base_url, session)
        total = sum(blob.size for blob in wanted)
        sent = present = sent_bytes = done = 0
        with Threads(parallel, thread_name_prefix="push") as pool:
            transfers = {pool.submit(_push_blob, registry, store, blob): blob for blob in wanted}
            try:
                for transfer in as_completed(transfers):
                    blob, fresh = transfers[transfer], transfer.result()
                    sent, present = sent + fresh, present + (not fresh)
                    sent_bytes += blob.size * fresh
                    done += blob.size
                    shown.progress(f"{done / 1e6:.0f} of {total / 1e6:.0f} MB", done, total)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        # A manifest is taken only when all that it names is there, so these come last.
        for image in manifest.images:
            fresh = _push_manifest(registry, store, image)
            sent, present = sent + fresh, present + (not fresh)
        pushed = Pushed(sent, present, sent_bytes)
        shown.ended_as(str(pushed))
    return pushed


@contextmanager
def writable(connection: Connection, cluster: Cluster) -> Iterator[str]:
    """A cluster's registry for as long as the context lasts: its other half, which takes what comes by SSH.

    Args:
        connection: To the support node.
        cluster: The topology.

    Yields:
        Where it is reached from here.

    Raises:
        NodeError: The connection is gone.
    """
    with connection.forward("::1", cluster.registry.port) as port:
        yield f"http://127.0.0.1:{port}"


def fill(connection: Connection, cluster: Cluster, manifest: Manifest, store: Store) -> Pushed:
    """Bring a release into the cluster's own registry, unless it has it.

    Its storage is read first: a registry never looks again at content that it has taken, and takes no second copy of
    what it believes to have, so what the disk has spoilt is taken out and sent again.

    Args:
        connection: To the support node.
        cluster: The topology.
        manifest: The release, as far as the registry has to hold it.
        store: Where its blobs are.

    Returns:
        How much was sent and how much was there.

    Raises:
        NodeError: The connection is gone, or the registry's storage cannot be read or changed.
        KubeV6Error: As :func:`push`.
    """
    wanted = {
        f"/v2/{blob.repository}/blobs/{blob.digest}": {"Content-Length": str(blob.size)}
        for blob in _blobs(manifest, store)
    }
    wanted |= {
        f"/v2/{image.name}/manifests/{image.tag}": {"Docker-Content-Digest": image.digest} for image in manifest.images
    }
    asked = {"root": STORAGE, "memory": READ, "port": cluster.registry.port, "accept": KINDS, "wanted": wanted}
    found: _Found = connection.run_python(
        program("registry_blobs"), asked, step="check the registry", timeout=BLOBS_SECONDS, kind=_Found
    )
    for digest in found.dropped:
        log.warning("%s: the registry's %s was damaged on the disk there; it is sent again", connection.node, digest)
    if found.lacking:
        with writable(connection, cluster) as address:
            return push(manifest, store, address)
    pushed = Pushed(0, len(wanted), 0)
    with step("registry", "push") as shown:
        shown.ended_as(str(pushed))
    return pushed


def certificate(connection: Connection) -> str:
    """What a cluster's registry shows, as PEM.

    Args:
        connection: To the support node.

    Raises:
        NodeError: It is not there.
    """
    words = ["openssl", "x509", "-in", REGISTRY_CERTIFICATE]
    return connection.run(words, step="registry certificate").stdout


def _blobs(manifest: Manifest, store: Store) -> Iterator[_Blob]:
    for binary in (*manifest.binaries, *manifest.cni):
        yield _Blob(BINARY_REPOSITORY, f"sha256:{binary.sha256}", binary.size)
    for image in manifest.images:
        for digest, size in store.image_blobs(image.digest):
            yield _Blob(image.name, digest, size)


def _push_blob(registry: Registry, store: Store, blob: _Blob) -> bool:
    """Send one blob unless it is there. Returns whether it was sent."""
    if registry.has(blob.repository, blob.digest, blob.size):
        return False
    registry.upload(blob.repository, blob.digest, store.blob(blob.digest))
    return True


def _push_manifest(registry: Registry, store: Store, image: ImageEntry) -> bool:
    if registry.digest(image.name, image.tag) == image.digest:
        return False
    content = bounded.content(store.blob(image.digest))
    registry.name(image.name, image.tag, image.digest, content, bounded.parsed(content)["mediaType"])
    return True
