from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.errors import ConfigError
from configs.schema.loading import load_cluster, load_release, shipped
from tests.unit.sample import GOOD


def write(tmp_path: Path, data: object) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def changed(path: str, value: object) -> dict[str, Any]:
    """GOOD with one field set: ``nodes.1.address`` names the address of the second node."""
    data = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    here: Any = data
    for part in parents:
        here = here[int(part)] if isinstance(here, list) else here[part]
    if isinstance(here, list):
        here[int(last)] = value
    else:
        here[last] = value
    return data


def test_a_good_file_is_read_and_a_name_may_begin_with_another(tmp_path: Path) -> None:
    cluster = load_cluster(write(tmp_path, GOOD))
    assert [node.name for node in cluster.nodes] == ["support", "kube-1", "kube-10"]
    assert str(cluster.node("kube-10").pod_subnet) == "fd00:10a::/64"


def test_workers_are_added_with_names_addresses_and_pod_subnets(tmp_path: Path) -> None:
    data = {**GOOD, "nodes": GOOD["nodes"][:2], "workers": 12}
    cluster = load_cluster(write(tmp_path, data))
    twelfth = cluster.node("kube-worker-12")
    assert (str(twelfth.address), str(twelfth.pod_subnet)) == ("fd00::10c", "fd00:10c::/64")


