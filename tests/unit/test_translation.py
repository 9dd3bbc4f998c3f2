"""The rules of NAT64 and DNS64, by name."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.errors import ConfigError
from configs.plan.translation import PREFIX_LENGTHS, embed, embedded, may_stand_for, warnings
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster
from tests.unit.sample import GOOD
from tests.unit.test_schema import changed, write

WELL_KNOWN = IPv6Network("64:ff9b::/96")


@pytest.mark.parametrize(
    ("prefix", "address"),
    [
        # The table of RFC 6052, section 2.4.
        ("2001:db8::/32", "2001:db8:c000:221::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
    ],
)
def test_an_ipv4_address_is_embedded_as_rfc_6052_says_for_every_prefix_length(prefix: str, address: str) -> None:
    network, ipv4 = IPv6Network(prefix), IPv4Address("192.0.2.33")
    assert network.prefixlen in PREFIX_LENGTHS
    assert embed(network, ipv4) == IPv6Address(address)
    assert embedded(network, IPv6Address(address)) == ipv4


@pytest.mark.parametrize("private", ["10.1.2.3", "172.19.0.2", "192.168.1.1", "100.64.0.1", "203.0.113.1", "127.0.0.1"])
def test_the_well_known_prefix_stands_for_global_ipv4_addresses_only(private: str) -> None:
    assert not may_stand_for(WELL_KNOWN, IPv4Address(private))
    assert may_stand_for(WELL_KNOWN, IPv4Address("9.9.9.9"))
    assert may_stand_for(IPv6Network("fd00:64:ff9b::/96"), IPv4Address(private))


def test_what_is_missing_beside_does_not_hide_what_is_wrong_here(tmp_path: Path) -> None:
    data = with_fields(nodes=GOOD["nodes"][1:], dns64={"forwarders": ["9.9.9.9", "::1"]})
    with pytest.raises(ConfigError, match=r"role support.*dns64.forwarders\[1\]: ::1 is DNS64 itself"):
        load_cluster(write(tmp_path, data))


def with_fields(**fields: Any) -> dict[str, Any]:
    return {**GOOD, **fields}


REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a length that cannot embed an IPv4 address": (
        changed("nat64.prefix", "fd00:64::/80"),
        ("nat64.prefix: fd00:64::/80 has length /80", "/32, /40, /48, /56, /64, /96", "RFC 6052"),
    ),
    "bits where RFC 6052 wants zeros": (
        changed("nat64.prefix", "fd00:64:0:0:ff9b::/96"),
        ("nat64.prefix: fd00:64:0:0:ff9b::/96", "ninth byte", "fd00:64:ff9b::/96"),
    ),
    "the well-known prefix in a lab, where everything is private": (
        with_fields(lab={}),
        ("nat64.prefix: 64:ff9b::/96 in a lab", "private", "RFC 6052, 3.1", "fd00:64:ff9b::/96"),
    ),
    "a pool with fewer addresses than sources": (
        changed("nat64.pool", "192.168.255.0/30"),
        ("nat64.pool: 192.168.255.0/30 has too few addresses, 4", "one for every source", "take a /28", "jool"),
    ),
    "a pool for Jool": (
        with_fields(nat64={"prefix": "64:ff9b::/96", "by": "jool", "pool": "192.168.255.0/24"}),
        ("nat64.pool: is tayga's, and nat64.by is jool",),
    ),
    "an existing translator without an address": (
        with_fields(nat64={"prefix": "64:ff9b::/96", "by": "existing"}),
        ("nat64.address: is missing",),
    ),
    "an address without an existing translator": (
        with_fields(nat64={"prefix": "64:ff9b::/96", "address": "fd00::6464"}),
        ("nat64.address: fd00::6464 is of an existing server, and nat64.by is tayga",),
    ),
    "an existing translator off the fabric": (
        with_fields(nat64={"prefix": "64:ff9b::/96", "by": "existing", "address": "fd01::64"}),
        ("nat64.address: fd01::64 is outside fabric.subnet fd00::/64",),
    ),
    "an existing translator on a node of Kubernetes": (
        with_fields(nat64={"prefix": "64:ff9b::/96", "by": "existing", "address": "fd00::100"}),
        ("nat64.address: fd00::100 is kube-1's",),
    ),
    "an existing DNS64 without an address": (
        with_fields(dns64={"by": "existing"}),
        ("dns64.address: is missing",),
    ),
    "an address without an existing DNS64": (
        with_fields(dns64={"by": "unbound", "address": "fd00::53"}),
        ("dns64.address: fd00::53 is of an existing server, and dns64.by is unbound",),
    ),
    "settings of a DNS64 that is not ours": (
        with_fields(dns64={"by": "existing", "address": "fd00::53", "exclude_any": True, "forwarders": ["9.9.9.9"]}),
        ("dns64.exclude_any: is a setting of our own server", "dns64.forwarders: is a setting of our own server"),
    ),
    "an unknown server": (
        with_fields(dns64={"by": "dnsmasq"}),
        ("dns64.by: 'dnsmasq'", "'bind', 'unbound' or 'existing'"),
    ),
    "a forwarder that is a name": (
        with_fields(dns64={"forwarders": ["dns.example"]}),
        ("dns64.forwarders[0]: 'dns.example' is no address",),
    ),
    "a DNS64 that asks itself": (
        with_fields(dns64={"forwarders": ["9.9.9.9", "fd00::64"]}),
        ("dns64.forwarders[1]: fd00::64 is DNS64 itself",),
    ),
    "a page outside that nobody has": (
        changed("verify.outside", "http://ipv4only.arpa/"),
        ("verify.outside: ipv4only.arpa", "RFC 7050", "name a real one"),
    ),
    "an address in the place of the page outside": (
        changed("verify.outside", "http://192.0.2.1:8080/"),
        ("verify.outside: 192.0.2.1 is an address", "a name is wanted"),
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_no_cluster_is_made_with(tmp_path: Path, what: str) -> None:
    data, told = REFUSED[what]
    with pytest.raises(ConfigError) as raised:
        load_cluster(write(tmp_path, data))
    for words in told:
        assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def cluster(tmp_path: Path, **fields: Any) -> Cluster:
    return load_cluster(write(tmp_path, with_fields(**fields)))


def test_an_existing_server_may_be_the_support_node_itself_or_stand_beside_it(tmp_path: Path) -> None:
    beside = cluster(
        tmp_path,
        nat64={"prefix": "64:ff9b::/96", "by": "existing", "address": "fd00::6464"},
        dns64={"by": "existing", "address": "2001:db8::53"},
    )
    assert (str(beside.translator), str(beside.resolver)) == ("fd00::6464", "2001:db8::53")
    itself = cluster(tmp_path, nat64={"prefix": "64:ff9b::/96", "by": "existing", "address": "fd00::64"})
    assert itself.translator == itself.resolver == itself.support.address


def test_a_private_resolver_behind_the_well_known_prefix_is_warned_of(tmp_path: Path) -> None:
    theirs = cluster(tmp_path, dns64={"forwarders": ["192.168.1.1"]})
    (warning,) = warnings(theirs)
    assert "192.168.1.1" in warning
    assert "RFC 6052, 3.1" in warning
    assert warnings(cluster(tmp_path), ("10.0.0.2",)) != ()
    assert warnings(cluster(tmp_path), ("9.9.9.9", "2001:db8::1")) == ()
    ula = {"prefix": "fd00:64:ff9b::/96"}
    assert warnings(cluster(tmp_path, nat64=ula, dns64={"forwarders": ["192.168.1.1"]})) == ()


def test_pods_are_sources_for_tayga_unless_they_are_masqueraded(tmp_path: Path) -> None:
    def of(masquerade: bool, by: str = "tayga") -> tuple[str, ...]:
        pods = {"prefix": "fd00::/16", "masquerade": masquerade}
        nat64 = {"prefix": "64:ff9b::/96", "by": by, **({"pool": "192.168.255.0/24"} if by == "tayga" else {})}
        return warnings(cluster(tmp_path, pods=pods, nat64=nat64, nodes=GOOD["nodes"][:2], workers=20))

    (warning,) = of(masquerade=False)
    assert "nat64.pool 192.168.255.0/24 has 256 addresses" in warning
    assert "651 sources" in warning
    assert "a /22 has room for all" in warning
    assert of(masquerade=True) == ()
    assert of(masquerade=False, by="jool") == ()


def test_the_room_that_is_named_is_enough(tmp_path: Path) -> None:
    data = with_fields(nodes=GOOD["nodes"][:2], workers=200)
    data["nat64"] = {"prefix": "64:ff9b::/96", "pool": "192.168.255.0/24"}
    with pytest.raises(ConfigError, match=r"take a /(\d+)") as raised:
        load_cluster(write(tmp_path, data))
    length = str(raised.value).partition("take a /")[2].split()[0]
    data["nat64"] = {"prefix": "64:ff9b::/96", "pool": f"10.64.0.0/{length}"}
    assert load_cluster(write(tmp_path, data)).nat64.pool == IPv4Network(f"10.64.0.0/{length}")


@pytest.mark.parametrize("name", ["lab", "kube-v6", "bare-metal"])
def test_the_shipped_clusters_are_warned_of_nothing_when_their_resolver_is_a_public_one(name: str) -> None:
    assert warnings(load_cluster(name), ("9.9.9.9",)) == ()


def test_a_good_file_needs_none_of_it(tmp_path: Path) -> None:
    plain = load_cluster(write(tmp_path, GOOD))
    assert (plain.nat64.by, plain.dns64.by) == ("tayga", "bind")
    assert yaml.safe_load((tmp_path / "cluster.yaml").read_text()) == GOOD
