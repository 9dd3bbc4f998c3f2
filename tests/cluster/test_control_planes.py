"""A lab with three control planes: made, left alone, one killed, taken out, brought in, replaced; reset, and grown.

Only with ``make test-ha``, as it takes minutes. What a client sees when a machine dies is printed: docs/own-machines.md
has the figures.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from configs.schema.loading import CONFIGS, load_cluster
from tasks.docker import container_engine
from tasks.kubernetes import etcd
from tasks.kubernetes.etcd import Told
from tasks.lab import lab
from tasks.lab.machine import container_name
from tasks.scope import Threads
from tasks.ssh.connection import connect
from tests.another_build import stored_build
from tests.checkout import REPO
from tests.cluster import objects
from tests.waiting import eventually

NAME = "kubev6-ha-test"
FIRST, SECOND, THIRD = (f"kube-control-plane-{number}" for number in (1, 2, 3))
WORKER = "kube-worker-1"
BUILD_MINUTES = 60
"""A brand-new machine compiles Kubernetes first."""
BEFORE_SECONDS, AFTER_SECONDS = 5, 40
"""How long a client writes before a machine dies, and after that."""
MOST_SECONDS = 20
"""How long the API may be away for a client when a machine dies; a lab on a busy machine takes its time."""
CLIENT = Path(__file__).with_name("writing_client.py")
pytestmark = pytest.mark.skipif(not os.environ.get("KUBEV6_TEST_HA"), reason="takes minutes: `make test-ha` runs it")


@dataclass(frozen=True)
class Cluster:
    """The lab, by its file."""

    file: Path

    @property
    def arguments(self) -> tuple[str, str]:
        """What names it to a command."""
        return ("--cluster", str(self.file))

    def edit(self, before: str, after: str) -> None:
        """Change something of the file."""
        text = self.file.read_text()
        assert before in text
        self.file.write_text(text.replace(before, after))

    def deploy(self) -> str:
        """Deploy as a person would, and what that printed."""
        return kubev6("deploy", *self.arguments, "--prebuilt")


def kubev6(*arguments: str) -> str:
    """Run the command line as a person would; returns what it prints."""
    done = ended(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(*arguments: str) -> str:
    """The same where it has to fail; returns the lines that say why, and what it prints."""
    done = ended(*arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr + done.stdout


def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    command = [sys.executable, "-m", "kubev6", *arguments]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=BUILD_MINUTES * 60, check=False)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, own_history: None) -> Iterator[Cluster]:  # noqa: ARG001
    file = tmp_path_factory.mktemp("cluster") / "lab-ha.yaml"
    shipped = (CONFIGS / "clusters" / "lab-ha.yaml").read_text()
    file.write_text(shipped.replace("name: lab-ha\n", f"name: {NAME}\n"))
    lab.down(NAME)
    try:
        yield Cluster(file)
    finally:
        lab.down(NAME)


def on(node: str, script: str) -> str:
    """What a script says on a machine."""
    with connect(lab.endpoints(NAME)[node]) as ssh:
        return ssh.run(script, step="test", check=False).stdout.strip()


def etcd_of(node: str) -> Told:
    """What a control plane tells of etcd."""
    with connect(lab.endpoints(NAME)[node]) as ssh:
        return etcd.ask(ssh)


def holder() -> str:
    """Who holds the address of the API."""
    asked = {node: on(node, "ip -6 addr show dev eth1") for node in (FIRST, SECOND, THIRD)}
    (found,) = (node for node, said in asked.items() if "fd00::6443/128" in said)
    return found


def lead(node: str) -> None:
    """Make the member of a node etcd's leader, so that the machine that is to die is both."""
    leader = next(each for each in etcd_of(node).members if each.leads)
    if leader.name != node:
        key = "--cert {0}/server.crt --key {0}/server.key --cacert {0}/ca.crt".format("/etc/kubernetes/pki/etcd")
        ids = json.loads(on(node, f"curl -s {key} {leader.url}/v3/cluster/member/list -d '{{}}'"))["members"]
        target = next(each["ID"] for each in ids if each["name"] == node)
        on(node, f'curl -s {key} {leader.url}/v3/maintenance/transfer-leadership -d \'{{"targetID": "{target}"}}\'')
    eventually(lambda: next(each for each in etcd_of(node).members if each.leads).name == node, 30)