def test_several_control_planes_want_an_address_that_is_none_of_the_special_ones(tmp_path: Path) -> None:
    data = changed("nodes.2.roles", ["control-plane"])
    data["endpoint"] = {"name": "api", "address": "fd00::6443"}
    cluster = load_cluster(write(tmp_path, data))
    assert [node.name for node in cluster.control_planes] == ["kube-1", "kube-10"]
    assert (cluster.control_plane.name, str(cluster.api[0])) == ("kube-1", "fd00::6443")
    for what in ("nat64", "dns64"):
        more = {**data, what: {**data.get(what, {}), "by": "existing", "address": "fd00::6443"}}
        with pytest.raises(ConfigError, match=rf"endpoint\.address: fd00::6443 is {what}\.address"):
            load_cluster(write(tmp_path, more))


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("nodes.2.address", "fd00::100", ["nodes[1], nodes[2]", "fd00::100 is used twice", "kube-1, kube-10"]),
        ("nodes.2.name", "kube-1", ["nodes[1], nodes[2]", "name kube-1 is used twice"]),
        (
            "nodes.2.address",
            "fd01::10a",
            ["nodes[2] (kube-10).address", "fd01::10a", "outside fabric.subnet fd00::/64"],
        ),
        ("nodes.2.address", "fd00::", ["nodes[2] (kube-10).address", "subnet's own"]),
        ("nodes.2.address", "192.0.2.1", ["nodes[2].address", "'192.0.2.1'", "IPv6"]),
        ("nodes.2.address", "fd00::1/64", ["nodes[2].address", "'fd00::1/64'", "prefix length"]),
        ("nodes.2.address", 101, ["nodes[2].address", "101", "fd00::100"]),
        ("nodes.2.name", "Kube_1", ["nodes[2].name", "'Kube_1'", "lower-case"]),
        ("nodes.2.roles", ["minion"], ["nodes[2].roles[0]", "'minion'", "worker"]),
        ("nodes.2.role", ["worker"], ["nodes[2].role", "no such key", "roles"]),
        ("nodes.1.roles", ["worker"], ["no node with the role control-plane", "exactly one"]),
        ("nodes.0.roles", ["worker"], ["no node with the role support"]),
        (
            "nodes.2.roles",
            ["control-plane"],
            ["endpoint: is missing", "2 nodes (kube-1, kube-10) with the role control-plane", "endpoint: {name: "],
        ),
        ("endpoint", {"name": "api", "address": "fd00::6443"}, []),
        ("endpoint", {"name": "api"}, ["endpoint.address", "missing"]),
        ("endpoint", {"name": "api", "address": "fd01::6443"}, ["fd01::6443 is outside fabric.subnet fd00::/64"]),
        ("endpoint", {"name": "api", "address": "fd01::6443", "by": "existing", "port": 8443}, []),
        ("endpoint", {"name": "api", "address": "fd00::6443", "port": 8443}, ["endpoint.port: 8443", "on 6443"]),
        ("endpoint", {"name": "api", "address": "fd00::"}, ["endpoint.address: fd00:: is the subnet's own"]),
        ("endpoint", {"name": "api", "address": "fd00::100"}, ["endpoint.address: fd00::100 is the address of kube-1"]),
        ("endpoint", {"name": "kube-10", "address": "fd00::6443"}, ["endpoint.name: kube-10 is the name of nodes[2]"]),
        ("endpoint", {"name": "api", "address": "192.0.2.1"}, ["endpoint.address", "IPv6"]),
        ("nodes.0.roles", ["support", "worker"], ["nodes[0] (support).roles", "outside Kubernetes"]),
        ("fabric.subnet", "fd00::1/64", ["fabric.subnet", "'fd00::1/64'", "host bits set", "fd00::/64 is the prefix"]),
        ("fabric.subnet", "10.0.0.0/8", ["fabric.subnet", "'10.0.0.0/8'", "IPv4"]),
        ("fabric.subnet", "fd00::", ["fabric.subnet", "'fd00::'", "fd00::/64 is wanted"]),
        ("services.subnet", "fd00:1234::/64", ["services.subnet", "/64", "/108 to /120"]),
        ("services.subnet", "fd00:1220::/107", ["services.subnet", "/107", "/108 to /120", "20 host bits"]),
        ("services.subnet", "fd00:1220::/108", []),
        ("services.subnet", "fd00:1234::/112", []),
        ("services.subnet", "fd00:1234::/120", []),
        ("services.subnet", "fd00:1234::/121", ["services.subnet", "/121", "/108 to /120"]),
        ("services.subnet", "fd00:100::/110", ["pod_subnet of kube-1: fd00:100::/64 overlaps services.subnet"]),
        ("services.subnet", "fd00::/110", ["overlaps fabric.subnet fd00::/64"]),
        ("nat64.prefix", "64:ff9b::/95", ["nat64.prefix", "/95", "/32, /40, /48, /56, /64, /96", "RFC 6052"]),
        ("nat64.prefix", "64:ff9b::/64", ["nat64.prefix", "64:ff9b::/64 is the well-known", "it is 64:ff9b::/96"]),
        ("nat64.prefix", "64:ff9b::/48", ["nat64.prefix", "it is 64:ff9b::/96 (RFC 6052, 2.1)"]),
        ("nat64.prefix", "64:ff9b:1::/48", []),  # that of RFC 8215, for local use
        ("nat64.prefix", "64:ff9b:1::/96", []),
        ("nat64.pool", "192.168.255.0/30", ["nat64.pool", "too few"]),
        ("pods.prefix", "fd00::/60", ["pods.prefix", "/60", "/16 to /48", "nodes[2] (kube-10).pod_subnet"]),
        (
            "nodes.2.pod_subnet",
            "fd01:10a::/64",
            ["nodes[2] (kube-10).pod_subnet: fd01:10a::/64 is outside"],
        ),
        ("nodes.2.pod_subnet", "fd00:100::/63", ["pod_subnet of kube-10: fd00:100::/63 overlaps pod_subnet of kube-1"]),
        ("nodes.2.pod_subnet", "fd00:100::/64", ["nodes[1], nodes[2]: pod_subnet fd00:100::/64 is used twice"]),
        ("nat64.prefix", "fd00:100::/64", ["pod_subnet of kube-1: fd00:100::/64 overlaps nat64.prefix fd00:100::/64"]),
        ("services.subnet", "fd00::/112", ["services.subnet: fd00::/112 overlaps fabric.subnet fd00::/64"]),
        ("nodes.2.address", "fd00::1:0", ["pod_subnet of kube-10: fd00::/64 overlaps fabric.subnet fd00::/64"]),
        ("nodes.2.address", "fd00::64:64", ["nodes[2] (kube-10).address: fd00::64:64 is tayga's own"]),
        ("nodes.2.address", "fd00::10a%eth1", ["nodes[2].address", "has a scope"]),
        ("fabric.subnet", "fe80::/64", ["fabric.subnet: 'fe80::/64' is in fe80::/10, link-local", "fd00::/64"]),
        ("fabric.subnet", "fd00::%eth1/64", ["fabric.subnet", "has a scope"]),
        ("pods.prefix", "fe80::/32", ["pods.prefix: 'fe80::/32' is in fe80::/10, link-local"]),
        ("pods.prefix", "fe00::/7", ["pods.prefix: 'fe00::/7' holds fe80::/10, link-local"]),
        ("services.subnet", "ff05::/112", ["services.subnet: 'ff05::/112' is in ff00::/8, multicast"]),
        ("services.subnet", "fec0::/112", ["services.subnet", "site-local"]),
        ("services.subnet", "2002:c000:201::/112", ["services.subnet", "6to4's"]),
        ("services.subnet", "2001:0:1::/112", ["services.subnet", "Teredo's"]),
        ("services.subnet", "64:ff9b:1::/112", ["services.subnet", "is in ::/8"]),
        ("services.subnet", "2001:db8::/112", []),  # for documentation: routed like any other
        ("nat64.prefix", "::ffff:0:0/96", ["nat64.prefix: '::ffff:0:0/96' is in ::/8", "IPv4-mapped"]),
        ("nat64.prefix", "fe80:64::/96", ["nat64.prefix", "link-local"]),
        ("nat64.prefix", "100::/64", ["nat64.prefix", "for discarding"]),
        ("nat64.pool", "224.0.0.0/8", ["nat64.pool", "multicast"]),
        ("dns64", {"by": "existing", "address": "ff02::fb"}, ["dns64.address", "multicast"]),
        ("dns64", {"forwarders": ["fe80::1"]}, ["dns64.forwarders[0]", "needs its interface"]),
        ("dns64", {"forwarders": ["fe80::1%eth0;}"]}, ["dns64.forwarders[0]", "a scope that is no interface"]),
        ("dns64", {"forwarders": ["fe80::1%eth0"]}, []),
        ("dns64", {"forwarders": ["169.254.169.253", "64:ff9b::808:808"]}, []),
        ("dns64", {"forwarders": ["::ffff:9.9.9.9"]}, ["dns64.forwarders[0]", "IPv4-mapped"]),
        ("dns64", {"forwarders": ["ff02::fb", "0.1.2.3"]}, ["forwarders[0]", "multicast", "[1]", "this network"]),
        ("dns64", {"forwarders": ["fd00:1234::35"]}, ["dns64.forwarders[0]", "is in services.subnet fd00:1234::/110"]),
        (
            "dns64",
            {"by": "existing", "address": "fd00:10a::5"},
            ["dns64.address", "is in pod_subnet of kube-10 fd00:10a::/64"],
        ),
        ("fabric.interface", "all", ["fabric.interface: 'all' is no interface"]),
        ("services", {"subnet": "fd00:1234::/110", "domain": "a..b"}, ["services.domain: 'a..b' is no domain"]),
        ("ssh", {"host": "192.0.2.1"}, ["ssh.host: no such key", "port, user"]),
        ("nodes.2.ssh", {"host": "FD00::0100"}, ["nodes[1], nodes[2]: ssh.host fd00::100, port 22 is one machine"]),
        ("nodes.2.ssh", {"host": "fd00::100", "port": 2222}, []),
        ("nodes.2.ssh", {"host": "-oProxyCommand=x"}, ["nodes[2].ssh.host: '-oProxyCommand=x' is no host"]),
        ("nodes.2.ssh", {"host": "a b"}, ["nodes[2].ssh.host: 'a b' is no host"]),
        ("nodes.2.ssh", {"host": "root@a"}, ["nodes[2].ssh.host: 'root@a' is no host"]),
        ("nodes.2.ssh", {"host": "a:22"}, ["nodes[2].ssh.host: 'a:22' is no host"]),
        ("nodes.2.ssh", {"host": "fe80::1%eth0"}, []),
        ("nodes.2.ssh", {"host": "a\nb"}, ["nodes[2].ssh.host: 'a\\nb' is no host"]),
        ("nodes.2.ssh", {"host": "a\u202eb"}, ["nodes[2].ssh.host", "U+202E"]),
        ("nodes.2.ssh", {"user": "-l"}, ["nodes[2].ssh.user: '-l' is no login name"]),
        ("nodes.2.ssh", {"user": "a\x1bb"}, ["nodes[2].ssh.user", "U+001B"]),
        ("nodes.2.ssh", {"key_file": "a\nb"}, ["nodes[2].ssh.key_file: 'a\\nb' is no path"]),
        ("verify.outside", "http://[x/", ["verify.outside: 'http://[x/' names no host"]),
        ("verify.outside", "http://x:99999/", ["verify.outside", "names no host"]),
        ("verify.outside", "http://me:secret@x.example/", ["verify.outside: 'http://x.example/' holds a login"]),
        ("verify.outside", "ftp://x", ["verify.outside", "'ftp://x'"]),
        ("colour", "red", ["colour", "no such key", "fabric"]),
        ("runtime", "podman", ["runtime", "'podman'", "'containerd' or 'docker'"]),
        ("images", "dockerhub", ["images", "'dockerhub'", "'registry' or 'upstream'"]),
        ("cni", "0.6.0", ["cni", "'0.6.0'", "'release' or 'system'"]),
        ("fabric.colour", "red", ["fabric.colour", "no such key", "interface, subnet"]),
        ("uplink", {"interface": "eth1"}, ["uplink.interface: eth1 is the fabric's", "another interface"]),
        ("uplink", {"addressing": "dhcp"}, ["uplink.addressing", "'dhcp'", "static"]),
        (
            "uplink",
            {"addressing": "static"},
            ["uplink.subnet: is missing", "nodes[0] (support).uplink_address: is missing"],
        ),
        ("uplink", {"gateway": "fe80::1"}, ["uplink: with slaac the routers say subnet and gateway"]),
        (
            "uplink",
            {"addressing": "static", "subnet": "2001:db8::/64", "gateway": "2001:db8:1::1"},
            ["uplink.gateway: 2001:db8:1::1 is neither in uplink.subnet 2001:db8::/64 nor link-local"],
        ),
        ("uplink", {"addressing": "static", "subnet": "fd00::/48"}, ["fd00::/48 overlaps fabric.subnet fd00::/64"]),
        ("nodes.2.uplink_address", "2001:db8::1", ["nodes[2] (kube-10).uplink_address: 2001:db8::1 has no uplink"]),
        ("workers", -1, ["workers", "-1"]),
        ("name", None, ["name"]),
    ],
)
def test_a_wrong_topology_is_refused_by_file_field_value_and_what_would_be_right(
    tmp_path: Path, path: str, value: object, told: list[str]
) -> None:
    file = write(tmp_path, changed(path, value))
    if not told:
        load_cluster(file)
        return
    with pytest.raises(ConfigError) as raised:
        load_cluster(file)
    message = str(raised.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    for words in told:
        assert words in message


@pytest.mark.parametrize("key", ["name", "release", "fabric", "pods", "services", "nat64", "verify", "nodes"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    data = {name: value for name, value in GOOD.items() if name != key}
    with pytest.raises(ConfigError, match=rf"{key}: is missing"):
        load_cluster(write(tmp_path, data))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- a\n- b\n", "holds a list"),
        ("name: [a\n", "is not YAML: line"),
        ("just words", "holds a str"),
    ],
)
def test_what_is_no_topology_at_all_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_cluster(path)


def test_a_prefix_of_any_length_will_do_where_every_node_names_its_pod_subnet(tmp_path: Path) -> None:
    data = changed("pods.prefix", "2001:db8:0:ff00::/56")
    for number in (1, 2):
        data["nodes"][number]["pod_subnet"] = f"2001:db8:0:ff0{number}::/64"

    assert str(load_cluster(write(tmp_path, data)).node("kube-10").pod_subnet) == "2001:db8:0:ff02::/64"


def test_a_static_uplink_is_not_the_pods_and_its_gateway_is_none_of_the_nodes(tmp_path: Path) -> None:
    data = changed("uplink", {"addressing": "static", "subnet": "fd00:100::/64", "gateway": "fd00:100::1"})
    for number, node in enumerate(data["nodes"]):
        node["uplink_address"] = f"fd00:100::{number}"

    with pytest.raises(ConfigError) as raised:
        load_cluster(write(tmp_path, data))

    assert "pod_subnet of kube-1: fd00:100::/64 overlaps uplink.subnet fd00:100::/64" in str(raised.value)
    assert "nodes[0] (support).uplink_address: fd00:100:: is the subnet's own" in str(raised.value)
    assert "nodes[1] (kube-1).uplink_address: fd00:100::1 is uplink.gateway" in str(raised.value)


def test_bytes_that_are_no_text_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not text"):
        load_cluster(path)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_cluster(tmp_path / "none.yaml")


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match=r"no cluster called rack; name a file, or one of: .*kube-v6.*lab"):
        load_cluster("rack")


