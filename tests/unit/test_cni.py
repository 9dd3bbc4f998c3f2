"""A CNI of one's own: what is read of its manifests, and what a cluster with one is planned like."""

from __future__ import annotations

import re
import subprocess
from ipaddress import IPv6Network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from configs.errors import ConfigError, NodeError
from configs.manifest import ImageEntry
from configs.membership import Membership
from configs.plan.node import plan_node
from configs.plan.state import NodeState
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from tasks.kubernetes import cni
from tasks.node.compatibility import Candidate, problems
from tests.checkout import REPO
from tests.fakes import substitute

SHIPPED = (REPO / "configs" / "clusters" / "lab.yaml").read_text()
RELEASE = load_release("debian-1.20")
PODS = IPv6Network("fd00:64::/32")
"""Apart from the nodes' own addresses."""


def cluster_with(tmp_path: Path, said: str) -> Cluster:
    file = tmp_path / "lab.yaml"
    file.write_text(f"{SHIPPED}\ncni: {said}\n")
    return load_cluster(file)


def written(tmp_path: Path, *texts: str) -> Cluster:
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.yaml").write_text(text)
    names = ", ".join(f"{number}.yaml" for number in range(len(texts)))
    return cluster_with(tmp_path, f"{{by: manifests, manifests: [{names}]}}")


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("{by: manifests}", r"cni\.manifests: is missing; the files of a CNI"),
        ("{manifests: [a.yaml]}", r"cni\.manifests: are applied with `by: manifests`, and cni\.by is bridge"),
        ("{by: none, manifests: [a.yaml]}", "cni.by is none; take one of them out"),
        ("{by: calico}", "calico.*bridge.*manifests.*none"),
    ],
)
def test_what_a_cluster_file_cannot_say_of_its_cni(tmp_path: Path, said: str, wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        cluster_with(tmp_path, said)


def test_plugins_are_named_as_before_and_files_begin_beside_the_clusters(tmp_path: Path) -> None:
    assert cluster_with(tmp_path, "system").cni.plugins == "system"
    found = cluster_with(tmp_path, "{by: manifests, manifests: [a.yaml, /b/c.yaml]}").cni
    assert found.manifests == (str(tmp_path / "a.yaml"), "/b/c.yaml")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (None, r"0\.yaml: No such file or directory; name files of Kubernetes' objects"),
        ("", r"0\.yaml: it holds no object"),
        ("---\n---\n", "it holds no object"),
        ("kind: [", "0.yaml: while parsing"),
        ("just text", "document 1 has no apiVersion and kind"),
        ("apiVersion: v1\nkind: ConfigMap\n---\nkind: Pod\n", "document 2 has no apiVersion and kind"),
        ("[" * 3000, "0.yaml: "),
        ("\0", "0.yaml: "),
    ],
)
def test_manifests_that_cannot_be_applied_are_one_line(tmp_path: Path, text: str | None, wrong: str) -> None:
    cluster = written(tmp_path, text or "")
    if text is None:
        (tmp_path / "0.yaml").unlink()
    with pytest.raises(ConfigError, match=wrong) as raised:
        cni.refuse_unreadable(cluster)
    assert "\n" not in str(raised.value)


def test_a_directory_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    directory = tmp_path / "cni"
    directory.mkdir()
    cluster = cluster_with(tmp_path, "{by: manifests, manifests: [cni]}")
    with pytest.raises(ConfigError, match=r"holds no file that ends in \.yaml, \.yml, \.json"):
        cni.manifests(cluster)
    for name in ("20.yaml", "10.json", "notes.txt"):
        (directory / name).write_text(f'{{"apiVersion": "v1", "kind": "{name}"}}')
    assert [each["kind"] for each in yaml.safe_load_all(cni.manifests(cluster))] == ["10.json", "20.yaml"]


IMAGES = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {annotations: {image: not.an/image}}
spec:
  template:
    spec:
      initContainers:
      - image: "quay.io/cni/install:v1"
      - {name: b, image: quay.io/cni/node:v1.2}
      containers:
      - name: c
        image: quay.io/cni/node:v1   # the same, older
      - {"image": 'quay.io/cni/node:v1', "name": "d"}
