"""What a node does with certificates: real ones, made by OpenSSL, in a root of the test's own.

kubeadm, systemctl and kubectl are scripts. The processes of the control plane are in a control group of the test's, so
no other can be meant.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.kubernetes import certificate
from tasks.ssh.program import program

CLUSTER = {"name": "lab", "server": "https://[fd00::100]:6443"}
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
LEAVES = ("apiserver", "front-proxy-client", "etcd/server")
KIND = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
"""Of keys that are soon made."""
TOKEN = "abcdef.0123456789abcdef"


class Node:
    """A node whose files are in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pki = root / "etc/kubernetes/pki"
        self.kubelet = root / "var/lib/kubelet/pki"
        self.home = root / "var/lib/kubev6"
        self.programs = root / "bin"
        for each in (self.pki / "etcd", self.kubelet, self.home, self.programs, root / "run", root / "cgroup/kubepods"):
            each.mkdir(parents=True)
        self.script("systemctl", 'echo "$@" >>{root}/ran')
        self.script("kubectl", "test -e {root}/well || {{ echo no route to host >&2; exit 1; }}")
        self.script("journalctl", "echo unauthorised")

    def script(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/bash\n{text.format(root=self.root)}\n")
        path.chmod(0o755)

    def make(self, path: Path, *, days: int = 1) -> None:
        """A certificate and its key."""
        path.parent.mkdir(parents=True, exist_ok=True)
        key, crt = path.with_suffix(".key"), path.with_suffix(".crt")
        words = ["openssl", "req", "-x509", *KIND, "-nodes", "-days", str(days), "-subj", "/CN=test"]
        subprocess.run([*words, "-keyout", key, "-out", crt], check=True, capture_output=True)
        key.chmod(0o600)

    def kubeconfig(self, name: str, of: Path) -> None:
        """A kubeconfig with a certificate and a key in itself."""
        told = {kind: base64.b64encode(of.with_suffix(ending).read_bytes()).decode() for kind, ending in PARTS.items()}
        lines = [f"    client-{kind}-data: {text}" for kind, text in told.items()]
        server = f"    server: {CLUSTER['server']}\n    certificate-authority-data: QUJD\n"
        path = self.pki.parent / name
        path.write_text(f"clusters:\n- cluster:\n{server}users:\n- user:\n" + "\n".join(lines) + "\n")
        path.chmod(0o600)

    def run(self, name: str, **given: object) -> dict[str, Any]:
        """Run a program as it would on the node, and give its answer."""
        text = f"PAYLOAD = {given!r}\n" + program(name)
        for path in ("/etc/kubernetes", "/var/lib/kubelet", "/var/lib/kubev6"):
            text = text.replace(path, f"{self.root}{path}")
        text = text.replace("/run/kubev6-kubeadm.lock", f"{self.root}/run/lock")
        text = text.replace("/sys/fs/cgroup", f"{self.root}/cgroup").replace("START_SECONDS = 240", "START_SECONDS = 2")
        text = text.replace("SECONDS = 120", "SECONDS = 2").replace("ROTATION_SECONDS = 30", "ROTATION_SECONDS = 1")
        done = subprocess.run(
            [sys.executable, "-IS", "-"],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            env={"PATH": f"{self.programs}:/usr/bin:/bin"},
        )
        assert done.returncode == 0, done.stderr
        self.said = done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def certificates(self, *registry: str) -> dict[str, str]:
        """What the node tells, by its own clock."""
        told = self.run("read_certificates", registry=list(registry))
        assert abs(told["now"] - time.time()) < 60
        found: dict[str, str] = told["certificates"]
        return found

    def files(self) -> dict[str, bytes]:
        """What all files of Kubernetes hold."""
        places = (self.pki.parent, self.kubelet)
        return {str(path): path.read_bytes() for place in places for path in place.rglob("*") if path.is_file()}

    def lines_of_keys(self) -> list[str]:
        """A line of each key that there is."""
        found = []
        for text in self.files().values():
            plain = text.decode()
            plain += "".join(
                base64.b64decode(line.split()[-1]).decode() for line in plain.splitlines() if "-key-data" in line
            )
            found += [part.splitlines()[1] for part in plain.split("PRIVATE KEY-----")[1::2]]
        return found

    def ran(self) -> list[str]:
        path = self.root / "ran"
        return path.read_text().splitlines() if path.exists() else []


PARTS = {"certificate": ".crt", "key": ".key"}


@pytest.fixture
def control_plane(tmp_path: Path) -> Iterator[Node]:
    """A control plane whose kubelet rotates its certificate, and whose systemctl starts and ends its components."""
    node = Node(tmp_path)
    for name in (*LEAVES, "ca", "front-proxy-ca", "etcd/ca"):
        node.make(node.pki / name)
    for name in ("admin.conf", "controller-manager.conf", "scheduler.conf", "kubelet.conf"):
        node.kubeconfig(name, node.pki / "apiserver")
    node.make(node.kubelet / "kubelet")
    newest = node.kubelet / "kubelet-client-2026.pem"
    newest.write_text((node.pki / "ca.crt").read_text() + (node.pki / "ca.key").read_text())
    (node.kubelet / "kubelet-client-current.pem").symlink_to(newest)
    start = "(exec -a /usr/local/bin/{} sleep 300) </dev/null >/dev/null 2>&1 & echo $! >>{{root}}/pids"
    starts = "; ".join(map(start.format, COMPONENTS))
    group = "{root}/cgroup/kubepods/cgroup.procs"
    node.script(
        "systemctl",
        'echo "$@" >>{root}/ran\n'
        f'if [ "$1" = start ]; then {starts}; cp {{root}}/pids {group}\n'
        f"else : >{{root}}/pids; fi",
    )
    (tmp_path / "well").touch()
    subprocess.run([node.programs / "systemctl", "start", "kubelet"], check=True)
    yield node
    for line in (tmp_path / "pids").read_text().split():
        if Path(f"/proc/{line}").exists():
            os.kill(int(line), signal.SIGKILL)


RENEW = {
    "cluster": CLUSTER,
    "commands": [["certs", "renew", "all"]],
    "again": False,
    "kubelet": [],
    "serving": False,
    "server": "",
}


def renewing(node: Node) -> None:
    """Let kubeadm make other certificates, as it does: only what is not there by the phases of init."""
    made = node.root / "made"
    node.make(made)
    copies = "; ".join(f"{{root}}/put {node.pki / name}" for name in LEAVES)
    node.script("../put", 'cp {root}/made.crt "$1.crt"; cp {root}/made.key "$1.key"')
    node.script("kubeadm", f'echo kubeadm "$@" >>{{root}}/ran; {copies}')


def test_every_certificate_is_told_by_its_name_and_no_key_is(control_plane: Node) -> None:
    node, registry = control_plane, control_plane.root / "registry.pem"
    registry.write_text((node.pki / "ca.key").read_text() + (node.pki / "ca.crt").read_text())
    found = node.certificates("/nowhere/ca.crt", str(registry))
    crt = {name: (node.pki / f"{name}.crt").read_text() for name in (*LEAVES, "ca", "front-proxy-ca", "etcd/ca")}
    kubeconfigs = dict.fromkeys(("admin.conf", "controller-manager.conf", "scheduler.conf"), crt["apiserver"])
    others = {"kubelet client": crt["ca"], "registry": crt["ca"]}
    assert found == {
        **crt,
        **kubeconfigs,
        **others,
        "kubelet server": (node.kubelet / "kubelet.crt").read_text(),
    }
    assert not [key for key in node.lines_of_keys() if key in node.said]


def test_a_kubelet_that_rotates_nothing_shows_what_its_kubeconfig_holds_or_names(control_plane: Node) -> None:
    node = control_plane
    (node.kubelet / "kubelet-client-current.pem").unlink()
    found = node.certificates()
    assert found["kubelet client"] == (node.pki / "apiserver.crt").read_text()
    (node.pki.parent / "kubelet.conf").write_text(f"    client-certificate: {node.pki / 'ca.crt'}\n")
    assert node.certificates()["kubelet client"] == (node.pki / "ca.crt").read_text()


@pytest.mark.parametrize("held", ["", "%%%", base64.b64encode(b"no certificate").decode(), "QUJ"])
def test_a_file_without_a_certificate_is_told_and_a_node_of_nothing_has_none(tmp_path: Path, held: str) -> None:
    node = Node(tmp_path)
    assert node.certificates("/nowhere") == {}
    (node.pki / "apiserver.crt").write_bytes(b"\xff\xfe half")
    (node.pki.parent / "admin.conf").write_text(f"    client-certificate-data: {held}\n")
    assert node.certificates() == {"apiserver": "", "admin.conf": ""}


def test_a_renewal_leaves_other_certificates_and_other_processes_and_keeps_what_was_before(
    control_plane: Node,
) -> None:
    node, before, ran = control_plane, control_plane.files(), len(control_plane.ran())
    renewing(node)
    old = (node.root / "pids").read_text().split()
    assert node.run("renew_control_plane", **RENEW) == {}
    config = node.pki.parent / "kubev6-kubeadm.yaml"
    assert node.ran()[ran:] == [f"kubeadm certs renew all --config {config}", "stop kubelet", "start kubelet"]
    assert not [
        each for each in old if Path(f"/proc/{each}/cmdline").exists() and Path(f"/proc/{each}/cmdline").read_text()
    ]
    assert certificate.read((node.pki / "apiserver.crt").read_text()) == certificate.read(
        (node.root / "made.crt").read_text()
    )
    kept = node.home / "certificates-before"
    assert not (node.home / "certificates").exists()
    copies = {str(path).removeprefix(str(kept)): path for path in kept.rglob("*") if path.is_file()}
    assert {path: copy.read_bytes() for path, copy in copies.items()} == {path: before[path] for path in copies}
    assert {"apiserver.key", "apiserver.crt", "admin.conf", "kubelet.key"} <= {copy.name for copy in copies.values()}
    assert not any(copy.name in ("ca.key", "sa.key") for copy in copies.values())
    modes = {copy.stat().st_mode & 0o777 for copy in copies.values() if not copy.is_symlink()}
    assert modes == {0o600}
    assert kept.stat().st_mode & 0o777 == 0o700
    assert not [key for key in node.lines_of_keys() if key in node.said]


def test_an_api_server_that_does_not_come_back_gets_its_certificates_back(control_plane: Node) -> None:
    node, before = control_plane, control_plane.files()
    renewing(node)
    # By the new ones it does not answer.
    node.script(
        "kubectl",
        "cmp -s {root}/made.crt {root}/etc/kubernetes/pki/apiserver.crt && {{ echo bad; echo worse >&2; exit 1; }}; :",
    )
    answer = node.run("renew_control_plane", **RENEW)
    assert answer["seen"] == (
        "the API server has not come back for 2 s: worse; the certificates were put back, and by those it answers"
    )
    assert node.files() == before
    assert (node.kubelet / "kubelet-client-current.pem").is_symlink()
    assert (node.pki / "apiserver.key").stat().st_mode & 0o777 == 0o600
    assert (node.pki / "apiserver.crt").stat().st_mode & 0o777 == 0o644
    assert not (node.home / "certificates").exists()


def test_a_kubeadm_that_fails_leaves_all_as_it_was_and_running(control_plane: Node) -> None:
    node, before, ran = control_plane, control_plane.files(), control_plane.ran()
    node.script(
        "kubeadm", "rm {root}/etc/kubernetes/pki/apiserver.key; echo error: no key; echo to see more...; exit 1"
    )
    answer = node.run("renew_control_plane", **RENEW)
    assert answer["seen"] == "kubeadm certs renew all: error: no key; the certificates were put back"
    assert node.files() == before
    assert node.ran() == ran


def test_a_renewal_that_was_cut_off_is_gone_on_with_and_its_originals_are_still_the_first(control_plane: Node) -> None:
    node, before = control_plane, control_plane.files()
    node.script("kubeadm", "echo torn >{root}/etc/kubernetes/pki/apiserver.crt; kill -9 $PPID")
    with pytest.raises(AssertionError):
        node.run("renew_control_plane", **RENEW)
    assert (node.pki / "apiserver.crt").read_text() == "torn\n"
    node.script("kubeadm", "echo error: again; exit 1")
    assert "put back" in node.run("renew_control_plane", **RENEW)["seen"]
    assert node.files() == before
    renewing(node)
    assert node.run("renew_control_plane", **RENEW) == {}


def test_an_older_kubeadm_makes_again_what_was_removed_and_authorities_stay(control_plane: Node) -> None:
    node, before = control_plane, control_plane.files()
    left = "{{ ls {root}/etc/kubernetes/pki {root}/etc/kubernetes/pki/etcd {root}/etc/kubernetes; }} >{root}/left"
    renewing(node)
    made = (node.programs / "kubeadm").read_text().partition("\n")[2].replace("{", "{{").replace("}", "}}")
    node.script("kubeadm", f"[ -e {{root}}/left ] || {left}\n{made}")
    order = {**RENEW, "commands": [["alpha", "phase", "certs", "all"], ["alpha", "phase", "kubeconfig", "all"]]}
    assert node.run("renew_control_plane", **{**order, "again": True}) == {}
    names = (node.root / "left").read_text().split()
    assert {"ca.crt", "ca.key", "front-proxy-ca.key", "kubelet.conf"} <= set(names)
    assert not {"apiserver.crt", "server.key", "front-proxy-client.crt", "admin.conf"} & set(names)
    assert node.files()[str(node.pki / "ca.key")] == before[str(node.pki / "ca.key")]


def test_a_kubelet_of_a_control_plane_that_has_let_its_certificate_end_gets_another_which_it_rotates(
    control_plane: Node,
) -> None:
    node = control_plane
    renewing(node)
    made = (node.programs / "kubeadm").read_text().partition("\n")[2]
    conf, current = node.pki.parent / "kubelet.conf", node.kubelet / "kubelet-client-current.pem"
    # kubeadm writes a certificate into the kubeconfig, which the kubelet puts where it keeps those that it rotates.
    held = f"[ -e {conf} ] || {{ printf '    client-certificate-data: QUJD\\n    client-key-data: QUJE\\n' >{conf}; "
    (node.programs / "kubeadm").write_text(f"#!/bin/bash\n{made}\n{held} echo >{current}; }}\n")
    order = {**RENEW, "kubelet": ["init", "phase", "kubeconfig", "kubelet"], "serving": True}
    assert node.run("renew_control_plane", **order) == {}
    assert conf.read_text() == f"    client-certificate: {current}\n    client-key: {current}\n"
    assert not (node.kubelet / "kubelet.crt").exists()  # until the kubelet makes it


def test_a_machine_of_another_cluster_is_left_alone(control_plane: Node) -> None:
    node, before = control_plane, control_plane.files()
    (node.home / "record.json").write_text(
        json.dumps({"cluster": {"name": "other", "server": "https://[fd00::9]:6443"}})
    )
    for name, order in (
        ("renew_control_plane", RENEW),
        ("renew_kubelet", {"cluster": CLUSTER, "token": "", "serving": True}),
    ):
        assert node.run(name, **order)["seen"].startswith("belongs to the cluster other at https://[fd00::9]:6443")
    assert node.files() == before


@pytest.fixture
def worker(tmp_path: Path) -> Node:
    """A worker whose kubelet's certificate has ended."""
    node = Node(tmp_path)
    node.make(tmp_path / "old")
    old = node.kubelet / "kubelet-client-2025.pem"
    old.write_text((tmp_path / "old.crt").read_text() + (tmp_path / "old.key").read_text())
    (node.kubelet / "kubelet-client-current.pem").symlink_to(old)
    node.kubeconfig("kubelet.conf", tmp_path / "old")
    return node


def test_a_kubelet_asks_again_by_a_token_and_stays_a_member(worker: Node) -> None:
    node, bootstrap = worker, worker.pki.parent / "bootstrap-kubelet.conf"
    node.make(node.root / "new")
    conf, current = node.pki.parent / "kubelet.conf", node.kubelet / "kubelet-client-current.pem"
    before = conf.read_text()
    node.script(
        "systemctl",
        f'echo "$@" >>{{root}}/ran; stat -c %a {bootstrap} >{{root}}/mode; cp {bootstrap} {{root}}/asked; '
        f"[ -e {conf} ] || {{{{ cat {{root}}/new.crt {{root}}/new.key >{current}; echo of the kubelet >{conf}; }}}}",
    )
    assert node.run("renew_kubelet", cluster=CLUSTER, token=TOKEN, serving=False) == {}
    asked = json.loads((node.root / "asked").read_text())
    assert asked["clusters"][0]["cluster"] == {"server": CLUSTER["server"], "certificate-authority-data": "QUJD"}
    assert asked["users"][0]["user"] == {"token": TOKEN}
    assert (node.root / "mode").read_text() == "600\n"
    assert node.ran() == ["restart kubelet"]
    assert conf.read_text() == "of the kubelet\n"
    assert not bootstrap.exists()
    assert TOKEN not in node.said
    assert [path.read_text() for path in (node.home / "certificates-before").rglob("kubelet.conf")] == [before]


def test_a_kubelet_that_gets_none_has_its_old_one_again_and_no_token_stays(worker: Node) -> None:
    node, before = worker, worker.files()
    answer = node.run("renew_kubelet", cluster=CLUSTER, token=TOKEN, serving=False)
    assert answer["seen"] == "the kubelet has got no certificate within 2 s; its certificates were put back"
    assert answer["detail"] == "unauthorised\n"
    assert node.files() == before
    assert (node.kubelet / "kubelet-client-current.pem").is_symlink()
    assert node.ran() == ["restart kubelet"] * 2


def test_a_kubelet_makes_the_certificate_anew_that_it_serves_with(worker: Node) -> None:
    node = worker
    node.make(node.kubelet / "kubelet")
    before = node.files()
    node.make(node.root / "new")
    node.script(
        "systemctl",
        "cd {root}/var/lib/kubelet/pki; cp {root}/new.crt kubelet.crt; cp {root}/new.key kubelet.key",
    )
    assert node.run("renew_kubelet", cluster=CLUSTER, token="", serving=True) == {}
    changed = {path for path, text in node.files().items() if before.get(path) != text}
    assert changed == {str(node.kubelet / "kubelet.crt"), str(node.kubelet / "kubelet.key")}


def test_a_kubeconfig_that_names_nobody_is_left_as_it_is(worker: Node) -> None:
    node, conf = worker, worker.pki.parent / "kubelet.conf"
    conf.write_text("users: []\n")
    answer = node.run("renew_kubelet", cluster=CLUSTER, token=TOKEN, serving=False)
    assert answer["seen"].endswith("kubelet.conf names no API server and its authority")
    assert (conf.read_text(), node.ran()) == ("users: []\n", [])
