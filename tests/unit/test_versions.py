from ipaddress import IPv6Address, IPv6Network

import pytest

from configs.plan.versions import (
    cluster_dns_address,
    cni_shows_ipv6,
    container_runtimes,
    containerd_versions,
    cri_endpoint,
    docker_hides_ipv6,
    image_name,
    image_tag,
    is_stamped,
    kube_proxy_finds_iptables,
    kube_proxy_takes_configuration,
    kubeadm_api,
    kubeadm_starts_kubelet,
    kubectl_names_server,
    kubectl_waits,
    needs_cgroup_v2,
    parse_version,
    skip_preflight,
    supports_cgroup_v2,
    takes_ipv6_node_ip,
    workloads_api,
)


@pytest.mark.parametrize(
    ("version", "api"),
    [
        ("v1.9.0-alpha.0.ipv6.0", "v1alpha1"),
        ("1.10.13", "v1alpha1"),
        ("1.11.0", "v1alpha2"),
        ("1.12.0", "v1alpha3"),
        ("1.13.0", "v1beta1"),
        ("1.14.10", "v1beta1"),
        ("1.15.0", "v1beta2"),
        ("v1.20.2+kubev6.debian-1.20.3f2a1b7", "v1beta2"),
        ("1.21.14", "v1beta2"),
        ("1.22.0", "v1beta3"),
        ("1.22.0-rc.0", "v1beta3"),
        ("1.30.9", "v1beta3"),
        ("1.31.0", "v1beta4"),
        ("1.36.1", "v1beta4"),
    ],
)
def test_kubeadm_is_spoken_to_in_the_api_of_its_version(version: str, api: str) -> None:
    assert kubeadm_api(version) == api


@pytest.mark.parametrize(
    ("version", "subnet", "address"),
    [
        ("v1.9.0-alpha.0.ipv6.0", "fd00:1234::/110", "fd00:1234::10"),
        ("v1.9.0-alpha.1.ipv6.1b", "fd00:1234::/110", "fd00:1234::10"),
        ("v1.9.0-beta.0", "fd00:1234::/110", "fd00:1234::a"),
        ("v1.9.0", "fd00:1234::/110", "fd00:1234::a"),
        ("v1.20.2+kubev6.x", "fd00:1234::/110", "fd00:1234::a"),
        ("v1.31.0", "fd00:d0c:ffff::/112", "fd00:d0c:ffff::a"),
    ],
)
def test_cluster_dns_is_where_that_version_of_kubeadm_puts_it(version: str, subnet: str, address: str) -> None:
    assert str(cluster_dns_address(IPv6Network(subnet), version)) == address


@pytest.mark.parametrize(
    ("subnet", "address", "written"),
    [
        ("fd00:1234::/108", "fd00:1234::10", ""),
        ("fd00:1234::/112", "fd00:1234::10", ""),
        ("fd00:1234::/120", "fd00:1234::10", ""),
        ("fd00:1:2:3:4:5:6:0/120", "fd00:1:2:3:4:5:6:10", ""),
        ("fd00:1234::100/120", "", "fd00:1234::1010"),  # outside the subnet
        ("fd00:1:2:3:4:5:6:1100/120", "", "fd00:1:2:3:4:5:6:11010"),  # no address at all
        ("fd00:1234::8000/113", "", "fd00:1234::80010"),
    ],
)
def test_an_old_kubeadm_finds_cluster_dns_only_where_the_last_16_bits_are_zero(
    subnet: str, address: str, written: str
) -> None:
    services, old = IPv6Network(subnet), "v1.9.0-alpha.0.ipv6.0"
    if written:
        with pytest.raises(ValueError, match=f"^{written} is no address of {subnet}$"):
            cluster_dns_address(services, old)
    else:
        assert cluster_dns_address(services, old) == IPv6Address(address)
        assert cluster_dns_address(services, old) in services
    assert cluster_dns_address(services, "v1.9.0") == services.network_address + 10


