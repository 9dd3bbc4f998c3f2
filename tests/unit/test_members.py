"""A control plane that has lost its state, and a worker that has lost its kubeconfig, by what is on them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from configs.errors import NodeError
from configs.manifest import Manifest, SourceEntry
from configs.schema.loading import load_cluster
from tasks.kubernetes import kubeadm, members
from tasks.kubernetes.members import Members, listed, refuse_lost_state
from tasks.ssh.connection import Connection
from tests.fakes import substitute

NODE = "kube-control-plane"
MANIFEST = Manifest(
    name="x",
    version="v1.20.2",
    key="k",
    created="now",
    source=SourceEntry(kind="built", origin="here"),
    binaries=(),
    images=(),
)


class Here:
    """This machine, with a directory of the test for each of the machine's own."""

    node = NODE

    def __init__(self, root: Path, known: str) -> None:
        self.root = root
        for name, script in {"kubectl": known, "systemctl": f"echo $* >>{root}/said"}.items():
            path = root / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)

    def put(self, path: str) -> Path:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("content\n")
        return place

    def run(self, script: str, **_: object) -> SimpleNamespace:
        for directory in ("/etc/kubernetes", "/var/lib"):
            script = script.replace(directory, f"{self.root}{directory}")
        environment = {**os.environ, "PATH": f"{self.root}/bin:/usr/bin:/bin"}
        done = subprocess.run(
            ["sh", "-c", script], capture_output=True, text=True, check=True, env=environment, cwd=self.root
        )
        return SimpleNamespace(stdout=done.stdout)


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        ("", Members()),
        ("Node a True\nNode b False\nNode c \nDaemonSet kube-proxy \n", Members(("a", "b", "c"), frozenset("a"))),
        ("Node a True\nDaemonSet other \n", Members(("a",))),  # init died on the way
        ("Node kube-proxy True\n", Members(("kube-proxy",))),
        (
            'Node a True podCIDR=fd00:101::/64 {"node-role.kubernetes.io/control-plane":"","os":"linux"}\n'
            "Node b Unknown podCIDR= map[kubernetes.io/hostname:b node-role.kubernetes.io/master:]\n"
            'Node c  {"os":"linux"}\n'
            'DaemonSet kube-proxy  {"k8s-app":"kube-proxy"}\n',
            Members(("a", "b", "c"), frozenset("a"), frozenset("ab"), (("a", "fd00:101::/64"),)),
        ),
    ],
)
def test_members_are_ready_when_their_kubelets_are_heard_of_and_kube_proxy_is_there(
    printed: str, found: Members
) -> None:
    assert listed(printed) == found


@pytest.mark.parametrize(
    ("lost", "known", "seen"),
    [
        ("", f"echo node/{NODE}", ""),
        ("", f"[ -e asked ] && exec echo node/{NODE}; touch asked; exit 1", ""),  # it starts, and is waited for
        ("/etc/kubernetes/admin.conf", f"echo node/{NODE}", r"there is no \S*/etc/kubernetes/admin\.conf"),
        ("/var/lib/etcd/member/snap", "exit 1", r"there is no \S*/var/lib/etcd/member"),
        ("", "exit 0", f"its API server does not know {NODE}"),
    ],
)
def test_a_control_plane_that_has_lost_its_state_says_so_and_what_to_do(
    tmp_path: Path, lost: str, known: str, seen: str
) -> None:
    here = Here(tmp_path, known)
    for path in ("/etc/kubernetes/admin.conf", "/etc/kubernetes/manifests/etcd.yaml", "/var/lib/etcd/member/snap"):
        place = here.put(path)
        if path == lost:
            place.unlink()
            if "member" in path:
                place.parent.rmdir()
    if not seen:
        refuse_lost_state(cast(Connection, here))
        return
    with pytest.raises(NodeError, match=f"lost its state: {seen}.*kubev6 reset.*backup"):
        refuse_lost_state(cast(Connection, here))


def test_an_api_server_that_does_not_come_up_is_no_empty_one_and_ends_the_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Here(tmp_path, "echo refused >&2; exit 1")
    here.put("/etc/kubernetes/admin.conf")
    substitute(monkeypatch, members, "ANSWER_SECONDS", 0)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        refuse_lost_state(cast(Connection, here))
    assert caught.value.stderr == "refused\n"


def test_a_worker_without_its_kubeconfig_is_stopped_and_what_it_has_left_goes(tmp_path: Path) -> None:
    here = Here(tmp_path, "exit 1")
    kubeconfig, certificate = here.put("/etc/kubernetes/kubelet.conf"), here.put("/var/lib/kubelet/pki/current.pem")
    assert not kubeadm.has_lost_kubeconfig(cast(Connection, here))
    assert certificate.exists()
    kubeconfig.unlink()
    assert kubeadm.has_lost_kubeconfig(cast(Connection, here))
    assert not certificate.parent.exists()
    assert (tmp_path / "said").read_text() == "stop kubelet\n"