def test_three_control_planes_come_up_and_a_second_deploy_changes_nothing(cluster: Cluster) -> None:
    out = cluster.deploy()
    for check, number in (("etcd members", 1), ("etcd leader", 1), ("etcd keys", 1), ("API", 28)):
        assert re.search(rf"{check} +{number} +{number}\b", out), out
    assert "\n0 changes.\n" in cluster.deploy()
    said = on(FIRST, "kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system get secrets")
    assert "default-token" in said or "No resources" in said, said
    assert "kubeadm-certs" not in said
    assert "bootstrap-token" not in said


def test_a_machine_that_dies_takes_no_write_with_it_and_the_api_is_there_again_in_seconds(cluster: Cluster) -> None:
    dying = holder()
    lead(dying)
    admin = on(dying, "cat /etc/kubernetes/admin.conf")
    order = {"admin": admin, "seconds": BEFORE_SECONDS + AFTER_SECONDS}
    with connect(lab.endpoints(NAME)[WORKER]) as ssh:
        container = machine(dying)
        killing = subprocess.Popen(["sh", "-c", f"sleep {BEFORE_SECONDS}; docker kill {container.id} >/dev/null"])
        said = ssh.run_python(CLIENT.read_text(), order, step="test", timeout=BEFORE_SECONDS + AFTER_SECONDS + 60)
        killing.wait()
    kept = set(kubev6("kubectl", *cluster.arguments, "--", "get", "configmaps", "-o", "name").split())
    lost = [name for name in said["acknowledged"] if f"configmap/{name}" not in kept]
    sys.stdout.write(
        f"\n{said['sent']} writes, one every 100 ms: {said['failed']} failed, from {said['first']:.1f} s to "
        f"{said['last']:.1f} s after the start, the longest time without one {said['gap']:.1f} s; {len(lost)} lost\n"
    )
    assert lost == []
    assert said["failed"] < said["sent"] / 2
    assert said["gap"] < MOST_SECONDS
    assert holder_but(dying) != dying
    container.start()
    lab.up(load_cluster(cluster.file))
    kubev6("verify", *cluster.arguments)


def holder_but(gone: str) -> str:
    """Who holds the address when one is dead."""
    others = [node for node in (FIRST, SECOND, THIRD) if node != gone]
    return next(node for node in others if "fd00::6443/128" in on(node, "ip -6 addr show dev eth1"))


def test_a_control_plane_leaves_and_comes_by_the_file(cluster: Cluster) -> None:
    third = f"  - name: {THIRD}\n    roles: [control-plane]\n    address: fd00::13\n"
    cluster.edit(third, "")
    cluster.deploy()
    assert {each.name for each in etcd_of(FIRST).members} == {FIRST, SECOND}
    cluster.edit("workers: 1", f"{third}workers: 1")
    cluster.deploy()
    assert {each.name: each.seen for each in etcd_of(FIRST).members} == {FIRST: "", SECOND: "", THIRD: ""}


def test_a_dead_one_is_replaced_and_a_join_that_died_half_way_is_not_taken_for_a_finished_one(cluster: Cluster) -> None:
    assert "it is alive: its member of etcd answers; `kubev6 deploy`" in refused("replace", FIRST, *cluster.arguments)
    assert "it is alive: its kubelet answers; `kubev6 deploy`" in refused("replace", WORKER, *cluster.arguments)
    former = machine(FIRST)
    former.kill()
    with Threads(1) as pool:
        dying = pool.submit(kill_kubeadm_when_etcd_has_its_manifest, FIRST, str(former.id))
        assert f"{FIRST}: kubeadm join: exit status 137" in refused("replace", FIRST, *cluster.arguments, "--yes")
        dying.result()
    node = on(SECOND, f"kubectl --kubeconfig /etc/kubernetes/admin.conf get node {FIRST} --no-headers").split()
    assert node[2] == "<none>", node
    assert re.search(r"control plane role +3 +3\b", cluster.deploy())
    assert {each.name: each.seen for each in etcd_of(FIRST).members} == {FIRST: "", SECOND: "", THIRD: ""}
    machine(WORKER).kill()
    kubev6("replace", WORKER, *cluster.arguments, "--yes")
    assert "\n0 changes.\n" in cluster.deploy()


def machine(node: str) -> Container:
    """The container of a machine."""
    return container_engine.client().containers.get(container_name(NAME, node))


