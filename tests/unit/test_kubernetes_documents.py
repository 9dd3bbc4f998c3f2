"""What kubeadm and the kubelet of each age are given, from the how-to's own release to current ones."""

from __future__ import annotations

import os
import tomllib
from dataclasses import replace
from typing import Any

import pytest
import yaml

from configs.errors import ConfigError
from configs.manifest import BinaryEntry, ImageEntry, Manifest, SourceEntry
from configs.plan.derived import for_registry, image_references, refuse_misfit
from configs.plan.node import join_config, plan_node
from configs.plan.stages.kubernetes import KUBEADM_CONFIG
from configs.plan.state import NodeState, StageState
from configs.plan.systems import Machine, machine_running
from configs.schema.cluster import Cluster, Cni, KubeProxy, Pods, Services
from configs.schema.loading import load_cluster, load_release
from configs.schema.release import Release
from tests.unit.sample import manifest, plan
from tests.unit.test_plan import GOLDEN, as_text

HOW_TO = load_cluster("kube-v6")
HOW_TO_RELEASE = load_release("v1.9.0-alpha.0.ipv6.0")
CURRENT = load_release("v1.34.2")
LAB = load_cluster("lab")
BUILT = load_release("debian-1.20")

HOW_TO_DOCUMENT = """
apiVersion: kubeadm.k8s.io/v1alpha1
kind: MasterConfiguration
api:
  advertiseAddress: fd00::100
kubeProxy:
  bindAddress: "::"
etcd:
  image: diverdane/etcd-amd64:3.0.17
networking:
  serviceSubnet: fd00:1234::/110
imageRepository: diverdane
kubernetesVersion: v1.9.0-alpha.0.ipv6.0
tokenTTL: 0s
nodeName: kube-master
"""


def changed(cluster: Cluster, **fields: object) -> Cluster:
    return cluster.model_copy(update=fields)


def fetched(release: Release) -> Manifest:
    """What a release holds once it has been fetched, with made-up digests."""
    assert release.fetch is not None
    images = [(*reference.rpartition("/")[2].split(":"),) for reference in release.fetch.images]
    return Manifest(
        name=release.name,
        version=f"v{release.kubernetes}",
        key="0" * 64,
        created="2026-01-02T03:04:05Z",
        source=SourceEntry(kind="fetched", origin="https://example.org/kubeadm"),
        binaries=tuple(
            BinaryEntry(name=name, sha256=f"{number:064x}", size=1000 + number)
            for number, name in enumerate(("kubeadm", "kubelet", "kubectl"), 1)
        ),
        images=tuple(
            ImageEntry(name=name, tag=tag, digest=f"sha256:{number:064x}", size=5000 + number)
            for number, (name, tag) in enumerate(images, 100)
        ),
        cni=tuple(
            BinaryEntry(name=name, sha256=f"{number:064x}", size=2000 + number)
            for number, name in enumerate(("bridge", "host-local", "loopback", "portmap"), 50)
        ),
        cni_version=release.cni.version if release.cni else "",
    )


def stage_of(state: NodeState, name: str) -> StageState:
    found = state.stage(name)
    assert found is not None
    return found


def text_of(state: NodeState, path: str) -> str:
    return next(file.content for stage in state.stages for file in stage.files if file.path == path)


def documents(cluster: Cluster, release: Release, contents: Manifest | None) -> list[Any]:
    """kubeadm's documents for the control plane."""
    state = plan(cluster, release, contents)[cluster.control_plane.name]
    return list(yaml.safe_load_all(text_of(state, "/etc/kubernetes/kubev6-kubeadm.yaml")))


