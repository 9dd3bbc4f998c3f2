"""Filling Debian's docker-registry from a store, and taking things out again as the nodes do."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import docker
import pytest
import requests

from configs.errors import KubeV6Error
from configs.manifest import BINARY_REPOSITORY, BinaryEntry, ImageEntry, Manifest, SourceEntry
from tasks.docker import base_image, container_engine
from tasks.docker import build as docker_build
from tasks.docker.build import context_of
from tasks.release import registry
from tasks.release.image_layout import MANIFEST_TYPE
from tasks.release.store import Store
from tasks.steps import Step

LABEL = "kubev6.test"
DOCKERFILE = """\
ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends docker-registry
# The packaged configuration wants passwords.
RUN printf 'version: 0.1\\nhttp: {addr: ":5000"}\\nstorage: {filesystem: {rootdirectory: /srv}}\\n' > /etc/registry.yml
# A registry tells clients to go on at the name that it thinks it has.
ENV REGISTRY_HTTP_HOST=http://registry.invalid:5000
CMD ["docker-registry", "serve", "/etc/registry.yml"]
"""


@dataclass(frozen=True)
class Running:
    """A registry under test."""

    url: str
    client: docker.DockerClient

    def blob(self, repository: str, digest: str) -> requests.Response:
        return requests.get(f"{self.url}/v2/{repository}/blobs/{digest}", timeout=10)


@pytest.fixture(scope="module")
def registry_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    client = container_engine.client()
    recipe = tmp_path_factory.mktemp("registry") / "Dockerfile"
    recipe.write_text(DOCKERFILE)
    inputs = hashlib.sha256(DOCKERFILE.encode()).hexdigest()
    reference = f"kubev6/test-registry:{inputs[:12]}"
    if not docker_build.is_current(client, reference, inputs):
        with context_of({"Dockerfile": recipe}) as context:
            docker_build.build(
                client,
                reference,
                context,
                inputs=inputs,
                arguments={"BASE": base_image.base_image()},
                shown=Step("test", "registry image"),
            )
    return reference


@pytest.fixture
def running(registry_image: str) -> Iterator[Running]:
    client = container_engine.client()
    container = client.containers.create(
        registry_image, ports={"5000/tcp": ("127.0.0.1", 0)}, labels={LABEL: "registry"}
    )
    try:
        container.start()
        for line in container.logs(stream=True, follow=True):
            if b"listening on" in line:
                break
        published = client.api.port(str(container.id), 5000) or []
        yield Running(f"http://127.0.0.1:{published[0]['HostPort']}", client)
    finally:
        container.remove(force=True, v=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def built_image(client: docker.DockerClient, content: bytes) -> tuple[str, Iterator[bytes]]:
    """Let the engine build an image of one file; its id, and its archive.

    No other has its id: tests side by side build and remove such images of the same file.
    """
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, text in (
            ("Dockerfile", f'FROM scratch\nCOPY file /file\nCMD ["/file"]\nLABEL of={uuid4()}\n'.encode()),
            ("file", content),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    context.seek(0)
    image, _ = client.images.build(fileobj=context, custom_context=True, rm=True)
    archive = b"".join(image.save())
    client.images.remove(str(image.id))
    return str(image.id), iter([archive])


@pytest.fixture
def release(store: Store) -> tuple[Manifest, str]:
    """A small release, and the id that the engine gave its image."""
    image_id, archive = built_image(container_engine.client(), b"program " * 4096)
    digest, size = store.add_docker_image(archive)
    binaries = []
    for name in ("kubeadm", "kubelet"):
        sha256, length = store.add_stream([name.encode() * 50_000])
        binaries.append(BinaryEntry(name=name, sha256=sha256, size=length))
    manifest = Manifest(
        name="test",
        version="v1.20.2",
        key="a" * 64,
        created="2026-01-01T00:00:00+00:00",
        source=SourceEntry(kind="built", origin="test"),
        binaries=tuple(binaries),
        images=(ImageEntry(name="kube-proxy", tag="v1.20.2_x", digest=digest, size=size),),
    )
    store.write(manifest)
    return manifest, image_id


def test_all_of_a_release_arrives_and_only_once(running: Running, store: Store, release: tuple[Manifest, str]) -> None:
    manifest, image_id = release

    first = registry.push(manifest, store, running.url)
    again = registry.push(manifest, store, running.url)

    # Two binaries, one layer, one config, one manifest.
    assert (first.sent, first.present) == (5, 0)
    assert (again.sent, again.present, again.sent_bytes) == (0, 5, 0)

    for binary in manifest.binaries:
        answer = running.blob(BINARY_REPOSITORY, f"sha256:{binary.sha256}")
        assert answer.status_code == 200
        assert hashlib.sha256(answer.content).hexdigest() == binary.sha256

    for wanted in (manifest.images[0].tag, manifest.images[0].digest):
        answer = requests.get(
            f"{running.url}/v2/kube-proxy/manifests/{wanted}", headers={"Accept": MANIFEST_TYPE}, timeout=10
        )
        assert answer.headers["Docker-Content-Digest"] == manifest.images[0].digest

    host = running.url.removeprefix("http://")
    pulled = running.client.images.pull(f"{host}/kube-proxy", tag=manifest.images[0].digest)
    try:
        assert pulled.id == image_id
    finally:
        running.client.images.remove(f"{host}/kube-proxy@{manifest.images[0].digest}", force=True)


def test_cni_plugins_arrive_as_the_other_executables_do(
    running: Running, store: Store, release: tuple[Manifest, str]
) -> None:
    sha256, size = store.add_stream([b"bridge" * 1000])
    plugins = (BinaryEntry(name="bridge", sha256=sha256, size=size),)

    registry.push(release[0].model_copy(update={"cni": plugins, "cni_version": "0.6.0"}), store, running.url)

    assert running.blob(BINARY_REPOSITORY, f"sha256:{sha256}").content == b"bridge" * 1000


def test_only_what_is_missing_is_sent(running: Running, store: Store, release: tuple[Manifest, str]) -> None:
    manifest, _ = release
    registry.push(manifest.model_copy(update={"binaries": manifest.binaries[:1]}), store, running.url)

    rest = registry.push(manifest, store, running.url)

    assert (rest.sent, rest.sent_bytes) == (1, manifest.binaries[1].size)


def test_a_tag_is_moved_to_the_new_image(running: Running, store: Store, release: tuple[Manifest, str]) -> None:
    manifest, _ = release
    registry.push(manifest, store, running.url)
    _, archive = built_image(running.client, b"another program")
    digest, size = store.add_docker_image(archive)
    entry = manifest.images[0].model_copy(update={"digest": digest, "size": size})

    registry.push(manifest.model_copy(update={"images": (entry,)}), store, running.url)

    answer = requests.head(
        f"{running.url}/v2/kube-proxy/manifests/{entry.tag}", headers={"Accept": MANIFEST_TYPE}, timeout=10
    )
    assert answer.headers["Docker-Content-Digest"] == digest


def test_bytes_that_changed_in_the_store_are_not_taken(
    running: Running, store: Store, release: tuple[Manifest, str]
) -> None:
    manifest, _ = release
    path = store.blob(manifest.binaries[0].sha256)
    path.write_bytes(path.read_bytes()[::-1])

    with pytest.raises(KubeV6Error, match=r"kubeadm: the blob sha256:\w+ has the sha256 \w+; build or fetch"):
        registry.push(manifest, store, running.url)

    assert running.blob(BINARY_REPOSITORY, f"sha256:{manifest.binaries[0].sha256}").status_code == 404


def test_a_blob_missing_in_the_store_is_said_before_anything_is_sent(
    store: Store, release: tuple[Manifest, str]
) -> None:
    manifest, _ = release
    store.blob(manifest.binaries[1].sha256).unlink()

    with pytest.raises(KubeV6Error, match=r"kubelet: the blob sha256:\w+ missing"):
        registry.push(manifest, store, "http://127.0.0.1:9")


def test_no_registry_there_is_one_line_and_worth_a_retry(store: Store, release: tuple[Manifest, str]) -> None:
    manifest, _ = release
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(KubeV6Error, match="no answer") as caught:
        registry.push(manifest, store, url)

    assert caught.value.transient
    assert url in caught.value.message
    assert "\n" not in str(caught.value)
