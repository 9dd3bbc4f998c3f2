from ipaddress import IPv6Network

import pytest

from configs.versions import cluster_dns_address, image_name, image_tag, kubeadm_api, parse_version, takes_ipv6_node_ip


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


@pytest.mark.parametrize("text", ["", "1.20", "latest", "v1.20.2.1"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no version"):
        parse_version(text)
