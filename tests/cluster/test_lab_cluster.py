"""The whole thing: a lab from nothing to a proved cluster, by the commands that a person types.

One lab serves all tests of this file, in any order: each begins with the cluster that the file names. In the order in
which they stand, which is that in which a person would do these things, hardly one has to deploy for that.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from configs.schema.loading import CONFIGS, load_cluster
from kubev6.server import login
from kubev6.server.api import ask
from tasks import deployed
from tasks.docker import container_engine
from tasks.lab import lab
from tasks.lab import machine as lab_machine
from tasks.lab import record as lab_record
from tasks.paths import cluster_dir, cluster_lock, data_dir
from tasks.ssh.connection import connect
from tests.another_build import stored_build
from tests.checkout import REPO
from tests.cluster import objects
from tests.conftest import KEPT_LAB
from tests.waiting import eventually

NAME = "kubev6-cluster-test"
WORKER = "kube-worker-1"
LEAVER = "kube-worker-2"
RESET_SECONDS = 30
RERUN_SECONDS = 30
"""For a deploy that changes nothing, on a machine that is busy besides; tests/bench/rerun.py measures what it takes."""
BOOTSTRAP_TOKEN = re.compile(rb"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")
UIDS = (
    "kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system get pods -l k8s-app=kube-dns "
    "-o custom-columns=:.metadata.uid,:.status.containerStatuses[0].restartCount"
)
"""Asks for the pods that no build of the tests replaces: cluster DNS's."""
ENDED = """
cd /etc/kubernetes/pki
openssl x509 -in apiserver.crt -x509toreq -signkey apiserver.key -copy_extensions copyall -out /run/request
openssl x509 -req -in /run/request -CA ca.crt -CAkey ca.key -days -1 -copy_extensions copyall -out apiserver.crt
pkill -KILL kube-apiserver
timeout 50 sh -c 'until kubectl --kubeconfig ../admin.conf get nodes 2>&1 | grep "has expired"; do sleep 1; done'
"""
"""Signs what the API server shows again, so that it has ended: by the same key and for the same names."""
BUILD_MINUTES = 60
"""A brand-new machine compiles Kubernetes first."""


@dataclass
class Cluster:
    """The lab under test: its file, what the deploy that made it printed, and whether it is what the file says."""

    file: Path
    first_output: str
    deployed: bool = True

    @contextmanager
    def changing(self) -> Iterator[None]:
        """What is done in here leaves the cluster as it was, unless it fails."""
        self.deployed = False
        yield
        self.deployed = True


def kubev6(*arguments: str, minutes: float = 10) -> subprocess.CompletedProcess[str]:
    """Run the command line as a person would, and keep what it prints."""
    command = [sys.executable, "-m", "kubev6", *arguments]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=minutes * 60, check=False)


def deploy_and_list_changes(cluster: Cluster) -> dict[str, list[str]]:
    """Deploy, and what that changed on each machine, in a few words."""
    done = kubev6("deploy", "--cluster", str(cluster.file), "--prebuilt")
    assert done.returncode == 0, done.stdout + done.stderr
    logs = sorted((data_dir() / "logs").glob("*-deploy.log"), key=lambda path: path.stat().st_mtime)
    log = next(text for text in (path.read_text() for path in reversed(logs)) if NAME in text)
    changed: dict[str, list[str]] = {}
    for subject, what in re.findall(r" changed: (\S+): (.*)", log):
        changed.setdefault(subject, []).append(what.partition(" (")[0])
    return changed


def followed(verb: str, name: str) -> list[str]:
    """What changes on another machine when the second worker comes or goes.

    networkd has to read its file again: when the link loses its carrier and gets it back, it makes the routes that it
    has read. A restart of it loses no packet.
    """
    network = [
        "replace file /etc/systemd/network/10-kubev6-eth1.network",
        "replace file /etc/hosts",
        f"{verb} route fd00:102::/64 via fd00::102 dev eth1 metric 1024",
        "restart service systemd-networkd.service",
    ]
    resolver = ["replace file /etc/bind/named.conf.options", "restart service named.service"]
    return network + resolver * (name == "kube-support")