def test_the_how_tos_document_differs_only_where_it_is_wrong_or_a_setting() -> None:
    (ours,) = documents(HOW_TO, HOW_TO_RELEASE, fetched(HOW_TO_RELEASE))
    theirs = yaml.safe_load(HOW_TO_DOCUMENT)
    assert ours.pop("tokenTTL") == "10m0s", "there 0s is 24 hours, and nobody needs the token of init at all"
    assert ours["networking"].pop("dnsDomain") == "cluster.local", "the default, which can be set"
    assert ours.pop("imageRepository") == "kube-nat64-dns64:5000", "the cluster's own registry, unless upstream is set"
    assert ours.pop("etcd") == {"image": "kube-nat64-dns64:5000/etcd-amd64:3.0.17"}
    for key in ("tokenTTL", "imageRepository", "etcd"):
        del theirs[key]
    assert ours == theirs


def test_with_images_from_upstream_the_how_tos_document_is_the_how_tos_but_for_the_token() -> None:
    (ours,) = documents(changed(HOW_TO, images="upstream"), HOW_TO_RELEASE, fetched(HOW_TO_RELEASE))
    theirs = yaml.safe_load(HOW_TO_DOCUMENT)
    assert ours | {"tokenTTL": "0s", "networking": theirs["networking"]} == theirs


def test_the_how_tos_kubelet_gets_its_dns_by_a_dropin_that_sorts_after_kubeadms() -> None:
    state = plan(HOW_TO, HOW_TO_RELEASE, fetched(HOW_TO_RELEASE))["kube-minion-1"]
    dropins = [file.path for file in stage_of(state, "kubernetes").files if "kubelet.service.d" in file.path]
    assert dropins == sorted(dropins)
    assert dropins[-1].endswith("/20-kubev6.conf")
    own = text_of(state, dropins[-1])
    assert "KUBELET_DNS_ARGS=--cluster-dns=fd00:1234::10 --cluster-domain=cluster.local" in own
    assert "--pod-infra-container-image=kube-nat64-dns64:5000/pause-amd64:3.0" in own
    assert "--node-ip" not in own, "an IPv6 address is refused by that kubelet"
    packaged = text_of(state, dropins[0])
    assert packaged.index("$KUBELET_NETWORK_ARGS") < packaged.index("$KUBELET_DNS_ARGS")
    assert "--cni-bin-dir=/opt/cni/bin" in packaged


def test_the_how_tos_node_joins_by_a_document_and_not_by_words_that_others_can_read() -> None:
    document = join_config(
        HOW_TO,
        HOW_TO_RELEASE,
        "v1.9.0-alpha.0.ipv6.0",
        HOW_TO.node("kube-minion-1"),
        "abcdef.0123456789abcdef",
        "sha256:ff",
    )
    assert yaml.safe_load(document) == {
        "apiVersion": "kubeadm.k8s.io/v1alpha1",
        "kind": "NodeConfiguration",
        "discoveryTokenAPIServers": ["[fd00::100]:6443"],
        "discoveryTokenCACertHashes": ["sha256:ff"],
        "token": "abcdef.0123456789abcdef",
        "nodeName": "kube-minion-1",
    }
    assert '["sha256:ff"]' in document, "its decoder takes a plain colon in a flow list for a mapping"


@pytest.mark.parametrize(
    ("version", "kube_proxy"),
    [("1.9.0-alpha.0.ipv6.0", {"bindAddress": "::"}), ("1.9.11", {"config": {"bindAddress": "::"}})],
)
def test_only_the_how_tos_releases_take_kube_proxys_address_by_itself(version: str, kube_proxy: object) -> None:
    (document,) = documents(HOW_TO, HOW_TO_RELEASE.model_copy(update={"kubernetes": version}), None)
    assert document["kubeProxy"] == kube_proxy


VERSIONS = [("1.13.12", "v1beta1"), ("1.20.2", "v1beta2"), ("1.30.9", "v1beta3"), ("1.34.2", "v1beta4")]


