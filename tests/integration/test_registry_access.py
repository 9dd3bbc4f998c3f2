"""Who may do what with a cluster's registry: the two servers that the support stage configures, as they really are."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
import requests

from configs.manifest import Manifest
from configs.plan.node import plan_node
from configs.plan.state import Certificate, StageState
from configs.plan.systems import machine_running
from configs.schema.loading import load_cluster, load_release
from tasks import bounded
from tasks.docker import container_engine
from tasks.node.resources.certificate import problem
from tasks.node_agent import record as agent_record
from tasks.node_agent.protocol import Failed
from tasks.node_agent.record import read_record
from tasks.node_agent.resources.binary import download
from tasks.node_agent.resources.certificate import Certificates
from tasks.release import registry
from tasks.release.registry import Pushed
from tasks.release.registry_client import KINDS
from tasks.release.store import Store
from tasks.ssh.connection import Connection
from tests.fakes import fake_of, substitute
from tests.integration.sshd import free_port
from tests.integration.test_registry import registry_image, release, store
from tests.waiting import eventually

__all__ = ["registry_image", "release", "store"]


@dataclass(frozen=True)
class Access:
    """The registry of a support node: where it is written, where it is read, and what it shows there."""

    write: str
    read: str
    certificate: Path


def support_stage() -> StageState:
    machine = machine_running("debian-12")
    state = plan_node(load_cluster("lab"), load_release("debian-1.20"), None, "kube-support", machine)
    stage = state.stage("support")
    assert stage is not None
    return stage


def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str = "localhost") -> Path:
    """A key and a certificate, as the agent makes them."""
    substitute(monkeypatch, agent_record, "HOME", str(tmp_path / "home"))
    wanted = Certificate(str(tmp_path / name / "registry.pem"), name, "::1")
    change = {"kind": "certificate", "subject": wanted.path, "action": "make", "resource": asdict(wanted)}
    kind, record = Certificates(), read_record("support")
    kind.note(change, record)
    kind.make(change, record)
    shown = kind.facts([wanted.path], [record], [])[wanted.path]
    assert problem(shown, wanted) == ""
    assert "PRIVATE" not in shown
    assert Path(wanted.path).stat().st_mode & 0o777 == 0o400
    pinned = tmp_path / name / "ca.crt"
    pinned.write_text(shown)
    return pinned


@pytest.fixture
def access(registry_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Access]:
    program = tmp_path / "docker-registry"
    client = container_engine.client()
    container = client.containers.create(registry_image)
    try:
        subprocess.run(["docker", "cp", f"{container.id}:/usr/bin/docker-registry", program], check=True)
    finally:
        container.remove()
    certificate, stage = made(tmp_path, monkeypatch), support_stage()
    texts = [file.content for file in stage.files if "maintenance" in file.content or "delete" in file.content]
    ports, servers = (free_port(), free_port()), []
    assert len(texts) == 2
    try:
        for port, text, address in zip(ports, texts, ("[fd00::64]:5000", "[::1]:5000"), strict=True):
            assert address in text
            mine = text.replace(address, f"[::1]:{port}").replace("/var/lib/docker-registry", str(tmp_path / "storage"))
            settings = tmp_path / f"{port}.yml"
            settings.write_text(mine.replace("/etc/kubev6/registry.pem", str(certificate.with_name("registry.pem"))))
            servers.append(subprocess.Popen([program, "serve", settings], stderr=subprocess.DEVNULL))
        found = Access(f"http://[::1]:{ports[1]}", f"https://[::1]:{ports[0]}", certificate)
        eventually(lambda: answers(f"{found.read}/v2/", found.certificate) and answers(f"{found.write}/v2/", None))
        yield found
    finally:
        for server in servers:
            server.terminate()
            server.wait(timeout=20)


def answers(url: str, certificate: Path | None) -> bool:
    try:
        return requests.get(url, verify=str(certificate or True), timeout=5).status_code == 200
    except requests.RequestException:
        return False


@fake_of(Connection)
class Here:
    """A connection to this machine, which is the support node."""

    node = "kube-support"

    def run_python(self, script: str, payload: object, *, step: str, timeout: float, kind: type) -> Any:
        program = f"PAYLOAD = {payload!r}\n{script}".encode()
        words = [sys.executable, "-IS", "-"]
        run = subprocess.run(words, input=program, stdout=subprocess.PIPE, timeout=timeout, check=False)
        assert run.returncode == 0, step
        return bounded.formed(run.stdout, kind)


def test_a_deploy_asks_the_registry_once_and_sends_what_it_lacks_or_has_lost(
    access: Access,
    store: Store,
    release: tuple[Manifest, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manifest, _ = release
    opened = []

    @contextmanager
    def writable(*_: object) -> Iterator[str]:
        opened.append(access.write)
        yield access.write

    for name, value in (("STORAGE", str(tmp_path / "storage")), ("READ", str(tmp_path / "read.json"))):
        substitute(monkeypatch, registry, name, value)
    substitute(monkeypatch, registry, "writable", writable)
    whole, port = load_cluster("lab"), urlsplit(access.write).port
    cluster = whole.model_copy(update={"registry": whole.registry.model_copy(update={"port": port})})
    fill = partial(registry.fill, cast(Connection, Here()), cluster, manifest, store)
    first = fill()
    assert (first.sent, first.present) == (5, 0)
    assert fill() == Pushed(0, 5, 0)
    assert len(opened) == 1  # nothing goes there when nothing is lacking
    blob = manifest.binaries[0]
    kept = tmp_path / "storage/docker/registry/v2/blobs/sha256" / blob.sha256[:2] / blob.sha256 / "data"
    kept.write_bytes(b"x" * blob.size)
    assert fill() == Pushed(1, 4, blob.size)
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == blob.sha256
    image = manifest.images[0]
    other = manifest.model_copy(update={"images": (image.model_copy(update={"tag": "another"}),)})
    assert registry.fill(cast(Connection, Here()), cluster, other, store) == Pushed(1, 4, 0)
    assert fill() == Pushed(0, 5, 0)
    assert len(opened) == 3


def test_what_a_deploy_writes_is_read_by_nodes_and_changed_by_nobody_on_the_fabric(
    access: Access,
    store: Store,
    release: tuple[Manifest, str],
    tmp_path: Path,
) -> None:
    manifest, _ = release
    assert registry.push(manifest, store, access.write).sent == 5
    (image,) = manifest.images
    at = f"{access.read}/v2/{image.name}"
    with requests.Session() as pod:
        pod.verify, pod.trust_env = str(access.certificate), False
        seen = pod.get(f"{at}/manifests/{image.tag}", headers={"Accept": KINDS})
        assert seen.headers["Docker-Content-Digest"] == image.digest
        content = b"of somebody else's"
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        for method, path in (
            ("POST", f"{at}/blobs/uploads/"),
            ("POST", f"{at}/blobs/uploads/?digest={digest}"),
            ("POST", f"{at}/blobs/uploads/?mount={image.digest}&from={image.name}"),
            ("PUT", f"{at}/manifests/{image.tag}"),
            ("DELETE", f"{at}/manifests/{image.digest}"),
            ("DELETE", f"{at}/blobs/{json.loads(seen.text)['config']['digest']}"),
        ):
            refused = pod.request(method, path, data=content, headers={"Content-Type": seen.headers["Content-Type"]})
            assert refused.status_code == 405, (method, path)
        assert pod.get(f"{at}/manifests/{image.tag}", headers={"Accept": KINDS}).content == seen.content

    binary = manifest.binaries[0]
    wanted = {**binary.model_dump(), "path": "/usr/bin/kubeadm", "certificate": str(access.certificate)}
    wanted["url"] = f"{access.read}/v2/kubev6/binaries/blobs/sha256:{binary.sha256}"
    download(wanted, str(tmp_path / "fetched"), lambda *_: None)
    assert (tmp_path / "fetched").stat().st_size == binary.size


def test_who_answers_in_the_registry_s_place_is_not_listened_to(
    access: Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"path": "/usr/bin/kubeadm", "sha256": "0" * 64, "size": 1, "url": f"{access.read}/v2/"}
    wanted["certificate"] = str(made(tmp_path / "other", monkeypatch))
    with pytest.raises(Failed, match="CERTIFICATE_VERIFY_FAILED"):
        download(wanted, str(tmp_path / "fetched"), lambda *_: None)
    assert requests.get(access.read.replace("https", "http"), timeout=5).status_code == 400
