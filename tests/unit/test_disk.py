"""A disk that is full under the data directory while a run goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.errors import KubeV6Error
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from tasks import deployed
from tasks.kubernetes import kubeadm
from tasks.lab import record as lab_record
from tasks.lab.record import LabRecord, NodeRecord
from tasks.ssh.connection import Connection, Result
from tests.fakes import fake_of, substitute
from tests.unit import sample

RACK = load_cluster("bare-metal")
NODE = NodeRecord("kube-support", ("support",), "0123", "172.20.0.3", 22, "ssh-ed25519 AAAA")
LAB = LabRecord("lab", "172.20.0.0/24", "172.20.0.2", (NODE,))


@fake_of(Connection)
class ControlPlane:
    def run(self, _script: str, **_: object) -> Result:
        return Result(0, "apiVersion: v1\n", "")


def fetch_kubeconfig(cluster: Cluster) -> None:
    kubeadm.fetch_kubeconfig(ControlPlane(), cluster)  # type: ignore[arg-type]


@pytest.fixture
def full_disk(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files can still be made, as on a real one, and nothing can be written into them: full(4)."""
    opened = os.open

    def on_full_disk(path: Path, flags: int, mode: int) -> int:
        assert path.is_relative_to(own_data)
        return opened("/dev/full", flags, mode)

    substitute(monkeypatch, os, "open", on_full_disk)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize(
    "write",
    [
        lambda: deployed.remember(RACK, sample.manifest(), load_release("debian-1.20")),
        lambda: deployed.remember_machines(RACK),
        lambda: fetch_kubeconfig(RACK),
        lambda: lab_record.ensure_key("lab"),
        lambda: lab_record.write(LAB),
    ],
)
def test_whatever_a_deploy_writes_there_says_how_to_make_room(write: Callable[[], object], own_data: Path) -> None:
    with pytest.raises(KubeV6Error) as told:
        write()
    assert str(told.value) == (
        f"the data directory {own_data} cannot be written: No space left on device; make room (kubev6 cache prune), "
        "or set KUBEV6_DATA to a directory on a larger disk"
    )