@pytest.mark.parametrize(("version", "api"), VERSIONS)
def test_newer_kubeadms_get_the_node_ip_and_the_resolvers_file_with_the_registration(version: str, api: str) -> None:
    release = BUILT.model_copy(update={"kubernetes": version})
    init, cluster_document, *_ = documents(LAB, release, None)
    joined = yaml.safe_load(join_config(LAB, release, version, LAB.node("kube-worker-1"), "t", "sha256:0"))
    as_list = api == "v1beta4"
    assert documents(LAB, release, None)[2]["resolvConf"] == "/etc/resolv.conf"
    for document, address in ((init, "fd00::100"), (joined, "fd00::101")):
        assert document["apiVersion"] == f"kubeadm.k8s.io/{api}"
        resolver = {"resolv-conf": "/etc/resolv.conf"} if api in ("v1beta1", "v1beta2") else {}
        wanted = [{"name": "node-ip", "value": address}] if as_list else {"node-ip": address, **resolver}
        assert document["nodeRegistration"]["kubeletExtraArgs"] == wanted
        socket = document["nodeRegistration"]["criSocket"]
        assert socket == ("unix:///" if version >= "1.24" else "/") + "run/containerd/containerd.sock"
    assert cluster_document["networking"]["serviceSubnet"] == "fd00:1234::/110"
    assert init["localAPIEndpoint"] == {"advertiseAddress": "fd00::100"}


@pytest.mark.parametrize(
    ("version", "dns"), [("v1.20.2", {"type": "CoreDNS", "imageTag": "1.7.0"}), ("v1.34.2", {"imageTag": "1.7.0"})]
)
def test_newer_kubeadms_are_not_told_the_kind_of_dns(version: str, dns: object) -> None:
    contents = manifest(stand_in=False).model_copy(update={"version": version})
    assert documents(LAB, BUILT, contents)[1]["dns"] == dns


@pytest.mark.parametrize(("version", "dns"), [("1.30.0", None), ("1.31.0", {"disabled": True})])
def test_where_a_stand_in_answers_a_kubeadm_that_can_be_told_so_knows_of_no_coredns(version: str, dns: object) -> None:
    """By what its document says it upgrades a cluster, too, with no word of phases that were skipped before."""
    contents = manifest(stand_in=True).model_copy(update={"version": f"v{version}"})
    release = BUILT.model_copy(update={"kubernetes": version})
    cluster, *_ = (each for each in documents(LAB, release, contents) if each["kind"] == "ClusterConfiguration")
    assert cluster.get("dns") == dns


def test_a_current_release_is_configured_as_its_kubeadm_wants_it() -> None:
    bare_metal = load_cluster("bare-metal")
    init, of_cluster, kubelet, proxy = documents(bare_metal, CURRENT, fetched(CURRENT))
    assert init["nodeRegistration"] == {
        "name": "rack-1-control-plane",
        "criSocket": "unix:///run/containerd/containerd.sock",
        "kubeletExtraArgs": [{"name": "node-ip", "value": "fd00:d0c::100"}],
    }
    assert of_cluster == {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "clusterName": "rack-1",
        "kubernetesVersion": "v1.34.2",
        "imageRepository": "rack-1-support:5000",
        "networking": {"serviceSubnet": "fd00:d0c:ffff::/112", "dnsDomain": "cluster.local"},
        "etcd": {"local": {"dataDir": "/var/lib/etcd", "imageTag": "3.6.5-0"}},
        "dns": {"imageTag": "v1.12.1"},
    }
    assert (kubelet["cgroupDriver"], kubelet["failSwapOn"]) == ("systemd", True)
    assert (proxy["bindAddress"], proxy["mode"]) == ("::", "iptables")


@pytest.mark.parametrize(
    ("version", "cgroup_v1", "lab", "told"),
    [
        ("1.34.2", True, True, False),
        ("1.35.0", False, True, True),
        ("1.35.0", True, False, True),
        ("1.35.0", False, False, False),
        ("1.37.0", False, True, True),
    ],
)
def test_kubelets_are_told_of_cgroup_v1_from_1_35_on_in_labs_and_where_the_topology_says_so(
    version: str, cgroup_v1: bool, lab: bool, told: bool
) -> None:
    cluster = changed(LAB, cgroup_v1=cgroup_v1, **({} if lab else {"lab": None}))
    kubelet = documents(cluster, BUILT.model_copy(update={"kubernetes": version}), None)[2]
    assert kubelet.get("failCgroupV1") == (False if told else None)


