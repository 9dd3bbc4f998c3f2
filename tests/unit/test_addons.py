"""What of kubeadm's add-ons is mended, as a table."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from configs.plan.derived import pinned_images
from configs.schema.cluster import Cluster, KubeProxy
from configs.schema.loading import load_cluster
from flows.run.context import run_context
from tasks.kubernetes.addons import CONNTRACK, apply, other_kube_proxy_mode, wanting
from tasks.ssh.connection import Connection
from tests.unit.sample import manifest

HOW_TO = load_cluster("kube-v6")
LAB = load_cluster("lab")
RELEASE = manifest().model_copy(update={"version": "v1.9.0-alpha.0.ipv6.0"})
REGISTRY = "kube-support:5000"
IMAGES = {name: f"{REGISTRY}/{name}:1.14.4" for name in ("k8s-dns-kube-dns-amd64", "k8s-dns-sidecar-amd64")}


def workload(kind: str, name: str, **containers: tuple[str, list[str]]) -> Any:
    listed = [
        {"name": each.replace("_", "-"), "image": image, "command": command}
        for each, (image, command) in containers.items()
    ]
    return {"kind": kind, "metadata": {"name": name}, "spec": {"template": {"spec": {"containers": listed}}}}


def kube_proxy(*options: str) -> Any:
    image = f"{REGISTRY}/kube-proxy-amd64:v1.9.0-alpha.0.ipv6.0"
    return workload("DaemonSet", "kube-proxy", kube_proxy=(image, ["/usr/local/bin/kube-proxy", *options]))


def image_of(container: int, reference: str) -> dict[str, str]:
    """What a patch says of the image of a container."""
    return {"op": "replace", "path": f"/spec/template/spec/containers/{container}/image", "value": reference}


def mends(cluster: Cluster, *workloads: Any, version: str = RELEASE.version) -> list[tuple[str, ...]]:
    release = RELEASE.model_copy(update={"version": version})
    return [mend.arguments for mend in wanting(workloads, cluster, release, IMAGES)]


def test_the_dns_images_with_a_registry_in_kubeadms_code_are_taken_from_the_cluster() -> None:
    dns = workload(
        "Deployment",
        "kube-dns",
        kubedns=("diverdane/k8s-dns-kube-dns-amd64:1.14.4", []),
        sidecar=(f"{REGISTRY}/k8s-dns-sidecar-amd64:1.14.4", []),
    )
    ((*words, patch),) = mends(HOW_TO, dns)
    assert words == ["patch", "deployment/kube-dns", "--type=json", "-p"]
    assert json.loads(patch) == [image_of(0, f"{REGISTRY}/k8s-dns-kube-dns-amd64:1.14.4")]


def test_images_that_the_release_does_not_hold_are_left_alone() -> None:
    assert mends(HOW_TO, workload("Deployment", "other", other=("example.org/other:1", []))) == []
    by_digest = f"example.org/k8s-dns-sidecar-amd64@sha256:{0:064x}"
    assert mends(HOW_TO, workload("Deployment", "kube-dns", sidecar=(by_digest, []))) == []


def test_what_kubeadm_did_not_deploy_is_left_alone_whatever_its_image_is_called() -> None:
    assert mends(HOW_TO, workload("Deployment", "mine", sidecar=("example.org/k8s-dns-sidecar-amd64:2", []))) == []


@pytest.mark.parametrize("digest", ["", f"@sha256:{1:064x}"])
def test_kube_proxys_image_goes_by_the_releases_digest(digest: str) -> None:
    release = manifest()
    images = pinned_images(LAB, release)
    by_tag = images["kube-proxy"].partition("@")[0]
    seen = workload("DaemonSet", "kube-proxy", kube_proxy=(by_tag + digest, []))
    (mend,) = wanting([seen], LAB, release, images)
    assert mend.arguments[:2] == ("patch", "daemonset/kube-proxy")
    assert json.loads(mend.arguments[-1]) == [image_of(0, images["kube-proxy"])]
    assert images["kube-proxy"].endswith(f"@{release.image('kube-proxy').digest}")
    pinned = workload("DaemonSet", "kube-proxy", kube_proxy=(images["kube-proxy"], []))
    assert list(wanting([pinned], LAB, release, images)) == []


def test_a_labs_old_kube_proxy_is_kept_from_the_hosts_connection_table_once() -> None:
    ((*words, patch),) = mends(LAB, kube_proxy())
    assert words == ["patch", "daemonset/kube-proxy", "--type=json", "-p"]
    command = ["/usr/local/bin/kube-proxy", CONNTRACK]
    assert json.loads(patch) == [
        {"op": "replace", "path": "/spec/template/spec/containers/0/command", "value": command}
    ]
    assert mends(LAB, kube_proxy(CONNTRACK)) == []


def test_a_labs_old_kube_proxy_gets_options_in_place_of_the_file_by_which_they_are_of_no_effect() -> None:
    """As the DaemonSet of the how-to's release has it (manifests.go of its kubeadm)."""
    given = ("--config=/var/lib/kube-proxy/config.conf", "--cluster-cidr=fd00::/16")
    ((*_, patch),) = mends(LAB, kube_proxy(*given))
    (change,) = json.loads(patch)
    assert change["value"] == [
        "/usr/local/bin/kube-proxy",
        "--cluster-cidr=fd00::/16",
        "--kubeconfig=/var/lib/kube-proxy/kubeconfig.conf",
        "--bind-address=::",
        CONNTRACK,
    ]
    assert mends(LAB, kube_proxy(*change["value"][1:])) == []
    assert mends(HOW_TO, kube_proxy(*given)) == []