def machines() -> list[str]:
    """Names of the lab's containers."""
    found = container_engine.client().containers.list(all=True, filters={"label": f"{lab_record.LAB_LABEL}={NAME}"})
    return [str(container.name) for container in found]


def on(name: str, script: str) -> str:
    """What a script says on a machine."""
    with connect(lab.endpoints(NAME)[name]) as ssh:
        return ssh.run(script, step="test", check=False).stdout


def running_since(name: str) -> str:
    """When the services that carry pods, images and NAT64 were started on a machine."""
    units = "kubelet containerd docker-registry kubev6-registry-writer kubev6-nat64"
    return on(name, f"systemctl show -p Id,ActiveEnterTimestampMonotonic {units}")


def members(cluster: Cluster) -> list[str]:
    done = kubev6("kubectl", "--cluster", str(cluster.file), "--", "get", "nodes", "-o", "name")
    assert done.returncode == 0, done.stderr
    return sorted(line.removeprefix("node/") for line in done.stdout.split())


def assert_nothing_left(name: str) -> None:
    """No file, link, rule, route, address, unit, mount or process of Kubernetes' or ours on a machine."""
    assert on(name, "grep -rl kubev6 /etc /usr/local /run/systemd 2>/dev/null") == ""
    places = "/var/lib/kubev6 /var/lib/kubelet /var/lib/cni /var/lib/etcd /etc/kubernetes /etc/cni /usr/bin/kube*"
    assert on(name, f"ls -d {places} 2>/dev/null") == ""
    assert on(name, "iptables-save; ip6tables-save").count("KUBE") == 0
    assert on(name, "ls /sys/class/net").split() == ["eth0", "eth1", "lo"]
    routes = on(name, "ip -6 route show table main").splitlines()
    assert [route for route in routes if not route.startswith("fe80::/64")] == []
    assert on(name, "ip -4 route show default").startswith("default via")
    assert "fd00:" not in on(name, "ip -6 addr")
    assert on(name, "cat /proc/self/mounts | grep -E 'kubelet|k8s.io|netns/cni'") == ""
    active = on(
        name,
        "systemctl list-units --plain --no-legend --state=active,activating,failed 'kube*' 'containerd*' "
        "'named*' 'docker-registry*' 'systemd-networkd*'",
    )
    assert active == ""
    assert on(name, "ps -e -o comm=").count("containerd-shim") == 0
    assert on(name, "sysctl -n net.ipv6.conf.all.forwarding").strip() == "0"