@pytest.mark.parametrize(
    ("version", "pods", "told"),
    [
        ("1.20.2", "fd00::/16", {}),
        ("1.20.2", "fd10::/16", {"clusterCIDR": "fd10::/16"}),
        ("1.23.17", "fd10::/16", {"clusterCIDR": "fd10::/16"}),
        ("1.24.0", "fd00::/16", {"detectLocalMode": "BridgeInterface", "detectLocal": {"bridgeInterface": "cbr0"}}),
        ("1.37.0", "fd10::/16", {"detectLocalMode": "BridgeInterface", "detectLocal": {"bridgeInterface": "cbr0"}}),
    ],
)
def test_kube_proxy_is_told_what_comes_from_pods_where_that_can_be_said_rightly(
    version: str, pods: str, told: dict[str, object]
) -> None:
    """A prefix that holds the fabric too would call the nodes' own packets, and those of outsiders there, a pod's."""
    cluster = changed(LAB, pods=Pods.model_validate({"prefix": pods}))
    proxy = documents(cluster, BUILT.model_copy(update={"kubernetes": version}), None)[3]
    assert {key: value for key, value in proxy.items() if key.startswith(("clusterCIDR", "detectLocal"))} == told
    assert f'"bridge": "{proxy.get("detectLocal", {}).get("bridgeInterface", "cbr0")}"' in text_of(
        plan(cluster, BUILT)["kube-worker-1"], "/etc/cni/net.d/10-bridge-v6.conflist"
    )


CONTAINERDS = {"1.7": 2, "2.0": 3, "2.2": 3, "2.3": 4}


@pytest.mark.parametrize("lab", [True, False])
@pytest.mark.parametrize(("containerd", "configuration"), CONTAINERDS.items())
def test_each_containerd_is_configured_in_its_own_words_and_told_the_same(
    containerd: str, configuration: int, lab: bool
) -> None:
    cluster = LAB if lab else changed(LAB, lab=None)
    state = plan_node(cluster, CURRENT, fetched(CURRENT), "kube-worker-1", Machine(runtime=containerd))
    said = tomllib.loads(text_of(state, "/etc/containerd/config.toml"))
    assert said["version"] == configuration
    plugins = said["plugins"]
    old = configuration == 2
    images = plugins["io.containerd.grpc.v1.cri" if old else "io.containerd.cri.v1.images"]
    runtime = plugins["io.containerd.grpc.v1.cri" if old else "io.containerd.cri.v1.runtime"]
    pause = "kube-support:5000/pause:3.10.1"
    assert (images["sandbox_image"] if old else images["pinned_images"]["sandbox"]) == pause
    assert images["registry"] == {"config_path": "/etc/containerd/certs.d"}
    directories = {"bin_dirs": ["/opt/cni/bin"]} if containerd in ("2.2", "2.3") else {"bin_dir": "/opt/cni/bin"}
    assert runtime["cni"] == {**directories, "conf_dir": "/etc/cni/net.d"}
    assert runtime.get("restrict_oom_score_adj", False) is lab
    assert runtime["containerd"]["runtimes"]["runc"]["options"] == {"SystemdCgroup": not lab}


def test_what_a_first_deploy_cannot_know_of_containerd_changes_nothing_in_the_second() -> None:
    """There its package comes from a repository that the first one brings; every containerd reads the oldest words."""
    rocky = machine_running("rocky-9")
    before, after = (
        text_of(
            plan_node(changed(LAB, lab=None), CURRENT, fetched(CURRENT), "kube-worker-1", machine),
            "/etc/containerd/config.toml",
        )
        for machine in (rocky, replace(rocky, runtime="2.3"))
    )
    assert before == after
    assert tomllib.loads(after)["version"] == 2


