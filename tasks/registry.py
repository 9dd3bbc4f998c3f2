"""Filling a registry from the store.

The registry speaks the Docker Registry HTTP API v2 (the OCI distribution specification). Everything goes by
digest: what is there already is not sent, and what was sent is what arrived. The executables for the nodes are
blobs too, of a repository of their own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter

from configs.errors import KubeV6Error
from configs.manifest import BINARY_REPOSITORY, ImageEntry, Manifest
from tasks.registry_login import RegistryLogin, is_loopback
from tasks.scope import Threads
from tasks.secrets import hide
from tasks.ssh.connection import Connection
from tasks.ssh.program import program
from tasks.steps import step
from tasks.store import Store

log = logging.getLogger("kubev6.registry")
STORAGE = "/var/lib/docker-registry"
"""Where the registry of the support node keeps what it has: ``rootdirectory`` of its configuration."""
READ = "/run/kubev6-registry-blobs.json"
"""What was found good there since the machine was started."""
BLOBS_SECONDS = 600
TIMEOUT = (10, 120)
"""Seconds to connect, and of silence in a transfer."""


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
        total = sum(blob.size for blob in wanted)
        sent = present = sent_bytes = done = 0
        with Threads(parallel, thread_name_prefix="push") as pool:
            transfers = {pool.submit(_push_blob, session, store, base_url, blob): blob for blob in wanted}
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
            fresh = _push_manifest(session, store, base_url, image)
            sent, present = sent + fresh, present + (not fresh)
        shown.ended_as(f"{sent} sent ({sent_bytes / 1e6:.0f} MB), {present} there already")
    return Pushed(sent, present, sent_bytes)


def drop_damaged(connection: Connection) -> tuple[str, ...]:
    """Take out of the registry's storage what is not what its digest says, so that the next push sends it anew.

    Args:
        connection: To the support node.

    Returns:
        The digests taken out.

    Raises:
        NodeError: The storage cannot be read or changed.
    """
    where = {"root": STORAGE, "memory": READ}
    dropped = connection.run_python(program("registry_blobs"), where, step="check the registry", timeout=BLOBS_SECONDS)
    for digest in dropped:
        log.warning("%s: the registry's %s was damaged on the disk there; it is sent anew", connection.node, digest)
    return tuple(dropped)


def _blobs(manifest: Manifest, store: Store) -> Iterator[_Blob]:
    for binary in (*manifest.binaries, *manifest.cni):
        yield _Blob(BINARY_REPOSITORY, f"sha256:{binary.sha256}", binary.size)
    for image in manifest.images:
        for digest, size in store.image_blobs(image.digest):
            yield _Blob(image.name, digest, size)


def _push_blob(session: requests.Session, store: Store, base_url: str, blob: _Blob) -> bool:
    """Send one blob unless it is there. Returns whether it was sent."""
    where = f"{base_url}/v2/{blob.repository}"
    with speaking(base_url, f"{blob.repository} {blob.digest[:19]}"):
        head = session.head(f"{where}/blobs/{blob.digest}", timeout=TIMEOUT)
        if head.status_code == 200 and head.headers.get("Content-Length") == str(blob.size):
            return False
        started = _expect(session.post(f"{where}/blobs/uploads/", timeout=TIMEOUT), 202)
        # The registry names the place by what it takes to be its own host, which need not be how it is reached.
        place = urlsplit(started.headers["Location"])
        target = urljoin(base_url, place.path)
        with store.blob(blob.digest).open("rb") as content:
            ended = session.put(
                f"{target}?{place.query}&digest={blob.digest}" if place.query else f"{target}?digest={blob.digest}",
                data=content,
                headers={"Content-Type": "application/octet-stream"},
                timeout=TIMEOUT,
            )
        _expect_digest(_expect(ended, 201), blob.digest)
    return True


def _push_manifest(session: requests.Session, store: Store, base_url: str, image: ImageEntry) -> bool:
    where = f"{base_url}/v2/{image.name}/manifests/{image.tag}"
    content = store.blob(image.digest).read_bytes()
    media_type = json.loads(content)["mediaType"]
    with speaking(base_url, f"{image.name}:{image.tag}"):
        head = session.head(where, headers={"Accept": media_type}, timeout=TIMEOUT)
        if head.status_code == 200 and head.headers.get("Docker-Content-Digest") == image.digest:
            return False
        ended = session.put(where, data=content, headers={"Content-Type": media_type}, timeout=TIMEOUT)
        _expect_digest(_expect(ended, 201), image.digest)
    return True


@contextmanager
def session_with(base_url: str, login: RegistryLogin | None, parallel: int = 1) -> Iterator[requests.Session]:
    """A session with a registry.

    Args:
        base_url: The registry as reached from here.
        login: To it; None when it wants none.
        parallel: How many requests at a time.
    """
    with requests.Session() as session:
        session.trust_env = not is_loopback(base_url)  # a proxy of the user's is for the way out
        session.auth = login
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=parallel))
        yield session


@contextmanager
def speaking(base_url: str, what: str) -> Iterator[None]:
    """Ask a registry for something.

    Args:
        base_url: The registry as reached from here.
        what: What is asked, for the error.

    Raises:
        KubeV6Error: It does not answer.
    """
    try:
        yield
    except requests.RequestException as error:
        raise KubeV6Error(
            f"registry {base_url}: {what}: no answer ({type(error).__name__})",
            todo="see whether the registry runs",
            transient=True,
            detail=str(error),
        ) from None


def _expect(response: requests.Response, status: int) -> requests.Response:
    if response.status_code != status:
        said = hide(" ".join(response.text.split()))[:200]
        raise KubeV6Error(
            f"registry: {response.request.method} {urlsplit(str(response.url)).path}: "
            f"answered {response.status_code} instead of {status}: {said}",
            transient=response.status_code >= 500,
        )
    return response


def _expect_digest(response: requests.Response, digest: str) -> None:
    seen = response.headers.get("Docker-Content-Digest")
    if seen != digest:
        raise KubeV6Error(f"registry: {digest} arrived there as {seen}", transient=True)