def topology(name: str = NAME) -> str:
    """What the file of the lab says."""
    return (CONFIGS / "clusters" / "lab.yaml").read_text().replace("name: lab\n", f"name: {name}\n")


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The lab, from nothing and to nothing; or the one that is kept, which is brought to what the file says."""
    kept = request.config.getoption("--kept-lab")
    if not kept:
        request.getfixturevalue("own_history")
        lab.down(NAME)
    file = tmp_path_factory.mktemp("cluster") / "lab.yaml"
    file.write_text(topology(KEPT_LAB if kept else NAME))
    try:
        done = subprocess.run(
            [sys.executable, "flows/deploy.py", "--cluster", str(file)],
            cwd=REPO,
            capture_output=True,
            text=True,
            timeout=BUILD_MINUTES * 60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield Cluster(file, done.stdout)
    finally:
        if not kept:
            lab.down(NAME)


@pytest.fixture
def cluster(shared: Cluster) -> Cluster:
    """The lab, deployed as its file says, whatever the test before has made of it."""
    if not shared.deployed:
        shared.file.write_text(topology())
        done = kubev6("deploy", "--cluster", str(shared.file), "--prebuilt")
        assert done.returncode == 0, done.stdout + done.stderr
        shared.deployed = True
    return shared


def test_a_deploy_from_nothing_ends_in_a_proved_cluster_and_says_what_to_do_next(cluster: Cluster) -> None:
    shown = cluster.first_output
    for words in ("kube-support", "fd00::100", "fd00:102::/64", "NAT64 fetch", "kubeadm init", "Next:"):
        assert words in shown
    for command in ("kubectl", "ssh", "lab down"):
        assert f"kubev6 {command} --cluster {cluster.file}" in shown


@pytest.mark.fast
def test_the_proof_for_machines_holds_every_check_and_all_are_ok(cluster: Cluster) -> None:
    done = kubev6("verify", "--cluster", str(cluster.file), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    checks = json.loads(done.stdout)
    assert all(check["ok"] for check in checks)
    by_name = {name: [c for c in checks if c["name"] == name] for name in {c["name"] for c in checks}}
    assert len(by_name["pod to pod"]) == 6
    assert len(by_name["node Ready"]) == len(by_name["hairpin"]) == len(by_name["cluster DNS"]) == 3
    services = ("UDP", "large datagram", "large page", "session affinity", "endpoint there", "endpoint gone")
    for name in ("ClusterIP", "NodePort", *services, "source address", "API", "NAT64 name", "NAT64 fetch"):
        assert len({check["source"] for check in by_name[name]}) == 6
    assert all(check["seen"].startswith("fd00:64:ff9b::") for check in by_name["NAT64 name"])
    assert all(check["seen"] == lab_machine.OUTSIDE_PAGE.strip() for check in by_name["NAT64 fetch"])


@pytest.mark.fast
def test_deploying_again_changes_nothing(cluster: Cluster) -> None:
    planned = kubev6("deploy", "--cluster", str(cluster.file), "--plan", "--json")
    assert planned.returncode == 0, planned.stderr
    began = time.monotonic()
    again = kubev6("deploy", "--cluster", str(cluster.file), "--prebuilt")
    took = time.monotonic() - began
    assert again.returncode == 0, again.stdout + again.stderr
    assert "\n0 changes.\n" in again.stdout
    assert took < RERUN_SECONDS


def deployment_run(name: str, **parameters: object) -> None:
    """Ask the kept server for a run of a deployment as a person would, and wait for its end."""
    words = ["deployment", "run", f"kubev6/{name}", "--params", json.dumps(parameters), "--watch"]
    command = [sys.executable, "-m", "prefect", "--no-prompt", *words]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def dated_tags(image: str) -> list[str]:
    """Of an image in the cluster's own registry."""
    url = f"http://[::1]:5000/v2/{image}/tags/list"
    told = on("kube-support", f"python3 -c 'import urllib.request as u; print(u.urlopen(\"{url}\").read().decode())'")
    return [tag for tag in json.loads(told)["tags"] if re.fullmatch(r"\d{8}", tag)]


@pytest.mark.fast
def test_everything_in_kube_system_runs_by_the_digest_of_its_image(cluster: Cluster) -> None:
    done = kubev6("kubectl", "--cluster", str(cluster.file), "--", "-n", "kube-system", "get", "pods", "-o", "json")
    assert done.returncode == 0, done.stderr
    images = {container["image"] for pod in json.loads(done.stdout)["items"] for container in pod["spec"]["containers"]}
    assert len(images) == 6  # four static pods, kube-proxy, and what answers for names
    assert [image for image in images if "@sha256:" not in image] == []


def test_deployments_run_as_typed_on_the_kept_server_which_local_runs_then_use_too(cluster: Cluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port}/api")
        try:
            up = kubev6("server", "up", "--port", str(port))
            assert up.returncode == 0, up.stderr
            patch.setenv(login.LOGIN, login.of(f"http://127.0.0.1:{port}/api"))
            deployment_run("build-and-deploy", cluster=str(cluster.file))
            here = kubev6("deploy", "--cluster", str(cluster.file), "--prebuilt")
            assert f"the kept server, http://127.0.0.1:{port}" in here.stderr
            asked = ask(f"http://127.0.0.1:{port}/api", "/flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC"})
            ended = [(run["name"], run["state"]["message"]) for run in asked[:2]]
            assert ended == [(f"deploy-{NAME}", "0 changes; 107 checks, all ok")] * 2

            assert dated_tags("kube-proxy") == []
            deployment_run("nightly-rebuild", release="debian-1.20", cluster=str(cluster.file), deploy=True)
            asked = ask(f"http://127.0.0.1:{port}/api", "/flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC"})
            (night,) = (run["state"]["message"] for run in asked if run["name"] == "nightly-debian-1.20")
            (date,) = dated_tags("kube-proxy")
            assert night == (
                f"nothing has changed; deployed on {cluster.file}; "
                f"pushed to https://[fd00::64]:5000 as {date}, 0 old ones deleted"
            )
        finally:
            kubev6("server", "down")