def test_a_published_etcd_that_its_kubeadm_cannot_run_is_refused_before_it_is_fetched() -> None:
    assert CURRENT.fetch is not None
    images = tuple(each.replace("etcd:3.6.5-0", "etcd:3.5.9-0") for each in CURRENT.fetch.images)
    old = CURRENT.model_copy(update={"fetch": CURRENT.fetch.model_copy(update={"images": images})})
    with pytest.raises(
        ConfigError, match=r"^release v1.34.2: its etcd is 3.5.9-0, and kubeadm v1.34.2 runs 3.5.11 and"
    ):
        refuse_misfit(LAB, old)
    refuse_misfit(LAB, CURRENT)


@pytest.mark.parametrize(
    ("mode", "release", "right"),
    [
        ("nftables", "debian-1.20", "write ipvs or iptables, or choose a newer release"),
        ("nftables", "v1.9.0-alpha.0.ipv6.0", "write iptables, or choose a newer release"),
        ("ipvs", "v1.9.0-alpha.0.ipv6.0", "write iptables, or choose a newer release"),
    ],
)
def test_a_mode_that_this_kube_proxy_does_not_have_is_refused(mode: str, release: str, right: str) -> None:
    cluster = changed(LAB, kube_proxy=KubeProxy.model_validate({"mode": mode}))
    with pytest.raises(ConfigError, match=rf"^cluster lab: kube_proxy.mode: .* has no mode {mode}; {right}$"):
        refuse_misfit(cluster, load_release(release))
    refuse_misfit(cluster, CURRENT)


@pytest.mark.parametrize("mode", ["iptables", "ipvs", "nftables"])
def test_kube_proxy_is_set_to_the_mode_of_the_cluster(mode: str) -> None:
    cluster = changed(LAB, kube_proxy=KubeProxy.model_validate({"mode": mode}))
    state = plan(cluster, CURRENT, fetched(CURRENT))["kube-control-plane"]
    (text,) = (file.content for file in stage_of(state, "kubernetes").files if file.path == KUBEADM_CONFIG)
    document = next(each for each in yaml.safe_load_all(text) if each["kind"] == "KubeProxyConfiguration")
    assert document["mode"] == mode
    assert [document[each] for each in ("iptables", "ipvs", "nftables")] == [{"minSyncPeriod": "100ms"}] * 3
    assert ("nftables" in stage_of(state, "runtime").packages) == (mode == "nftables")
    modules = set(stage_of(state, "network").modules)
    assert ("ip_vs" in modules, "nf_conntrack" in modules) == (mode == "ipvs",) * 2