---
{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": "localhost:5000/x:1@sha256:00"}], "on": yes}}
"""


def entry(name: str) -> ImageEntry:
    return ImageEntry(name=name, tag="1", digest=f"sha256:{'a' * 64}", size=1)


def test_images_of_pods_are_found_and_taken_from_the_clusters_registry() -> None:
    cluster = load_cluster("lab")
    found = cni.images(IMAGES)
    assert found == (
        "quay.io/cni/install:v1",
        "quay.io/cni/node:v1.2",
        "quay.io/cni/node:v1",
        "localhost:5000/x:1@sha256:00",
    )
    held = {name: entry("any") for name in found if "install" not in name}
    references = cni.references(cluster, held)
    digest = f"@sha256:{'a' * 64}"
    assert references == {
        "quay.io/cni/node:v1.2": f"kube-support:5000/cni/quay.io/cni/node{digest}",
        "quay.io/cni/node:v1": f"kube-support:5000/cni/quay.io/cni/node{digest}",
        "localhost:5000/x:1@sha256:00": f"kube-support:5000/cni/localhost_5000/x{digest}",
    }
    changed = cni.with_images(IMAGES, references)
    pods, pod = yaml.load_all(changed, Loader=yaml.BaseLoader)
    spec = pods["spec"]["template"]["spec"]
    assert [each["image"] for each in (*spec["initContainers"], *spec["containers"], *pod["spec"]["containers"])] == [
        "quay.io/cni/install:v1",
        *[references[f"quay.io/cni/node:{tag}"] for tag in ("v1.2", "v1", "v1")],
        references["localhost:5000/x:1@sha256:00"],
    ]
    assert '"on": yes' in changed
    assert "image: not.an/image" in changed
    assert "# the same, older" in changed


def test_what_aliases_make_large_is_read_in_a_moment(tmp_path: Path) -> None:
    bomb = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
    cni.refuse_unreadable(written(tmp_path, f"apiVersion: v1\nkind: ConfigMap\na0: &a0 [x]\n{bomb}"))


def test_an_image_without_a_tag_is_refused(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: quay.io/cni/node}]}\n"
    with pytest.raises(ConfigError, match=r"the image 'quay\.io/cni/node' is no image with its tag"):
        cni.refuse_unreadable(written(tmp_path, text))


def planned(cluster: Cluster, node: str, **machine: Any) -> NodeState:
    return plan_node(cluster, RELEASE, None, node, Machine(**machine))


def test_nodes_with_another_cni_have_no_bridge_and_no_routes_to_pods_and_the_support_node_has(tmp_path: Path) -> None:
    bridged, own = load_cluster("lab"), cluster_with(tmp_path, "{by: none}")
    to_pods = {str(node.pod_subnet) for node in own.kubernetes_nodes}

    def routes(cluster: Cluster, node: str) -> set[str]:
        network = planned(cluster, node).stage("network")
        assert network
        return {route.destination for route in network.routes} & to_pods

    assert len(routes(bridged, "kube-worker-1")) == len(to_pods) - 1
    assert routes(own, "kube-worker-1") == set()
    assert routes(own, "kube-support") == to_pods
    runtime = planned(own, "kube-worker-1").stage("runtime")
    assert runtime
    files = {file.path: file.content for file in runtime.files}
    assert not any(path.startswith("/etc/cni") for path in files)
    assert runtime.only_files_in == ()
    assert runtime.shared_directories == ("/etc/cni/net.d", "/opt/cni/bin")
    assert 'bin_dir = "/opt/cni/bin"' in files["/etc/containerd/config.toml"]
    assert "L /opt/cni/bin/loopback - - - - /usr/lib/cni/loopback\n" in files["/etc/tmpfiles.d/kubev6-cni.conf"]
    assert [reload.command for reload in runtime.reloads] == [
        ("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/kubev6-cni.conf")
    ]


def test_a_containerd_that_looks_into_several_directories_needs_no_links(tmp_path: Path) -> None:
    own = cluster_with(tmp_path, "{by: none}")
    runtime = planned(own, "kube-worker-1", runtime="2.2.1").stage("runtime")
    assert runtime
    files = {file.path: file.content for file in runtime.files}
    assert 'bin_dirs = ["/opt/cni/bin", "/usr/lib/cni"]' in files["/etc/containerd/config.toml"]
    assert "/etc/tmpfiles.d/kubev6-cni.conf" not in files
    assert runtime.reloads == ()


def test_pods_are_told_by_their_prefix_where_there_is_no_bridge(tmp_path: Path) -> None:
    release = load_release("v1.34.2")
    for by in ("none", "bridge"):
        cluster = cluster_with(tmp_path, f"{{by: {by}}}")
        cluster = cluster.model_copy(update={"pods": cluster.pods.model_copy(update={"prefix": PODS})})
        stage = plan_node(cluster, release, None, "kube-control-plane", Machine()).stage("kubernetes")
        assert stage
        (text,) = [file.content for file in stage.files if "ClusterConfiguration" in file.content]
        assert ("bridgeInterface: cbr0" in text, f"clusterCIDR: {PODS}" in text) == (by == "bridge", by == "none")


@pytest.mark.parametrize(
    ("by", "has", "wrong"),
    [
        ("none", ("10-bridge-v6.conflist",), "connected by the bridge of kubev6, and cni.by is none"),
        ("bridge", ("10-x.conflist",), r"connected by another CNI \(10-x\.conflist\), and cni.by is bridge"),
        ("bridge", ("10-bridge-v6.conflist", "99-x.conf"), ""),
        ("bridge", (), ""),
        ("none", (), ""),
        ("none", ("05-own.conflist",), ""),
    ],
)
def test_the_cni_of_a_node_is_not_changed_under_its_pods(
    tmp_path: Path, by: str, has: tuple[str, ...], wrong: str
) -> None:
    cluster = cluster_with(tmp_path, f"{{by: {by}}}")
    machine = Machine(membership=Membership(is_node=True, cni=has))
    candidate = Candidate(cluster, RELEASE, cluster.node("kube-worker-1"), machine)
    found = " ".join(problems(candidate))
    assert ("pods are connected by" in found) == bool(wrong)
    assert re.search(wrong, found)


@pytest.mark.parametrize(
    ("by", "told", "refused"),
    [
        ("none", "fd00:101::/64", False),
        ("none", "fd00:9:101::/64", True),
        ("bridge", "fd00:9:101::/64", False),  # which is asked of the machine
    ],
)
def test_a_node_whose_pods_would_have_other_addresses_is_refused_with_a_cni_of_ones_own_too(
    tmp_path: Path, by: str, told: str, refused: bool
) -> None:
    cluster = cluster_with(tmp_path, f"{{by: {by}}}")
    assert str(cluster.node("kube-worker-1").pod_subnet) == "fd00:101::/64"
    seen = ""
    try:
        cni.refuse_other_pod_subnets(cluster, (("kube-worker-1", told), ("somebody-else", "fd00:8::/64")))
    except NodeError as error:
        seen = str(error)
    assert (f"kube-worker-1: preflight: its pods have addresses of {told}, and by the file" in seen) == refused


def node(name: str, *, ready: bool, why: str = "", subnet: str = "") -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False", "message": why}]
    return {
        "metadata": {"name": name},
        "spec": {"podCIDR": subnet} if subnet else {},
        "status": {"conditions": conditions},
    }


OLD = "runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:docker: network plugin is not"
NEW = "container runtime network not ready: NetworkReady=false message:Network plugin returns error: cni plugin not"


def test_nodes_wait_for_a_cni_only_all_together() -> None:
    both = [node("a", ready=False, why=OLD), node("b", ready=False, why=NEW)]
    assert [(each.ok, each.warns) for each in cni.waiting_nodes(both, expected=True)] == [(True, True)] * 2
    assert [(each.ok, each.warns) for each in cni.waiting_nodes(both, expected=False)] == [(False, False)] * 2
    assert cni.waiting_nodes([both[0], node("b", ready=True)], expected=True) == ()
    assert cni.waiting_nodes([both[0], node("b", ready=False, why="PLEG is not healthy")], expected=True) == ()


def test_nodes_tell_their_pod_subnets_once() -> None:
    cluster = load_cluster("lab")
    name = "kube-worker-1"
    subnet = str(cluster.node(name).pod_subnet)
    nodes = [
        node(name, ready=True),
        node("stranger", ready=True),
        node("kube-worker-2", ready=True, subnet="fd00::/64"),
    ]
    assert list(cni.pod_subnets(cluster, nodes)) == [(name, {"spec": {"podCIDR": subnet, "podCIDRs": [subnet]}})]


def test_all_nodes_are_told_their_pod_subnets_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = load_cluster("lab")
    names = [each.name for each in cluster.kubernetes_nodes]
    substitute(monkeypatch, cni, "_nodes", lambda _: [node(name, ready=False) for name in names])
    ran: list[str] = []
    connection: Any = SimpleNamespace(run=lambda script, **_: ran.append(script))
    changes = cni.apply(connection, cluster, "", "v1.34.2")
    assert [(change.subject, change.action) for change in changes] == [(name, "set") for name in names]
    (script,) = ran
    assert [words.split(" patch node ")[1].split()[0] for words in script.split(" && ")] == names
    assert subprocess.run(["sh", "-n", "-c", script], check=False).returncode == 0


def test_a_directory_that_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cni").mkdir()
    cluster = cluster_with(tmp_path, "{by: manifests, manifests: [cni]}")

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    substitute(monkeypatch, Path, "iterdir", refuse)
    with pytest.raises(ConfigError, match=r"/cni: Permission denied; name files of Kubernetes' objects"):
        cni.refuse_unreadable(cluster)


def test_what_is_changed_is_told_by_what_is_wanted_and_not_by_what_becomes_of_it() -> None:
    before = ["List||||9", "DaemonSet|kube-system|a|1|5", "ConfigMap|kube-system|b||5", "ConfigMap|kube-system|c||5"]
    after = ["List||||9", "DaemonSet|kube-system|a|1|8", "ConfigMap|kube-system|b||6", "ConfigMap|kube-system|c||5"]
    assert list(cni._changed(before, after)) == [("ConfigMap", "b")]
    assert list(cni._changed([], after[1:2])) == [("DaemonSet", "a")]