def test_a_pod_reads_the_registry_over_tls_and_changes_nothing_there(cluster: Cluster) -> None:  # noqa: ARG001
    certificate = "/etc/containerd/certs.d/kube-support:5000/ca.crt"
    ask = f"curl -s -o /dev/null -w '%{{http_code}}\\n' --max-time 10 --cacert {certificate}"
    asked = (
        f"{ask} https://kube-support:5000/v2/",
        f"{ask} https://kube-support:5000/v2/kube-proxy/tags/list",
        f"{ask} -X POST https://kube-support:5000/v2/kube-proxy/blobs/uploads/",
        f"{ask} -X PUT https://kube-support:5000/v2/kube-proxy/manifests/latest",
        f"{ask} http://[::1]:5000/v2/",
    )
    pod = "ip netns exec $(ls /run/netns | grep -m 1 cni-)"
    told = on("kube-control-plane", "\n".join(f"{pod} {each}" for each in asked))
    assert told.split() == ["200", "200", "405", "405", "000"]


def test_a_bundle_tells_of_every_machine_and_holds_no_secret_of_the_cluster(cluster: Cluster, tmp_path: Path) -> None:
    def kubectl(*words: str) -> str:
        done = kubev6("kubectl", "--cluster", str(cluster.file), "--", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    kubectl("create", "secret", "generic", "of-somebody", "--from-literal=word=a-secret-of-somebody-s")
    token = on("kube-control-plane", "kubeadm token create --ttl 10m 2>/dev/null").strip()
    assert BOOTSTRAP_TOKEN.fullmatch(token.encode())
    secrets = [token, "a-secret-of-somebody-s"]
    for secret in json.loads(kubectl("get", "secrets", "--all-namespaces", "-o", "json"))["items"]:
        for name, value in (secret.get("data") or {}).items():
            plain = base64.b64decode(value).decode(errors="replace")
            public = (
                name == "namespace" or len(plain) < 20 or "BEGIN CERTIFICATE" in plain or plain.startswith("system:")
            )
            secrets += [] if public else [value, plain]
    kubeconfig = (cluster_dir(NAME) / "kubeconfig").read_text()
    secrets += re.findall(r"client-key-data: (\S+)", kubeconfig)
    keys = [path.read_text() for path in (data_dir() / "labs").rglob("*") if path.is_file()]
    keys += [
        on("kube-control-plane", "cat /etc/kubernetes/pki/*.key"),
        on("kube-support", "cat /etc/kubev6/registry.pem"),
    ]
    keys = [
        part for text in keys for part in re.findall(r"BEGIN [A-Z ]*PRIVATE KEY-----\n(.*?)-----END", text, re.DOTALL)
    ]
    secrets += [line for each in keys for line in each.splitlines() if len(line) > 30]
    assert len(secrets) > 20

    path = tmp_path / "bundle.tar.gz"
    began = time.monotonic()
    done = kubev6("bundle", "--cluster", str(cluster.file), "--output", str(path))
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 300
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as archive:
        told = {
            each.name.partition("/")[2]: file.read().decode() for each in archive if (file := archive.extractfile(each))
        }
    assert [(name, secret) for name, text in told.items() for secret in secrets if secret in text] == []
    for name in (*machines_of(cluster), "kube-support"):
        assert "inet6 fd00::" in told[f"machines/{name}/network/addresses.txt"]
        assert told[f"machines/{name}/plan.txt"].startswith("to be changed:\n\nnetwork\n"), "nothing is lacking"
    assert "kube-worker-1" in told["machines/kube-control-plane/kubectl/nodes.txt"]
    assert "kubelet" in told["machines/kube-worker-1/journal/kubelet.txt"]
    assert any(name.startswith("here/runs/") for name in told)


def machines_of(cluster: Cluster) -> list[str]:
    return [node.name for node in load_cluster(str(cluster.file)).nodes if node.in_kubernetes]


def test_kubectl_works_from_this_machine_and_its_kubeconfig_is_private(cluster: Cluster) -> None:
    done = kubev6("kubectl", "--cluster", str(cluster.file), "--", "get", "nodes", "-o", "json")
    assert done.returncode == 0, done.stderr
    addresses = [
        address["address"]
        for node in json.loads(done.stdout)["items"]
        for address in node["status"]["addresses"]
        if address["type"] == "InternalIP"
    ]
    assert sorted(addresses) == ["fd00::100", "fd00::101", "fd00::102"]
    assert stat.S_IMODE((cluster_dir(NAME) / "kubeconfig").stat().st_mode) == 0o600
    refused = kubev6("kubectl", "--cluster", str(cluster.file), "--", "get", "node", "nobody")
    assert refused.returncode == 1
    assert "NotFound" in refused.stderr


def test_a_pod_is_reached_by_its_host_port(cluster: Cluster) -> None:
    image = deployed.deployed(load_cluster(cluster.file)).image("probe")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "host-port"},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": WORKER},
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "probe",
                    "image": f"kube-support:5000/probe:{image.tag}",
                    "ports": [{"containerPort": 8080, "hostPort": 18080}],
                }
            ],
        },
    }
    kubectl = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
    made = on("kube-control-plane", f"{kubectl} create -f - <<'EOF'\n{json.dumps(pod)}\nEOF")
    try:
        assert "created" in made
        on("kube-control-plane", f"{kubectl} wait --for condition=Ready --timeout 60s pod/host-port")
        for asking in ("kube-control-plane", WORKER):
            assert on(asking, "curl -s --max-time 10 http://[fd00::101]:18080/").strip() == "host-port"
    finally:
        on("kube-control-plane", f"{kubectl} delete pod host-port")