def test_all_that_is_changed_of_one_add_on_is_one_patch() -> None:
    """Two would replace its pods twice."""
    seen = kube_proxy("--config=/var/lib/kube-proxy/config.conf")
    images = {"kube-proxy-amd64": f"{REGISTRY}/kube-proxy-amd64:v1.9@sha256:{0:064x}"}
    (mend,) = wanting([seen], LAB, RELEASE, images)
    assert [each["path"].rpartition("/")[2] for each in json.loads(mend.arguments[-1])] == ["image", "command"]
    assert mend.subject == "daemonset/kube-proxy"
    assert mend.what.startswith("image ")
    assert mend.what.endswith(f", {CONNTRACK}")


def test_in_a_lab_kube_proxy_is_replaced_on_all_nodes_at_once_and_elsewhere_as_kubeadm_has_it() -> None:
    seen = kube_proxy(CONNTRACK)
    seen["spec"]["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    ((*words, patch),) = mends(LAB, seen)
    assert words == ["patch", "daemonset/kube-proxy", "--type=json", "-p"]
    at_once = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}}
    assert json.loads(patch) == [{"op": "add", "path": "/spec/updateStrategy", "value": at_once}]
    assert mends(HOW_TO, seen) == []
    seen["spec"]["updateStrategy"] = at_once
    assert mends(LAB, seen) == []
    seen["spec"]["updateStrategy"] = {"type": "OnDelete"}
    assert mends(LAB, seen) == []


def test_kube_proxy_on_machines_of_their_own_or_with_a_configuration_is_as_kubeadm_made_it() -> None:
    assert mends(HOW_TO, kube_proxy()) == []
    assert mends(LAB, kube_proxy("--config=/var/lib/kube-proxy/config.conf"), version="v1.20.2") == []


def configuration(mode: str, changed: str = "") -> Any:
    text = f"bindAddress: '::'\nmode: {mode}\nportRange: null\n"
    return {
        "kind": "ConfigMap",
        "metadata": {
            "name": "kube-proxy",
            "annotations": {"kubev6/kube-proxy-mode": changed} if changed else {},
        },
        "data": {"config.conf": text, "kubeconfig.conf": "mode: other\n"},
    }


def reads(mode: str) -> Any:
    """kube-proxy's DaemonSet, whose pods have read a file of this mode that was changed here; empty for kubeadm's."""
    daemonset = workload("DaemonSet", "kube-proxy")
    daemonset["spec"]["template"]["metadata"] = {"annotations": {"kubev6/kube-proxy-mode": mode} if mode else {}}
    return daemonset


SET = (
    "patch",
    "configmap/kube-proxy",
    '{"metadata": {"annotations": {"kubev6/kube-proxy-mode": "nftables"}}, '
    '"data": {"config.conf": "bindAddress: \'::\'\\nmode: nftables\\nportRange: null\\n"}}',
)
START = (
    "patch",
    "daemonset/kube-proxy",
    '{"spec": {"template": {"metadata": {"annotations": {"kubev6/kube-proxy-mode": "nftables"}}}}}',
)


@pytest.mark.parametrize(
    ("seen", "changed"),
    [
        pytest.param((configuration("nftables"), reads("")), (), id="as-kubeadm-has-written-it"),
        pytest.param((configuration("iptables"), reads("")), (SET, START), id="another-one"),
        pytest.param((configuration('""'), reads("")), (SET, START), id="the-default-is-iptables"),
        pytest.param((configuration("nftables", changed="nftables"), reads("nftables")), (), id="changed-before"),
        pytest.param((configuration("nftables", changed="nftables"), reads("")), (START,), id="cut-off-between"),
        pytest.param((configuration("iptables", changed="iptables"), reads("iptables")), (SET, START), id="and-back"),
        pytest.param((configuration("iptables"),), (), id="no-daemonset-yet"),
    ],
)
def test_kube_proxy_gets_the_mode_that_the_cluster_names(seen: tuple[Any, ...], changed: tuple[Any, ...]) -> None:
    got = [mend.arguments for mend in other_kube_proxy_mode(seen, "nftables")]
    assert [(verb, subject, patch) for verb, subject, _, patch in got] == list(changed)


@pytest.mark.parametrize(
    ("upgraded", "patched"), [(False, ["configmap/kube-proxy", "daemonset/kube-proxy"]), (True, [])]
)
def test_while_a_cluster_is_upgraded_kube_proxy_keeps_its_mode(
    *, upgraded: bool, patched: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """What an upgrade goes back to may not have the other one."""
    ran: list[str] = []

    class Answers:
        def run_json(self, _words: list[str], *, step: str, kind: Any) -> Any:
            assert step == "add-ons"
            return kind(items=[configuration("iptables"), reads("")])

        def run(self, script: str, *, step: str) -> None:
            assert step == "add-ons"
            ran.append(script)

    cluster = LAB.model_copy(update={"kube_proxy": KubeProxy(mode="nftables")})
    with run_context():
        apply(cast(Connection, Answers()), cluster, RELEASE, {}, upgraded=upgraded)
    assert [next(each for each in script.split() if "/kube-proxy" in each) for script in ran] == patched
    assert ("gets its mode nftables by the next deploy" in caplog.text) is upgraded