def kill_kubeadm_when_etcd_has_its_manifest(node: str, former: str) -> None:
    """Do that on the machine that is made in the place of a former one, as soon as it is there."""
    until_then = "until [ -s /etc/kubernetes/manifests/etcd.yaml ]; do sleep 0.05; done; pkill -9 -x kubeadm"

    def is_new() -> bool:
        with suppress(docker.errors.NotFound):
            return bool(machine(node).id != former and machine(node).status == "running")
        return False

    eventually(is_new, 180)
    assert machine(node).exec_run(["timeout", "240", "sh", "-c", until_then]).exit_code == 0


def test_certificates_are_renewed_on_one_control_plane_after_the_other(cluster: Cluster) -> None:
    assert "\n30 certificates renewed.\n" in kubev6("certs", "renew", *cluster.arguments, "--yes")


def test_another_build_rolls_on_one_control_plane_after_the_other_and_goes_back(
    cluster: Cluster, tmp_path: Path
) -> None:
    replaced = ("etcd", "kube-apiserver")
    get = ["get", "pods", "-o", "custom-columns=:.metadata.name,:.spec.containers[0].image", "--no-headers"]

    def builds() -> set[bool]:
        """Whether the static pods that are replaced are of the other build."""
        pods = kubev6("kubectl", *cluster.arguments, "--", "-n", "kube-system", *get).splitlines()
        return {"-kubev6-ha-other" in pod for pod in pods if pod.startswith(replaced)}

    with stored_build(NAME, tmp_path, "kubev6-ha-other", {name: name for name in replaced}) as release:
        planned = kubev6("deploy", *cluster.arguments, "--prebuilt", release, "--plan")
        assert re.findall("replace component (.*) [(]", planned) == [*replaced] * 3
        done = ended("deploy", *cluster.arguments, "--prebuilt", release)
        assert done.returncode == 0, done.stdout + done.stderr
        ran = re.findall(r"^(kube-control-plane-\d) +(etcd|kube-apiserver) .* runs ", done.stderr, re.MULTILINE)
        assert ran == [(node, name) for node in (FIRST, SECOND, THIRD) for name in replaced]
        assert builds() == {True}
        kubev6("rollback", *cluster.arguments)
        assert builds() == {False}
    assert "\n0 changes.\n" in cluster.deploy()


def test_all_control_planes_are_lost_and_every_object_comes_back(cluster: Cluster, tmp_path: Path) -> None:
    def kubectl(*words: str) -> str:
        return kubev6("kubectl", *cluster.arguments, "--", *words)

    key = objects.new_key(tmp_path)
    objects.make(kubectl)
    before = objects.seen(kubectl)
    kubev6("backup", *cluster.arguments, "--key", f"{key}.pub")
    restore = ("restore", *cluster.arguments, "--key", str(key), "--yes")
    assert f"{FIRST}: restore: it is a control plane of {NAME} still" in refused(*restore)
    for node in (FIRST, SECOND, THIRD):
        machine(node).remove(force=True, v=True)
    out = kubev6(*restore)
    assert re.search(r"etcd members +1 +1\b", out), out
    assert objects.lost(before, objects.seen(kubectl)) == []
    assert {each.name: each.seen for each in etcd_of(FIRST).members} == {FIRST: "", SECOND: "", THIRD: ""}
    assert "\n0 changes.\n" in cluster.deploy()


def test_a_reset_leaves_nothing_of_it(cluster: Cluster) -> None:
    kubev6("reset", *cluster.arguments, "--yes")
    for node in (FIRST, SECOND, THIRD):
        assert on(node, "ip -6 addr show dev eth1 | grep fd00::6443; pgrep -x keepalived; ls /var/lib/etcd") == ""
        assert on(node, "ls /etc/kubernetes /etc/keepalived/keepalived.conf 2>/dev/null") == ""


def test_a_cluster_that_was_made_with_an_endpoint_grows_from_one_control_plane_to_three(cluster: Cluster) -> None:
    others = "".join(
        f"  - name: {name}\n    roles: [control-plane]\n    address: fd00::1{number}\n"
        for number, name in ((2, SECOND), (3, THIRD))
    )
    cluster.edit(others, "")
    cluster.deploy()
    cluster.edit("workers: 1", f"{others}workers: 1")
    out = cluster.deploy()
    for check, number in (("control plane role", 3), ("etcd members", 1), ("API", 28)):
        assert re.search(rf"{check} +{number} +{number}\b", out), out