def test_upstreams_own_tests_of_the_network_pass(cluster: Cluster) -> None:
    """Forty and some of them, the quick ones; `make e2e` runs all."""
    slow = "affinity|Conntrack|Firewall|GCE|Granular|headless|proxy-name|resolv.conf|up and down"
    chosen = ("--cluster", str(cluster.file), "--focus", f"^(?!.*({slow}))")
    done = kubev6("e2e", *chosen, "--json", minutes=BUILD_MINUTES)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    tests = told["tests"]
    assert len(tests) >= 40
    assert {test["outcome"] for test in tests} == {"passed"}
    assert told["stand_ins"]["cluster-dns-stand-in"] == "CoreDNS"
    for area in ("DNS", "Services", "EndpointSlice", "KubeProxy", "Networking", "Proxy"):
        assert any(test["name"].startswith(f"[sig-network] {area} ") for test in tests), area
    record = data_dir() / "runs" / f"{told['run']}.json"
    assert record.with_suffix(".junit.xml").read_text().count("<testcase ") == len(tests)
    assert b"hairpin" in gzip.decompress(record.with_suffix(".e2e.log.gz").read_bytes())
    report = kubev6("report", told["run"])
    assert f"{len(tests)} of {len(tests)} tests passed as expected" in Path(report.stdout.strip()).read_text()
    left = "kubectl --kubeconfig /etc/kubernetes/admin.conf get ns -l e2e-run -o name"
    eventually(lambda: on("kube-control-plane", left) == "", 120)  # those of the last tests go by themselves