@pytest.mark.parametrize(
    ("version", "takes"), [("v1.9.0-alpha.0.ipv6.0", False), ("1.9.0-beta.1", False), ("1.9.0", True), ("1.20.2", True)]
)
def test_node_ip_is_passed_only_to_kubelets_that_take_ipv6(version: str, takes: bool) -> None:
    assert takes_ipv6_node_ip(version) is takes


@pytest.mark.parametrize(
    ("version", "name"),
    [("v1.9.0-alpha.0.ipv6.0", "kube-proxy-amd64"), ("1.11.10", "kube-proxy-amd64"), ("1.12.0", "kube-proxy")],
)
def test_images_carry_the_architecture_until_1_12(version: str, name: str) -> None:
    assert image_name("kube-proxy", version) == name


def test_a_tag_has_an_underscore_where_the_version_has_a_plus() -> None:
    assert image_tag("1.20.2+kubev6.a.3f2a1b7") == image_tag("v1.20.2+kubev6.a.3f2a1b7") == "v1.20.2_kubev6.a.3f2a1b7"


@pytest.mark.parametrize(
    ("version", "runtimes"),
    [
        ("v1.9.0-alpha.0.ipv6.0", ("docker",)),
        ("1.10.13", ("docker",)),
        ("1.11.0", ("containerd", "docker")),
        ("v1.20.2+kubev6.x", ("containerd", "docker")),
        ("1.23.17", ("containerd", "docker")),
        ("1.24.0-alpha.1", ("containerd",)),
        ("1.34.2", ("containerd",)),
    ],
)
def test_docker_is_spoken_to_until_1_24_and_containerd_since_1_11(version: str, runtimes: tuple[str, ...]) -> None:
    assert container_runtimes(version) == runtimes


@pytest.mark.parametrize(
    ("version", "written"),
    [("1.20.2", "/run/x.sock"), ("1.23.17", "/run/x.sock"), ("1.24.0", "unix:///run/x.sock")],
)
def test_a_socket_is_written_with_its_scheme_since_1_24(version: str, written: str) -> None:
    assert cri_endpoint("/run/x.sock", version) == written


@pytest.mark.parametrize(
    ("version", "init", "join"),
    [
        ("v1.9.0-alpha.0.ipv6.0", "--skip-preflight-checks", "--skip-preflight-checks"),
        ("v1.9.0-alpha.1.ipv6.1b", "--skip-preflight-checks", "--skip-preflight-checks"),
        ("1.9.0", "--ignore-preflight-errors=all", "--ignore-preflight-errors=all"),
        ("1.13.0", "--skip-phases=preflight", "--ignore-preflight-errors=all"),
        ("1.14.0", "--skip-phases=preflight", "--skip-phases=preflight"),
        ("1.34.2", "--skip-phases=preflight", "--skip-phases=preflight"),
    ],
)
def test_each_kubeadm_is_kept_from_its_own_checks_in_its_own_words(version: str, init: str, join: str) -> None:
    assert (skip_preflight("init", version), skip_preflight("join", version)) == (init, join)


@pytest.mark.parametrize(
    ("version", "starts"), [("v1.9.0-alpha.0.ipv6.0", False), ("1.10.13", False), ("1.11.0", True), ("1.20.2", True)]
)
def test_kubeadm_starts_the_kubelet_since_1_11(version: str, starts: bool) -> None:
    assert kubeadm_starts_kubelet(version) is starts


@pytest.mark.parametrize(
    ("version", "takes", "api"),
    [
        ("v1.9.0-alpha.0.ipv6.0", False, "apps/v1beta2"),
        ("1.9.0-beta.2", False, "apps/v1beta2"),
        ("1.9.0", True, "apps/v1"),
        ("1.20.2", True, "apps/v1"),
    ],
)
def test_the_1_9_pre_releases_have_other_workloads_and_a_kube_proxy_of_options_only(
    version: str, takes: bool, api: str
) -> None:
    assert kube_proxy_takes_configuration(version) is takes
    assert workloads_api(version) == api