@pytest.mark.parametrize("name", shipped("clusters"))
def test_every_shipped_cluster_is_right_and_its_release_is_shipped(name: str) -> None:
    assert load_release(load_cluster(name).release).name in shipped("releases")


def test_a_file_that_names_another_by_a_relative_path_means_one_beside_itself(tmp_path: Path) -> None:
    rack = tmp_path / "rack"
    rack.mkdir()
    data = changed("release", "../mine.yaml")
    (rack / "cluster.yaml").write_text(yaml.safe_dump(data))
    (tmp_path / "mine.yaml").write_text("name: mine\nkubernetes: 1.20.2\nbuild: {series: patches/ipv6.yaml}\n")
    release = load_release(load_cluster(rack / "cluster.yaml").release)
    assert release.build is not None
    assert Path(release.build.series).resolve() == tmp_path / "patches" / "ipv6.yaml"


def test_a_release_needs_something_to_come_from(tmp_path: Path) -> None:
    path = tmp_path / "release.yaml"
    path.write_text("name: empty\nkubernetes: 1.20.2\n")
    with pytest.raises(ConfigError, match="neither build nor fetch"):
        load_release(path)
    path.write_text("name: empty\nkubernetes: '1.20'\n")
    with pytest.raises(ConfigError, match=r"kubernetes: '1.20' is no version"):
        load_release(path)


def test_static_uplink_addresses_are_each_of_one_node_and_in_the_uplinks_subnet(tmp_path: Path) -> None:
    def with_addresses(*addresses: str) -> Path:
        data = changed("uplink", {"addressing": "static", "subnet": "2001:db8::/64", "gateway": "fe80::1"})
        for node, address in zip(data["nodes"], addresses, strict=True):
            node["uplink_address"] = address
        return write(tmp_path, data)

    cluster = load_cluster(with_addresses("2001:db8::64", "2001:db8::100", "2001:db8::10a"))
    assert str(cluster.node("kube-10").uplink_address) == "2001:db8::10a"
    with pytest.raises(
        ConfigError, match=r"nodes\[2\] \(kube-10\).uplink_address: 2001:db8::64 is used twice, by support"
    ):
        load_cluster(with_addresses("2001:db8::64", "2001:db8::100", "2001:db8::64"))
    with pytest.raises(ConfigError, match=r"uplink_address: 2001:db9::1 is outside uplink.subnet 2001:db8::/64"):
        load_cluster(with_addresses("2001:db9::1", "2001:db8::100", "2001:db8::10a"))