@contextmanager
def watched(cluster: Cluster, told: Path) -> Iterator[list[dict[str, object]]]:
    """Watch the cluster over what is done in here; afterwards the outages that were seen."""
    command = [sys.executable, "-m", "kubev6", "verify", "--cluster", str(cluster.file), "--watch", "--json"]
    outages: list[dict[str, object]] = []
    with told.open("w") as err, subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=err) as watch:
        try:
            eventually(lambda: "Ctrl-C ends" in told.read_text(), 120)
            yield outages
            watch.send_signal(signal.SIGINT)
            out, _ = watch.communicate(timeout=60)
        finally:
            watch.kill()
    outages += json.loads(out)["outages"]
    assert watch.returncode == bool(outages), told.read_text()


RULES = {
    "kube-worker-2": "-t nat -I POSTROUTING -o eth1 -s fd00:102::/64 -j MASQUERADE",
    "kube-control-plane": "-I FORWARD -p udp --dport 8080 -j DROP",
}
"""What hides who asks, and what UDP does not pass, by the machine."""


def test_what_has_drifted_fails_the_proof_shows_in_a_plan_and_is_mended_by_a_deploy(
    cluster: Cluster, tmp_path: Path
) -> None:
    with cluster.changing(), watched(cluster, tmp_path / "watch") as outages:
        broken = kubev6(
            "ssh", "--cluster", str(cluster.file), WORKER, "--", "ip", "-6", "route", "del", "fd00:102::/64"
        )
        assert broken.returncode == 0, broken.stderr
        for node, rule in RULES.items():
            on(node, f"ip6tables {rule}")

        proof = kubev6("verify", "--cluster", str(cluster.file), "--json")
        assert proof.returncode == 1
        failed = [check for check in json.loads(proof.stdout) if not check["ok"]]
        assert {(check["name"], check["source"], check["target"]) for check in failed} >= {
            ("pod to pod", f"pod on {WORKER}", "pod on kube-worker-2"),
            ("source address", "pod on kube-worker-2", "Service of kube-control-plane"),
            ("UDP", "kube-worker-2", "Service of kube-control-plane"),
        }
        for node, rule in RULES.items():
            on(node, f"ip6tables {rule.replace('-I ', '-D ')}")

        planned = kubev6("deploy", "--cluster", str(cluster.file), "--plan")
        assert "fd00:102::/64" in planned.stdout
        assert "1 change in all" in planned.stdout

        mended = kubev6("deploy", "--cluster", str(cluster.file), "--prebuilt")
        assert mended.returncode == 0, mended.stdout + mended.stderr
        assert "\n1 change.\n" in mended.stdout
        eventually(lambda: "  ok      pod to pod from " in (tmp_path / "watch").read_text(), 30)
    assert ("pod to pod", f"pod on {WORKER}", "pod on kube-worker-2", True) in [
        (each["name"], each["source"], each["target"], each["over"]) for each in outages
    ]


def test_certificates_that_have_ended_are_named_and_renewed_although_nobody_can_speak_to_the_api_server(
    cluster: Cluster,
) -> None:
    def serials() -> dict[str, str]:
        done = kubev6("certs", "--cluster", str(cluster.file), "--json")
        found = [each for each in json.loads(done.stdout) if each["node"] == "kube-control-plane"]
        return {each["name"]: each["serial"] for each in found}

    with cluster.changing():
        assert "has expired" in on("kube-control-plane", ENDED)
        before = serials()
        proof = kubev6("verify", "--cluster", str(cluster.file))
        assert proof.returncode == 1
        assert "ended: apiserver on " in proof.stderr
        assert "`kubev6 certs renew`" in proof.stderr

        renewed = kubev6("certs", "renew", "--cluster", str(cluster.file), "--yes")
        assert renewed.returncode == 0, renewed.stdout + renewed.stderr
        assert "\n10 certificates renewed.\n" in renewed.stdout
        after = serials()
        kept = {"ca", "etcd/ca", "front-proxy-ca", "kubelet client", "kubelet server", "registry"}
        assert {name for name, serial in before.items() if after[name] == serial} == kept
        assert members(cluster) == machines_of(cluster)  # by the new kubeconfig