@pytest.mark.parametrize(
    ("version", "v1", "v2"),
    [
        ("v1.9.0-alpha.0.ipv6.0", True, False),
        ("1.18.20", True, False),
        ("1.19.0", True, True),
        ("1.34.2", True, True),
        ("1.35.0", False, True),
    ],
)
def test_cgroup_v2_is_known_since_1_19_and_v1_refused_since_1_35(version: str, v1: bool, v2: bool) -> None:
    assert needs_cgroup_v2(version) is not v1
    assert supports_cgroup_v2(version) is v2


@pytest.mark.parametrize(
    ("docker", "hides"), [("1.13.1", False), ("17.03.2", False), ("17.06", True), ("18.9", True), ("20.10.24", True)]
)
def test_docker_hides_ipv6_since_17_06(docker: str, hides: bool) -> None:
    assert docker_hides_ipv6(docker) is hides


@pytest.mark.parametrize(("cni", "shows"), [("0.6.0", False), ("0.7.0", True), ("0.8.7", True), ("1.8.0", True)])
def test_the_bridge_plugin_shows_ipv6_since_0_7_0(cni: str, shows: bool) -> None:
    assert cni_shows_ipv6(cni) is shows


@pytest.mark.parametrize(
    ("version", "containerd"),
    [
        ("1.20.2", ("1.5", "2.0")),
        ("1.22.17", ("1.5", "2.0")),
        ("1.23.0", ("1.5", "")),
        ("1.26.0", ("1.6", "")),
        ("1.35.0", ("1.6", "")),
        ("1.36.0", ("2.0", "")),
    ],
)
def test_each_kubelet_speaks_to_the_containerds_of_its_age(version: str, containerd: tuple[str, str]) -> None:
    assert containerd_versions(version) == containerd


@pytest.mark.parametrize(
    ("version", "waits", "names_server", "finds_iptables"),
    [
        ("v1.9.0-alpha.0.ipv6.0", False, False, False),
        ("1.11.10", False, False, False),
        ("1.12.0", True, False, False),
        ("1.17.0", True, False, True),
        ("1.20.2", True, True, True),
    ],
)
def test_what_kubectl_and_kube_proxy_learned_with_time(
    version: str, waits: bool, names_server: bool, finds_iptables: bool
) -> None:
    assert kubectl_waits(version) is waits
    assert kubectl_names_server(version) is names_server
    assert kube_proxy_finds_iptables(version) is finds_iptables


@pytest.mark.parametrize(
    ("seen", "version", "right"),
    [
        ("v1.20.2+kubev6.a.3f2a1b7", "v1.20.2+kubev6.a.3f2a1b7", True),
        ("v1.20.2+kubev6.a.0000000", "v1.20.2+kubev6.a.3f2a1b7", False),
        ("v1.34.1", "v1.34.2", False),
        ("v1.9.0-alpha.0.ipv6.0", "v1.9.0-alpha.0.ipv6.0", True),
        ("v1.9.0-alpha.0.705+8e957e8443c820-dirty", "v1.9.0-alpha.0.ipv6.0", True),
        ("v1.8.0", "v1.9.0-alpha.0.ipv6.0", False),
        ("v0.0.0-master+$Format:%h$", "v1.9.0-alpha.0.ipv6.0", False),
        ("v1.9.0-alpha.0.705", "v1.9.0-alpha.0.ipv6.0+kubev6.a.3f2a1b7", False),
    ],
)
def test_a_published_pre_release_says_what_its_authors_tree_was_called(seen: str, version: str, right: bool) -> None:
    assert is_stamped(seen, version) is right


@pytest.mark.parametrize("text", ["", "1.20", "latest", "v1.20.2.1"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no version"):
        parse_version(text)