@pytest.mark.parametrize(("comes_up", "transient"), [(True, True), (False, False)])
def test_a_kubelet_that_is_slow_to_start_is_waited_for_and_kubeadm_tried_again(comes_up: bool, transient: bool) -> None:
    """A refused connection to its health port is no answer, and not the error of the message either."""
    said = (
        "[kubelet-check] The HTTP call failed with error: dial tcp [::1]:10248: connect: connection refused.\n"
        "error execution phase wait-control-plane: couldn't initialize a Kubernetes cluster\n"
    )
    asked: list[str] = []

    def run(command: str, **_: object) -> SimpleNamespace:
        asked.append(command)
        if "kubeadm init" in command:
            return SimpleNamespace(status=1, stdout=said)
        return SimpleNamespace(status=0 if comes_up or "healthz" not in command else 124, stdout="")

    here = SimpleNamespace(run=run, node=NODE, endpoint=SimpleNamespace(node=NODE))
    with pytest.raises(NodeError, match="exit status 1: error execution phase wait-control-plane") as caught:
        kubeadm.init(cast(Connection, here), load_cluster("lab"), MANIFEST)
    assert caught.value.transient is transient
    assert any("timeout -k 5 420 sh" in command for command in asked)
    assert any("timeout 90" in command and "10248/healthz" in command for command in asked)


@pytest.mark.parametrize(
    ("seconds", "status", "seen", "transient"),
    [(0.0, 124, "ended after 0 s", False), (420.0, 124, "exit status 124", True), (0.0, 1, "exit status 1", True)],
)
def test_a_kubeadm_that_hangs_is_ended_and_not_tried_again_and_its_last_words_are_told(
    monkeypatch: pytest.MonkeyPatch, seconds: float, status: int, seen: str, transient: bool
) -> None:
    """What a program within it ends with is no sign of that, and neither is a kubelet that was slow before."""
    substitute(monkeypatch, kubeadm, "INIT_SECONDS", seconds)

    def run(command: str, **_: object) -> SimpleNamespace:
        said = "[kubelet-check] It seems like the kubelet isn't running\n[apiclient] waits for the API server\n"
        if "kubeadm init" in command:
            return SimpleNamespace(status=status, stdout=said)
        return SimpleNamespace(status=0, stdout="")

    here = SimpleNamespace(run=run, node=NODE, endpoint=SimpleNamespace(node=NODE))
    with pytest.raises(NodeError, match=rf"kubeadm init: {seen}: \[apiclient\] waits for the API") as caught:
        kubeadm.init(cast(Connection, here), load_cluster("lab"), MANIFEST)
    assert caught.value.transient is transient


@pytest.mark.parametrize(
    ("labels", "unmarks"), [({"mine": "yes"}, False), ({"node-role.kubernetes.io/master": "", "mine": "yes"}, True)]
)
def test_a_node_that_comes_back_with_its_cluster_is_not_ready_nor_marked_until_it_has_joined(
    labels: dict[str, str], unmarks: bool
) -> None:
    there = {
        "metadata": {"name": NODE, "resourceVersion": "7", "labels": labels},
        "spec": {"podCIDR": "fd00:100::/64"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}]},
    }
    ran, put = list[list[str]](), list[dict[str, Any]]()

    def answer(words: list[str], *, step: str, stdin: bytes = b"", timeout: float) -> SimpleNamespace:
        assert step
        assert timeout
        ran.append(words)
        put.extend([json.loads(stdin)] if stdin else [])
        return SimpleNamespace(stdout=json.dumps(there) if "get" in words else "")

    members.expect(cast(Connection, SimpleNamespace(run=answer)), NODE)
    (node,) = put
    ready, pressure = node["status"]["conditions"]
    assert (ready["status"], pressure) == ("Unknown", there["status"]["conditions"][1])  # type: ignore[index]
    assert (node["metadata"], node["spec"]) == ({"name": NODE, "labels": labels}, there["spec"])
    assert f"/api/v1/nodes/{NODE}/status" in ran[1]
    assert [words[-1] for words in ran[2:]] == ["node-role.kubernetes.io/master-"] * unmarks


def test_a_node_that_the_cluster_does_not_know_needs_nothing_to_join() -> None:
    ran = list[list[str]]()

    def answer(words: list[str], *, step: str, timeout: float) -> SimpleNamespace:  # noqa: ARG001
        ran.append(words)
        return SimpleNamespace(stdout="")

    members.expect(cast(Connection, SimpleNamespace(run=answer)), NODE)
    assert len(ran) == 1