@pytest.mark.parametrize("node", ["rack-1-control-plane", "rack-1-worker-1"])
def test_every_file_of_a_current_release_is_as_in_its_golden_file(node: str) -> None:
    state = plan(load_cluster("bare-metal"), CURRENT, fetched(CURRENT))[node]
    stages = tuple(stage_of(state, name) for name in ("runtime", "kubernetes"))
    text = as_text(NodeState(node, stages))
    golden = GOLDEN / CURRENT.name / f"{node}.txt"
    if os.environ.get("KUBEV6_WRITE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_a_current_kubelet_gets_no_option_that_was_taken_from_it() -> None:
    state = plan(load_cluster("bare-metal"), CURRENT, fetched(CURRENT))["rack-1-worker-1"]
    text = "".join(file.content for file in stage_of(state, "kubernetes").files)
    for gone in ("--network-plugin", "--cni-bin-dir", "--pod-infra-container-image", "--container-runtime="):
        assert gone not in text


@pytest.mark.parametrize("version", ["1.11.10", "1.12.10"])
def test_the_two_apis_that_lived_for_one_version_each_are_refused(version: str) -> None:
    release = BUILT.model_copy(update={"kubernetes": version})
    with pytest.raises(ConfigError, match=rf"Kubernetes v{version}: the configuration of its kubeadm \(v1alpha"):
        plan(LAB, release)


def test_a_cluster_can_have_docker_in_place_of_what_its_release_is_used_to() -> None:
    docker = plan(changed(LAB, runtime="docker"), BUILT, manifest())["kube-worker-1"]
    usual = plan(LAB, BUILT, manifest())["kube-worker-1"]
    assert [service.unit for service in stage_of(docker, "runtime").services] == ["docker.service"]
    assert [service.unit for service in stage_of(usual, "runtime").services] == ["containerd.service"]
    assert "docker.io" in stage_of(docker, "runtime").packages
    # Debian's plugins are not where the kubelet looks by itself.
    assert "--cni-bin-dir=/usr/lib/cni" in text_of(docker, "/etc/systemd/system/kubelet.service.d/20-kubev6.conf")
    joined = join_config(changed(LAB, runtime="docker"), BUILT, "v1.20.2", LAB.node("kube-worker-1"), "abc", "sha256:0")
    assert yaml.safe_load(joined)["nodeRegistration"]["criSocket"] == "/var/run/dockershim.sock"


@pytest.mark.parametrize(
    ("runtime", "release", "possible"),
    [("docker", CURRENT, "containerd"), ("containerd", HOW_TO_RELEASE, "docker")],
)
def test_a_runtime_that_a_version_does_not_work_with_is_refused(runtime: str, release: Release, possible: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(changed(LAB, runtime=runtime), release)
    assert f"Kubernetes v{release.kubernetes} does not work with {runtime}" in str(caught.value)
    assert f"`runtime: {possible}`" in str(caught.value)


@pytest.mark.parametrize(
    ("subnet", "right"),
    [
        ("fd00:1:2:3:4:5:6:1100/120", "fd00:1:2:3:4:5:6:0/120"),
        ("fd00:1234::100/120", "fd00:1234::/120"),
    ],
)
def test_a_service_subnet_in_which_a_kubeadm_finds_no_cluster_dns_is_refused(subnet: str, right: str) -> None:
    cluster = changed(HOW_TO, services=Services.model_validate({"subnet": subnet}))
    for refused in (lambda: plan(cluster, HOW_TO_RELEASE), lambda: refuse_misfit(cluster, HOW_TO_RELEASE)):
        with pytest.raises(ConfigError, match=r"services.subnet: kubeadm v1.9.0-alpha.0.ipv6.0 gives") as caught:
            refused()
        assert f"0 is no address of {subnet}; take" in str(caught.value)
        assert str(caught.value).endswith(f"such as {right}")
    refuse_misfit(cluster, CURRENT)
    refuse_misfit(changed(HOW_TO, services=Services.model_validate({"subnet": right})), HOW_TO_RELEASE)


def test_docker_leaves_the_network_to_the_pods_bridge_and_takes_images_from_the_registry() -> None:
    for cluster in (HOW_TO, changed(LAB, runtime="docker")):
        state = plan(cluster, HOW_TO_RELEASE)[cluster.control_plane.name]
        daemon = yaml.safe_load(text_of(state, "/etc/docker/daemon.json"))
        assert (daemon["bridge"], daemon["iptables"], daemon["ip-masq"]) == ("none", False, False)
        assert "insecure-registries" not in daemon
        text_of(state, f"/etc/docker/certs.d/{cluster.support.name}:5000/ca.crt")
        assert ("default-runtime" in daemon) is (cluster.lab is not None)


def test_a_releases_own_cni_plugins_take_the_place_of_the_distributions_package() -> None:
    for release, contents, own in ((CURRENT, fetched(CURRENT), True), (BUILT, manifest(), False)):
        state = plan(LAB, release, contents)["kube-worker-1"]
        runtime, kubernetes = stage_of(state, "runtime"), stage_of(state, "kubernetes")
        assert ("containernetworking-plugins" in runtime.packages) is not own
        plugins = [binary.path for binary in kubernetes.binaries if binary.path.startswith("/opt/cni/bin/")]
        assert plugins == [f"/opt/cni/bin/{entry.name}" for entry in contents.cni]
        where = "/opt/cni/bin" if own else "/usr/lib/cni"
        assert f'bin_dir = "{where}"' in text_of(state, "/etc/containerd/config.toml")


def test_the_how_tos_lab_is_the_how_to_on_machines_that_are_containers() -> None:
    lab = load_cluster("kube-v6-lab")
    assert [(node.name, node.address) for node in lab.nodes] == [(node.name, node.address) for node in HOW_TO.nodes]
    state = plan(lab, load_release(lab.release), fetched(HOW_TO_RELEASE))["kube-master"]
    assert '"default-runtime": "lab"' in text_of(state, "/etc/docker/daemon.json")
    assert "--fail-swap-on=false" in text_of(state, "/etc/systemd/system/kubelet.service.d/20-kubev6.conf")
    assert "--cni-bin-dir=/usr/lib/cni" in text_of(state, "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf")
    assert "--cgroup-driver=cgroupfs" in text_of(state, "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf")


@pytest.mark.parametrize(
    ("cluster", "release", "directory"),
    [
        (HOW_TO, HOW_TO_RELEASE, "/opt/cni/bin"),
        (changed(HOW_TO, cni=Cni(plugins="system")), HOW_TO_RELEASE, "/usr/lib/cni"),
        (LAB, HOW_TO_RELEASE, "/usr/lib/cni"),
        (changed(LAB, cni=Cni(plugins="release")), HOW_TO_RELEASE, "/opt/cni/bin"),
        (LAB, CURRENT, "/opt/cni/bin"),
        (changed(LAB, cni=Cni(plugins="system")), CURRENT, "/usr/lib/cni"),
        (LAB, BUILT, "/usr/lib/cni"),
    ],
)
def test_plugins_that_cannot_work_with_a_labs_docker_are_debians_there_and_a_topology_can_say_which(
    cluster: Cluster, release: Release, directory: str
) -> None:
    for contents in (None, fetched(release) if release.fetch else manifest()):
        kubernetes = stage_of(plan(cluster, release, contents)[cluster.worker_nodes[0].name], "kubernetes")
        plugins = {binary.path.rpartition("/")[0] for binary in kubernetes.binaries} - {"/usr/bin"}
        runtime = stage_of(plan(cluster, release, contents)[cluster.worker_nodes[0].name], "runtime")
        assert ("containernetworking-plugins" in runtime.packages) is (directory == "/usr/lib/cni")
        assert plugins == ({directory} if contents and directory == "/opt/cni/bin" else set())


def test_the_bridge_is_the_only_network_of_pods() -> None:
    for node in ("kube-master", "kube-minion-1"):
        runtime = stage_of(plan(HOW_TO, HOW_TO_RELEASE)[node], "runtime")
        assert runtime.only_files_in == ("/etc/cni/net.d",)
        ours = [file.path for file in runtime.files if file.path.startswith("/etc/cni/net.d/")]
        assert ours == ["/etc/cni/net.d/10-bridge-v6.conflist"]


def test_images_from_upstream_are_their_publishers_and_not_pushed_to_the_registry() -> None:
    probe = ImageEntry(name="probe", tag="1", digest=f"sha256:{1:064x}", size=1)
    contents = fetched(CURRENT)
    contents = contents.model_copy(update={"images": (*contents.images, probe)})
    upstream = changed(LAB, images="upstream")
    assert image_references(upstream, CURRENT, contents)["coredns"] == "registry.k8s.io/coredns/coredns:v1.12.1"
    state = plan(upstream, CURRENT, contents)["kube-control-plane"]
    assert 'sandbox_image = "registry.k8s.io/pause:3.10.1"' in text_of(state, "/etc/containerd/config.toml")
    assert documents(upstream, CURRENT, contents)[1]["imageRepository"] == "registry.k8s.io"
    assert [image.name for image in for_registry(upstream, CURRENT, contents).images] == ["probe"]
    assert for_registry(upstream, CURRENT, contents).binaries == contents.binaries
    assert for_registry(LAB, CURRENT, contents) == contents


def test_what_was_built_here_is_not_to_be_had_upstream() -> None:
    with pytest.raises(ConfigError, match=r"those of debian-1\.20 were built here; write `images: registry`"):
        plan(changed(LAB, images="upstream"), BUILT, manifest())
