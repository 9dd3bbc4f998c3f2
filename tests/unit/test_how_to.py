"""The how-to's mistakes and gaps, one test for each: what it asks for, and what is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from configs.plan.interfaces import Interface
from configs.plan.node import plan_node
from configs.plan.routes import routes
from configs.plan.state import StageState
from configs.plan.systems import Machine
from configs.schema.loading import CONFIGS, load_cluster, load_release
from tests.unit.sample import manifest, plan

CLUSTER = load_cluster("kube-v6")
RELEASE = load_release(CLUSTER.release)
STATES = plan(CLUSTER, RELEASE)
KUBERNETES = [node.name for node in CLUSTER.kubernetes_nodes]


def stage(node: str, name: str) -> StageState:
    found = STATES[node].stage(name)
    assert found is not None
    return found


def content(node: str, name: str, path: str) -> str:
    return next(file.content for file in stage(node, name).files if file.path == path)


@pytest.mark.parametrize("node", KUBERNETES)
def test_the_nat64_route_has_the_length_of_its_prefix(node: str) -> None:
    # The how-to gives its minions 64:ff9b::/64.
    nat64 = [route.destination for route in stage(node, "network").routes if "64:ff9b" in route.destination]
    assert nat64 == ["64:ff9b::/96"]


@pytest.mark.parametrize("node", KUBERNETES)
def test_an_ipv4_default_route_goes_and_dhcp_does_not_put_it_back(node: str) -> None:
    network = stage(node, "network")
    assert network.no_ipv4_default_route
    assert "kubev6-ipv6-only.service" in [service.unit for service in network.services]
    assert "unset new_routers" in content(node, "network", "/etc/dhcp/dhclient-enter-hooks.d/kubev6")


def test_the_support_node_keeps_its_way_to_ipv4() -> None:
    assert not stage("kube-nat64-dns64", "network").no_ipv4_default_route


@pytest.mark.parametrize("node", KUBERNETES)
def test_the_cni_configuration_is_where_it_is_read_alone_there_and_on_the_master_too(node: str) -> None:
    # The how-to writes it into the current directory, and on the minions only.
    runtime = stage(node, "runtime")
    bridge, _ = json.loads(content(node, "runtime", "/etc/cni/net.d/10-bridge-v6.conflist"))["plugins"]
    assert bridge["ipam"]["ranges"] == [
        [
            {
                "subnet": str(CLUSTER.node(node).pod_subnet),
                "gateway": f"{CLUSTER.node(node).pod_subnet}".split("/")[0] + "1",
            }
        ]
    ]
    assert runtime.only_files_in == ("/etc/cni/net.d",)


@pytest.mark.parametrize(
    ("of_fabric", "of_interface", "mtu"),
    [(None, 1500, None), (None, 1280, 1280), (9000, 1500, 9000), (1500, 1500, None)],
)
def test_pods_send_packets_as_large_as_the_fabric_takes(
    of_fabric: int | None, of_interface: int, mtu: int | None
) -> None:
    cluster = CLUSTER.model_copy(update={"fabric": CLUSTER.fabric.model_copy(update={"mtu": of_fabric})})
    machine = Machine(details=(Interface(CLUSTER.fabric.interface, mtu=of_interface),))
    runtime = plan_node(cluster, RELEASE, None, "kube-minion-1", machine).stage("runtime")
    assert runtime is not None
    (text,) = (file.content for file in runtime.files if file.path.startswith("/etc/cni"))
    bridge, _ = json.loads(text)["plugins"]
    assert bridge.get("mtu") == mtu


def test_hairpin_is_on_and_masquerading_a_setting_that_is_off() -> None:
    bridge, ports = json.loads(content("kube-minion-1", "runtime", "/etc/cni/net.d/10-bridge-v6.conflist"))["plugins"]
    assert (bridge["hairpinMode"], bridge["ipMasq"]) == (True, False)
    assert (ports["type"], ports["capabilities"]) == ("portmap", {"portMappings": True})
    masked = CLUSTER.model_copy(update={"pods": CLUSTER.pods.model_copy(update={"masquerade": True})})
    runtime = plan(masked, RELEASE)["kube-minion-1"].stage("runtime")
    assert runtime is not None
    (text,) = (file.content for file in runtime.files if file.path.startswith("/etc/cni"))
    assert json.loads(text)["plugins"][0]["ipMasq"] is True


@pytest.mark.parametrize("node", KUBERNETES)
def test_every_node_has_a_route_to_the_services_the_master_too(node: str) -> None:
    via = [route.via for route in stage(node, "network").routes if route.destination == "fd00:1234::/110"]
    assert via == ["" if node == "kube-master" else "fd00::100"]


@pytest.mark.parametrize("node", KUBERNETES)
def test_bridge_filtering_has_its_module_both_settings_and_a_file_of_its_own(node: str) -> None:
    network = stage(node, "network")
    assert "br_netfilter" in network.modules
    assert "br_netfilter" in content(node, "network", "/etc/modules-load.d/kubev6.conf")
    kept = content(node, "network", "/etc/sysctl.d/zz-kubev6.conf")
    for key in ("net.bridge.bridge-nf-call-ip6tables", "net.bridge.bridge-nf-call-iptables"):
        assert (key, "1") in [(sysctl.key, sysctl.value) for sysctl in network.sysctls]
        assert f"{key} = 1" in kept


def test_executables_are_checked_and_go_where_the_unit_runs_them() -> None:
    kubernetes = plan(CLUSTER, RELEASE, manifest())["kube-minion-1"].stage("kubernetes")
    assert kubernetes is not None
    paths = {binary.path for binary in kubernetes.binaries}
    assert paths == {"/usr/bin/kubeadm", "/usr/bin/kubelet", "/usr/bin/kubectl"}
    assert all(len(binary.sha256) == 64 for binary in kubernetes.binaries)


def test_no_token_for_joining_lives_long() -> None:
    assert "tokenTTL: 0s" not in content("kube-master", "kubernetes", "/etc/kubernetes/kubev6-kubeadm.yaml")


@pytest.mark.parametrize("node", KUBERNETES)
def test_selinux_and_swap_are_settled_for_good(node: str) -> None:
    network = stage(node, "network")
    assert network.selinux_permissive
    assert network.swap_off


def test_names_that_begin_alike_and_ids_above_nine_are_kept_apart(tmp_path: Path) -> None:
    # kube-worker-1 and kube-worker-10; ::101 and ::10a. Both have bitten tools like this.
    file = tmp_path / "many.yaml"
    file.write_text((CONFIGS / "clusters" / "lab.yaml").read_text().replace("workers: 2", "workers: 12"))
    many = load_cluster(file)
    subnets = {node.name: str(node.pod_subnet) for node in many.worker_nodes}
    assert (subnets["kube-worker-1"], subnets["kube-worker-10"]) == ("fd00:101::/64", "fd00:10a::/64")
    assert len(set(subnets.values())) == 12
    found = {route.destination: route.via for route in routes(many, many.node("kube-worker-1"), "v1.20.2")}
    assert found["fd00:10a::/64"] == "fd00::10a"
    assert "fd00:101::/64" not in found
    hosts = plan(many, load_release("debian-1.20"))["kube-worker-1"].stage("network")
    assert hosts is not None
    (block,) = (file.content for file in hosts.files if file.path == "/etc/hosts")
    assert {"fd00::101 kube-worker-1", "fd00::10a kube-worker-10"} <= set(block.splitlines())
