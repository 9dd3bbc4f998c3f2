from ipaddress import IPv6Address, IPv6Network

import pytest

from configs.plan.versions import (
    certificate_renewal,
    cluster_dns_address,
    cni_shows_ipv6,
    container_runtimes,
    containerd_configuration,
    containerd_lists_cni_directories,
    containerd_to_come,
    containerd_versions,
    cri_endpoint,
    docker_hides_ipv6,
    etcd_is_too_old,
    extra_args_are_listed,
    image_name,
    image_tag,
    ipvs_is_to_go,
    is_next_minor,
    is_stamped,
    kernel_runs_nftables_proxy,
    kube_proxy_finds_iptables,
    kube_proxy_knows_bridge,
    kube_proxy_modes,
    kube_proxy_takes_configuration,
    kubeadm_api,
    kubeadm_apis,
    kubeadm_starts_kubelet,
    kubeadm_upgrades,
    kubectl_names_server,
    kubectl_waits,
    newer_than_rules,
    oldest_etcd,
    parse_version,
    refuses_cgroup_v1,
    skip_preflight,
    supports_cgroup_v2,
    takes_ipv6_node_ip,
    takes_no_dns,
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
    assert refuses_cgroup_v1(version) is not v1
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
        ("1.36.0", ("1.6", "")),
        ("1.37.2", ("1.6", "")),
        ("1.38.0-alpha.1", ("2.0", "")),
        ("1.40.0", ("2.0", "")),
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


MINORS = [f"1.{minor}.0" for minor in range(9, 38)]
V1BETA1, V1BETA2, V1BETA3, V1BETA4 = ("v1beta1", "v1beta2", "v1beta3", "v1beta4")
LINE = {
    # from it on: APIs that kubeadm reads, oldest etcd, least containerd, cgroup v2 known, v1 refused, bridge known to
    # kube-proxy, API of workloads, kubeadm starts the kubelet, architecture in image names
    "1.9.0": (("v1alpha1",), "3.0.14", "1.5", False, False, False, "apps/v1", False, True),
    "1.11.0": (("v1alpha2", "v1alpha1"), "3.1.12", "1.5", False, False, False, "apps/v1", True, True),
    "1.12.0": (("v1alpha3", "v1alpha2"), "3.1.12", "1.5", False, False, False, "apps/v1", True, False),
    "1.13.0": ((V1BETA1, "v1alpha3"), "3.2.18", "1.5", False, False, False, "apps/v1", True, False),
    "1.15.0": ((V1BETA2, V1BETA1), "3.2.18", "1.5", False, False, False, "apps/v1", True, False),
    "1.19.0": ((V1BETA2, V1BETA1), "3.2.18", "1.5", True, False, False, "apps/v1", True, False),
    "1.22.0": ((V1BETA3, V1BETA2), "3.2.18", "1.5", True, False, False, "apps/v1", True, False),
    "1.24.0": ((V1BETA3, V1BETA2), "3.2.18", "1.5", True, False, True, "apps/v1", True, False),
    "1.26.0": ((V1BETA3, V1BETA2), "3.2.18", "1.6", True, False, True, "apps/v1", True, False),
    "1.27.0": ((V1BETA3,), "3.2.18", "1.6", True, False, True, "apps/v1", True, False),
    "1.31.0": ((V1BETA4, V1BETA3), "3.5.11", "1.6", True, False, True, "apps/v1", True, False),
    "1.35.0": ((V1BETA4, V1BETA3), "3.5.11", "1.6", True, True, True, "apps/v1", True, False),
    "1.36.0": ((V1BETA4, V1BETA3), "3.6.0", "1.6", True, True, True, "apps/v1", True, False),
    "1.37.0": ((V1BETA4,), "3.6.0", "1.6", True, True, True, "apps/v1", True, False),
}
"""What each minor version wants, from 1.9 to 1.37; those between two lines are as the line before."""


@pytest.mark.parametrize("version", MINORS)
def test_every_minor_version_from_1_9_to_1_37_has_its_rules(version: str) -> None:
    line = LINE[max((each for each in LINE if parse_version(each) <= parse_version(version)), key=parse_version)]
    assert line == (
        kubeadm_apis(version),
        oldest_etcd(version),
        containerd_versions(version)[0],
        supports_cgroup_v2(version),
        refuses_cgroup_v1(version),
        kube_proxy_knows_bridge(version),
        workloads_api(version),
        kubeadm_starts_kubelet(version),
        image_name("etcd", version).endswith("-amd64"),
    )
    assert kubeadm_api(version) == kubeadm_apis(version)[0]
    assert newer_than_rules(version) == ""


@pytest.mark.parametrize(
    ("version", "newer"), [("1.37.9", False), ("1.38.0-alpha.0", True), ("v1.40.1", True), ("2.0.0", True)]
)
def test_a_version_newer_than_the_rules_is_known_to_be_and_gets_the_newest(version: str, newer: bool) -> None:
    assert bool(newer_than_rules(version)) is newer
    assert kubeadm_api(version) == "v1beta4"


@pytest.mark.parametrize(("api", "listed"), [(V1BETA1, False), (V1BETA2, False), (V1BETA3, False), (V1BETA4, True)])
def test_extra_arguments_are_a_list_and_coredns_can_be_declined_since_v1beta4(api: str, listed: bool) -> None:
    assert extra_args_are_listed(api) is listed
    assert takes_no_dns(api) is listed


@pytest.mark.parametrize("version", MINORS)
def test_kubeadm_upgrades_to_a_minor_version_since_1_32(version: str) -> None:
    assert kubeadm_upgrades(version) is (parse_version(version).minor >= 32)


@pytest.mark.parametrize(
    ("one", "other", "follows"),
    [
        ("v1.34.9_kubev6.a", "v1.35.0+kubev6.b", True),
        ("1.34.9", "1.34.10", False),
        ("1.34.0", "1.36.0", False),
        ("1.35.0", "1.34.0", False),
        ("1.9.0", "1.10.0-alpha.1", True),
    ],
)
def test_which_minor_version_follows_which(one: str, other: str, follows: bool) -> None:
    assert is_next_minor(one, other) is follows


@pytest.mark.parametrize(
    ("version", "to_come"),
    [("1.35.9", ("", "")), ("1.36.0", ("1.38", "2.0")), ("1.37.3", ("1.38", "2.0")), ("1.38.0", ("", ""))],
)
def test_kubernetes_1_36_and_1_37_tell_that_containerd_2_is_wanted_next(version: str, to_come: tuple[str, str]) -> None:
    assert containerd_to_come(version) == to_come


@pytest.mark.parametrize(
    ("containerd", "configuration", "lists"),
    [
        ("", 2, False),
        ("1.6", 2, False),
        ("1.7.28", 2, False),
        ("2.0", 3, False),
        ("2.1", 3, True),
        ("2.2", 3, True),
        ("2.3", 4, True),
        ("2.10", 4, True),
        ("3.0", 4, True),
    ],
)
def test_each_containerd_has_its_configuration(containerd: str, configuration: int, lists: bool) -> None:
    assert containerd_configuration(containerd) == configuration
    assert containerd_lists_cni_directories(containerd) is lists


@pytest.mark.parametrize(
    ("tag", "version", "too_old"),
    [
        ("3.0.17", "v1.9.0-alpha.0.ipv6.0", False),
        ("3.4.23", "v1.20.2+kubev6.x", False),
        ("3.4.23", "1.30.0", False),
        ("3.4.23", "1.31.0", True),
        ("3.5.9-0", "1.31.0", True),
        ("3.5.16-0", "1.35.0", False),
        ("3.5.24-0", "1.36.0", True),
        ("v3.6.8-0", "1.36.0", False),
        ("3.10.0", "1.36.0", False),
        ("latest", "1.36.0", False),
        ("", "1.36.0", False),
    ],
)
def test_an_etcd_that_a_kubeadm_cannot_run_is_known(tag: str, version: str, too_old: bool) -> None:
    assert etcd_is_too_old(tag, version) is too_old


@pytest.mark.parametrize(
    ("version", "modes"),
    [
        ("v1.9.0-alpha.0.ipv6.0", ("iptables",)),
        ("1.10.13", ("iptables",)),
        ("1.11.0", ("ipvs", "iptables")),
        ("v1.20.2+kubev6.x", ("ipvs", "iptables")),
        ("1.30.9", ("ipvs", "iptables")),
        ("1.31.0-rc.0", ("nftables", "ipvs", "iptables")),
        ("1.37.0", ("nftables", "ipvs", "iptables")),
    ],
)
def test_the_modes_of_kube_proxy_by_its_version(version: str, modes: tuple[str, ...]) -> None:
    assert kube_proxy_modes(version) == modes


@pytest.mark.parametrize(("version", "goes"), [("1.34.9", False), ("1.35.0", True), ("1.37.1", True)])
def test_since_when_ipvs_is_deprecated(version: str, goes: bool) -> None:
    assert ipvs_is_to_go(version) is goes


@pytest.mark.parametrize(
    ("kernel", "runs"),
    [("4.18.0-553.el8_10.x86_64", False), ("5.4.0-205-generic", False), ("5.13.0", True), ("6.1", True), ("0", False)],
)
def test_which_kernel_runs_kube_proxys_mode_for_nftables(kernel: str, runs: bool) -> None:
    assert kernel_runs_nftables_proxy(kernel) is runs


@pytest.mark.parametrize(
    ("version", "commands", "kubelet", "again"),
    [
        ("v1.37.0", ["certs renew all"], "init phase kubeconfig kubelet", False),
        ("v1.20.2+kubev6.debian-1.20.e4f6458", ["certs renew all"], "init phase kubeconfig kubelet", False),
        ("v1.19.16", ["alpha certs renew all"], "init phase kubeconfig kubelet", False),
        ("v1.15.0", ["alpha certs renew all"], "init phase kubeconfig kubelet", False),
        ("v1.14.9", ["init phase certs all", "init phase kubeconfig all"], "init phase kubeconfig kubelet", True),
        ("v1.13.0", ["init phase certs all", "init phase kubeconfig all"], "init phase kubeconfig kubelet", True),
        ("v1.12.10", ["alpha phase certs all", "alpha phase kubeconfig all"], "alpha phase kubeconfig kubelet", True),
        (
            "v1.9.0-alpha.0.ipv6.0",
            ["alpha phase certs all", "alpha phase kubeconfig all"],
            "alpha phase kubeconfig kubelet",
            True,
        ),
    ],
)
def test_kubeadm_renews_certificates_in_the_words_of_its_version(
    version: str, commands: list[str], kubelet: str, again: bool
) -> None:
    way = certificate_renewal(version)
    assert (list(way.commands), way.kubelet, way.again) == (commands, kubelet, again)