def test_the_control_plane_is_lost_with_all_that_it_had_and_comes_back_from_a_backup_with_every_object(
    cluster: Cluster, tmp_path: Path
) -> None:
    of_cluster = ("--cluster", str(cluster.file))

    def kubectl(*words: str) -> str:
        done = kubev6("kubectl", *of_cluster, "--", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with cluster.changing():
        objects.make(kubectl)
        before, key = objects.seen(kubectl), objects.new_key(tmp_path)
        backup = kubev6("backup", *of_cluster, "--key", f"{key}.pub", "--to", str(tmp_path))
        assert backup.returncode == 0, backup.stderr
        (file,) = tmp_path.glob(f"{NAME}-*.kubev6.age")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        container_engine.client().containers.get(f"kubev6-{NAME}.kube-control-plane").remove(force=True, v=True)
        restored = kubev6("restore", *of_cluster, str(file), "--key", str(key), "--yes")
        assert restored.returncode == 0, restored.stdout + restored.stderr
        assert objects.lost(before, objects.seen(kubectl)) == []
        again = kubev6("restore", *of_cluster, str(file), "--key", str(key), "--yes")
        assert again.returncode == 1
        assert "kube-control-plane: restore: it is a control plane of" in again.stderr
        objects.remove(kubectl)
        assert deploy_and_list_changes(cluster) == {}


def test_restarted_machines_come_back_as_they_were(cluster: Cluster) -> None:
    with cluster.changing():
        client = container_engine.client()
        for machine in client.containers.list(filters={"label": f"{lab_record.LAB_LABEL}={NAME}"}):
            machine.restart(timeout=10)
        lab.up(load_cluster(cluster.file))
        proof = kubev6("verify", "--cluster", str(cluster.file), "--json")
        assert proof.returncode == 0, proof.stdout + proof.stderr
        planned = kubev6("deploy", "--cluster", str(cluster.file), "--plan")
        assert "0 changes in all" in planned.stdout, planned.stdout


def image_of(pod: str) -> str:
    get = "kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system get pods -o custom-columns="
    lines = on("kube-control-plane", f"{get}:.metadata.name,:.spec.containers[0].image").splitlines()
    return next(line.split()[1] for line in lines if line.startswith(pod))


def test_another_build_rolls_on_a_bad_one_goes_back_and_a_rollback_ends_where_it_was(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Of one component, which takes a minute each time; all of them are the same by other steps."""
    running = {name: running_since(name) for name in machines_of(cluster)}
    others, before = on("kube-control-plane", UIDS), image_of("kube-scheduler")
    good = stored_build(NAME, tmp_path, "kubev6-test-good", {"kube-scheduler": "kube-scheduler"})
    bad = stored_build(NAME, tmp_path, "kubev6-test-bad", {"kube-scheduler": "pause"})
    where = ("--cluster", str(cluster.file))
    with cluster.changing(), good as release, bad as broken:
        planned = kubev6("deploy", *where, "--prebuilt", release, "--plan")
        assert re.findall("replace component (.*) [(]", planned.stdout) == ["kube-scheduler"], planned.stderr

        done = kubev6("deploy", *where, "--prebuilt", release)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "kubev6-test-good@sha256" in image_of("kube-scheduler")

        done = kubev6("deploy", *where, "--prebuilt", broken)
        assert done.returncode == 1
        assert "kube-control-plane: upgrade: kube-scheduler not Ready with the new image (" in done.stderr
        assert f"cluster {NAME} was put back to v1.20.2" in done.stderr, done.stderr
        assert "kubev6-test-good@sha256" in image_of("kube-scheduler")

        done = kubev6("rollback", *where)
        assert done.returncode == 0, done.stdout + done.stderr
        assert image_of("kube-scheduler") == before
        again = kubev6("rollback", *where)
        assert (again.returncode, "no build to go back to" in again.stderr) == (1, True)
        assert deploy_and_list_changes(cluster) == {}
    assert on("kube-control-plane", UIDS) == others, "what is not replaced runs on"
    assert {name: running_since(name) for name in running} == running


def test_a_worker_leaves_when_the_file_names_it_no_longer_and_joins_when_it_does_again(cluster: Cluster) -> None:
    others = ("kube-support", "kube-control-plane", WORKER)
    running = {name: running_since(name) for name in others}
    with cluster.changing():
        cluster.file.write_text(cluster.file.read_text().replace("workers: 2", "workers: 1"))
        planned = kubev6("deploy", "--cluster", str(cluster.file), "--plan")
        assert f"leave cluster {NAME} (drained, deleted and reset" in planned.stdout

        changed = deploy_and_list_changes(cluster)
        left = [f"leave cluster {NAME}", f"reset machine {LEAVER}", f"remove machine {LEAVER}"]
        assert changed.pop(LEAVER) == left
        assert changed == {name: followed("remove", name) for name in others}
        assert members(cluster) == ["kube-control-plane", WORKER]
        assert [machine for machine in machines() if LEAVER in machine] == []
        for name in others:
            assert "fd00:102::" not in on(name, "ip -6 route; cat /etc/hosts /etc/systemd/network/*")

        cluster.file.write_text(topology())
        changed = deploy_and_list_changes(cluster)
        assert changed.pop(LEAVER)[-1] == f"join cluster {NAME}"
        assert changed.pop(NAME) == [f"start machines {NAME}"]
        assert changed == {name: followed("add", name) for name in others}
        assert members(cluster) == ["kube-control-plane", WORKER, LEAVER]
        assert {name: running_since(name) for name in others} == running


def test_a_reset_of_a_worker_and_then_of_all_leaves_nothing_and_a_deploy_makes_a_cluster_of_them_again(
    cluster: Cluster,
) -> None:
    with cluster.changing():
        done = kubev6("reset", "--cluster", str(cluster.file), LEAVER, "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        assert members(cluster) == ["kube-control-plane", WORKER]
        assert_nothing_left(LEAVER)

        began = time.monotonic()
        done = kubev6("reset", "--cluster", str(cluster.file), "--yes")
        took = time.monotonic() - began
        assert done.returncode == 0, done.stdout + done.stderr
        assert took < RESET_SECONDS
        assert f"{LEAVER}: nothing to reset" in done.stdout
        for name in ("kube-support", "kube-control-plane", WORKER):
            assert_nothing_left(name)
        assert sorted(path.name for path in cluster_dir(NAME).iterdir()) == ["lock", "machines.json"]
        again = kubev6("reset", "--cluster", str(cluster.file), "--yes")
        assert again.returncode == 0
        assert again.stdout.count(": nothing to reset\n") == 4

        done = kubev6("deploy", "--cluster", str(cluster.file), "--prebuilt")
        assert done.returncode == 0, done.stdout + done.stderr
        assert members(cluster) == ["kube-control-plane", WORKER, LEAVER]


@pytest.mark.usefixtures("cluster")
def test_no_join_token_was_written_anywhere_on_this_machine() -> None:
    kept = [path for place in ("logs", "prefect", "clusters", "labs") for path in (data_dir() / place).rglob("*")]
    found = {}
    for path in (path for path in kept if path.is_file()):
        if tokens := set(BOOTSTRAP_TOKEN.findall(path.read_bytes())):
            found[str(path)] = tokens
    assert found == {}


def test_down_leaves_nothing(cluster: Cluster) -> None:
    cluster.deployed = False
    assert kubev6("lab", "down", "--cluster", str(cluster.file)).returncode == 0
    client = container_engine.client()
    mine: dict[str, str | list[str] | bool] = {"label": f"{lab_record.LAB_LABEL}={NAME}"}
    assert client.containers.list(all=True, filters=mine) == []
    assert client.networks.list(filters=mine) == []
    assert client.volumes.list(filters=mine) == []
    assert NAME not in [status.name for status in lab.status_all()]
    assert list(cluster_dir(NAME).iterdir()) == [cluster_lock(NAME)]
    gone = kubev6("deploy", "--cluster", str(cluster.file), "--plan")
    assert gone.returncode == 1
    assert "is not up" in gone.stderr
