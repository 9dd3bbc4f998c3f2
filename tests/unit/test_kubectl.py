"""Where kubectl is run, which depends on what it understands."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from configs.errors import KubeV6Error
from configs.manifest import BinaryEntry
from configs.schema.loading import load_cluster
from tasks.kubernetes import kubectl
from tasks.kubernetes.kubeadm import KUBECTL
from tasks.release.store import Store
from tasks.ssh.connection import Connection, Result
from tasks.ssh.endpoint import Endpoint
from tests.fakes import fake_of, substitute
from tests.unit.sample import manifest

ENDPOINT = Endpoint(node="kube-master", host="192.0.2.1")


@fake_of(Connection)
class Fake:
    """A connection that answers every command alike and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: tuple[Sequence[str], bytes] = ((), b"")

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *_: object) -> None: ...

    def run(self, command: Sequence[str], *, stdin: bytes, **_: Any) -> Result:
        self.asked = (command, stdin)
        return Result(3, "a page\n", "a complaint\n")


def test_an_old_kubectl_runs_on_the_control_plane_and_its_words_and_status_come_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = Fake()
    substitute(monkeypatch, kubectl, "connect", lambda _: connection)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"kind: Namespace\n")))
    old = manifest().model_copy(update={"version": "v1.9.0-alpha.0.ipv6.0"})
    status = kubectl.run(load_cluster("kube-v6"), old, Store(), {"kube-master": ENDPOINT}, ["apply", "-f", "-"])
    words = [*KUBECTL.split(), "apply", "-f", "-"]
    assert connection.asked == (words, b"kind: Namespace\n")
    assert status == 3
    assert capsys.readouterr() == ("a page\n", "a complaint\n")


@pytest.mark.usefixtures("own_data")
def test_a_kubectl_that_was_damaged_is_taken_from_the_store_again() -> None:
    store = Store()
    sha256, size = store.add_stream([b"kubectl"])
    entry = BinaryEntry(name="kubectl", sha256=sha256, size=size)
    held = manifest().model_copy(update={"binaries": (entry,)})
    program = kubectl._executable(held, store)
    program.write_bytes(b"KUBECTL")

    assert kubectl._executable(held, store) == program
    assert program.read_bytes() == b"kubectl"
    program.unlink()
    store.blob(sha256).unlink()
    with pytest.raises(KubeV6Error, match="missing; kubev6 deploy makes the release whole again"):
        kubectl._executable(held, store)
