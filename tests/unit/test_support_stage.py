"""The support stage by translator, resolver and operating system, and what the other nodes have of the choice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError
from configs.plan.jool import Jool
from configs.plan.node import plan_node
from configs.plan.routes import routes
from configs.plan.state import NodeState, Service, StageState
from configs.plan.systems import Machine, machine_running, system_of, systems
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from tests.unit.sample import GOOD
from tests.unit.test_plan import GOLDEN, as_text
from tests.unit.test_schema import write

RELEASE = load_release("debian-1.20")
WELL_KNOWN = "64:ff9b::/96"


def cluster(tmp_path: Path, **fields: Any) -> Cluster:
    return load_cluster(write(tmp_path, {**GOOD, **fields}))


def nat64(by: str, prefix: str = WELL_KNOWN, **more: str) -> dict[str, str]:
    return {"prefix": prefix, "by": by, **more}


def planned(topology: Cluster, name: str = "support", machine: Machine | None = None) -> NodeState:
    return plan_node(topology, RELEASE, None, name, machine or Machine(resolvers=("192.0.2.53",)))


def support_stage(topology: Cluster, machine: Machine | None = None) -> StageState:
    stage = planned(topology, machine=machine).stage("support")
    assert stage is not None
    return stage


def content(stage: StageState, path: str) -> str:
    return next(file.content for file in stage.files if file.path == path)


def lines(stage: StageState, path: str, start: str) -> list[str]:
    return [line.strip() for line in content(stage, path).splitlines() if line.strip().startswith(start)]


@pytest.mark.parametrize("by", ["tayga", "jool"])
def test_a_translator_forwards_both_what_it_translates_and_what_comes_of_that(tmp_path: Path, by: str) -> None:
    """IPv6 to the translator, and IPv4 from it: now, and from the next start on."""
    stage = planned(cluster(tmp_path, nat64=nat64(by))).stage("network")
    assert stage is not None
    set_now = {sysctl.key: sysctl.value for sysctl in stage.sysctls}
    for key in ("net.ipv6.conf.all.forwarding", "net.ipv4.ip_forward"):
        assert set_now[key] == "1"
        assert f"{key} = 1\n" in content(stage, "/etc/sysctl.d/zz-kubev6.conf")


UNIT = "/etc/systemd/system/kubev6-nat64.service"
UNBOUND = "/etc/unbound/unbound.conf.d/kubev6.conf"
NAMED = "/etc/bind/named.conf.options"

VARIANTS: dict[str, tuple[dict[str, Any], Machine]] = {
    "jool-and-unbound-on-debian": (
        {"nat64": nat64("jool"), "dns64": {"by": "unbound"}},
        Machine("debian", "12", resolvers=("192.0.2.53", "127.0.0.1")),
    ),
    "jool-3-built-on-ubuntu-16.04": (
        {"nat64": nat64("jool")},
        Machine("ubuntu", "16.04", jool=Jool("/usr/local/bin/jool", "3.5.7.0", "3.5.7.0")),
    ),
    "tayga-and-bind-on-centos-7": (
        {"dns64": {"exclude_any": False}},
        Machine("centos", "7", resolvers=("192.0.2.53",)),
    ),
    "unbound-on-centos-7": (
        {
            "nat64": nat64("existing", "2001:db8:64::/64", address="fd00::6464"),
            "dns64": {"by": "unbound", "exclude_any": False, "forwarders": ["2001:db8::53", "192.0.2.53"]},
        },
        Machine("centos", "7"),
    ),
    "tayga-and-bind-on-rocky-9": ({}, Machine("rocky", "9.6", resolvers=("192.0.2.53",))),
    "existing-servers": (
        {"nat64": nat64("existing", address="fd00::6464"), "dns64": {"by": "existing", "address": "fd00::53"}},
        Machine(),
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_support_stage_is_as_in_its_golden_file(tmp_path: Path, variant: str) -> None:
    fields, machine = VARIANTS[variant]
    text = as_text(NodeState("support", (support_stage(cluster(tmp_path, **fields), machine),)))
    golden = GOLDEN / "support" / f"{variant}.txt"
    if os.environ.get("KUBEV6_WRITE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_tayga_has_an_ipv6_address_of_its_own_because_its_ipv4_address_is_private(tmp_path: Path) -> None:
    stage = support_stage(cluster(tmp_path))
    assert content(stage, "/etc/kubev6/tayga.conf").splitlines()[1:] == [
        "tun-device nat64",
        "ipv4-addr 198.18.0.1",
        "ipv6-addr fd00::64:64",
        f"prefix {WELL_KNOWN}",
        "dynamic-pool 198.18.0.0/16",
        "data-dir /var/lib/kubev6-nat64",
    ]


def test_tayga_gets_routes_for_prefix_and_pool_and_the_pool_is_masqueraded(tmp_path: Path) -> None:
    unit = content(support_stage(cluster(tmp_path)), UNIT)
    assert "ip route replace 198.18.0.0/16 dev nat64" in unit
    assert f"ip -6 route replace {WELL_KNOWN} dev nat64" in unit
    assert "-A POSTROUTING -s 198.18.0.0/16 -j MASQUERADE" in unit


def test_jool_4_is_told_by_instance_and_its_pool_of_ipv4_addresses_stays_empty(tmp_path: Path) -> None:
    stage = support_stage(cluster(tmp_path, nat64=nat64("jool")))
    assert lines(stage, UNIT, "Exec") == [
        "ExecStartPre=/sbin/modprobe jool",
        "ExecStartPre=-/usr/bin/jool instance remove kubev6",
        f"ExecStart=/usr/bin/jool instance add kubev6 --netfilter --pool6 {WELL_KNOWN}",
        "ExecStop=/usr/bin/jool instance remove kubev6",
    ]
    assert "MASQUERADE" not in content(stage, UNIT)
    assert stage.modules == ("jool",)


def test_jool_3_5_is_told_by_its_tables(tmp_path: Path) -> None:
    machine = Machine(jool=Jool("/opt/jool/bin/jool", "3.5.7.0", "3.5.7.0"))
    assert lines(support_stage(cluster(tmp_path, nat64=nat64("jool")), machine), UNIT, "Exec") == [
        "ExecStartPre=/sbin/modprobe jool disabled",
        "ExecStartPre=/opt/jool/bin/jool --pool6 --flush",
        f"ExecStart=/opt/jool/bin/jool --pool6 --add {WELL_KNOWN}",
        "ExecStart=/opt/jool/bin/jool --enable",
        "ExecStop=/opt/jool/bin/jool --pool6 --flush",
    ]


@pytest.mark.parametrize(
    ("machine", "packages"),
    [
        (Machine(), ("jool-tools", "jool-dkms")),
        (Machine(jool=Jool("/usr/bin/jool", "4.1.9.0", "4.1.9.0")), ("jool-tools", "jool-dkms")),
        (Machine(jool=Jool("/usr/local/bin/jool", "4.1.11.0", "4.1.11.0")), ()),
        (Machine("centos", "7", jool=Jool("/usr/bin/jool", "4.0.7.0", "4.0.7.0")), ()),
    ],
)
def test_jool_comes_from_packages_unless_somebody_built_it_there(
    tmp_path: Path, machine: Machine, packages: tuple[str, ...]
) -> None:
    found = support_stage(cluster(tmp_path, nat64=nat64("jool")), machine).packages
    assert tuple(name for name in found if "jool" in name) == packages


def test_a_machine_plans_the_same_after_jools_packages_came(tmp_path: Path) -> None:
    topology = cluster(tmp_path, nat64=nat64("jool"))
    later = Machine(jool=Jool("/usr/bin/jool", "4.1.9.0", "4.1.9.0"))
    assert support_stage(topology, Machine()) == support_stage(topology, later)


def test_a_system_without_a_package_of_jool_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"jool is not packaged for centos-7; .*tayga, or existing"):
        support_stage(cluster(tmp_path, nat64=nat64("jool")), Machine("centos", "7"))


@pytest.mark.parametrize("by", ["bind", "unbound"])
def test_exclude_any_hides_real_addresses_and_is_a_setting(tmp_path: Path, by: str) -> None:
    def of(exclude_any: bool) -> str:
        stage = support_stage(cluster(tmp_path, dns64={"by": by, "exclude_any": exclude_any}))
        return content(stage, NAMED if by == "bind" else UNBOUND)

    hidden, shown = of(exclude_any=True), of(exclude_any=False)
    word = {"bind": "exclude { any; };", "unbound": "dns64-synthall: yes"}[by]
    assert word in hidden
    assert word not in shown


def test_only_the_cluster_may_ask(tmp_path: Path) -> None:
    bind = content(support_stage(cluster(tmp_path)), NAMED)
    acl = bind.partition("acl cluster {")[2].partition("};")[0].replace(" ", "").split(";")
    assert [each.strip() for each in acl if each.strip()] == [
        "localhost",
        "fd00::/64",
        "fd00:100::/64",
        "fd00:10a::/64",
    ]
    for rule in ("allow-query { cluster; };", "allow-recursion { cluster; };", "dnssec-validation no;"):
        assert rule in bind
    stage = support_stage(cluster(tmp_path, dns64={"by": "unbound"}))
    assert lines(stage, UNBOUND, "access-control:") == [
        "access-control: fd00::/64 allow",
        "access-control: fd00:100::/64 allow",
        "access-control: fd00:10a::/64 allow",
    ]


def test_the_servers_listen_on_the_fabric(tmp_path: Path) -> None:
    assert "listen-on-v6 { any; };" in content(support_stage(cluster(tmp_path)), NAMED)
    stage = support_stage(cluster(tmp_path, dns64={"by": "unbound"}))
    assert lines(stage, UNBOUND, "interface:") == ["interface: fd00::64", "interface: ::1", "interface: 127.0.0.1"]


@pytest.mark.parametrize("by", ["bind", "unbound"])
def test_a_machine_that_asks_its_own_dns64_is_not_forwarded_to(tmp_path: Path, by: str) -> None:
    topology = cluster(tmp_path, dns64={"by": by})
    machine = Machine(resolvers=("127.0.0.1", "::1", "fd00::64", "192.0.2.53"))
    text = content(support_stage(topology, machine), NAMED if by == "bind" else UNBOUND)
    asked = text.partition("forwarders {" if by == "bind" else "forward-zone:")[2]
    assert "192.0.2.53" in asked
    for own in ("127.0.0.1", "::1;", "fd00::64"):
        assert own not in asked
    nobody = content(support_stage(topology, Machine(resolvers=("::1",))), NAMED if by == "bind" else UNBOUND)
    assert "forward only" not in nobody
    assert "forward-zone" not in nobody


BIND_UNITS = {
    "debian-12": "named.service",
    "debian-11": "named.service",
    "ubuntu-24.04": "named.service",
    "ubuntu-20.04": "named.service",
    "ubuntu-18.04": "bind9.service",
    "ubuntu-16.04": "bind9.service",
    "centos-7": "named.service",
    "rocky-9": "named.service",
}


@pytest.mark.parametrize(("system", "unit"), BIND_UNITS.items())
def test_binds_unit_is_called_as_on_that_system(system: str, unit: str) -> None:
    assert system_of(machine_running(system)).units["bind"] == unit


@pytest.mark.parametrize("system", systems(), ids=lambda system: system.name)
def test_every_system_has_what_the_support_stage_speaks_of_or_says_what_to_do_instead(system: Any) -> None:
    for name in ("tayga", "jool", "jool_module", "bind", "unbound", "registry"):
        assert name in system.packages or system.lacking[name]
    assert {"bind", "unbound", "registry"} <= set(system.units)
    assert {"bind", "bind_directory", "unbound", "registry"} <= set(system.paths)


def test_existing_servers_leave_the_support_node_the_registry_alone(tmp_path: Path) -> None:
    fields, machine = VARIANTS["existing-servers"]
    stage = support_stage(cluster(tmp_path, **fields), machine)
    assert [service.unit for service in stage.services] == ["docker-registry.service", "kubev6-registry-writer.service"]
    assert stage.packages == ("docker-registry", "openssl")


def test_nodes_route_the_prefix_to_an_existing_translator_and_ask_an_existing_dns64(tmp_path: Path) -> None:
    fields, _ = VARIANTS["existing-servers"]
    topology = cluster(tmp_path, **fields)
    for node in topology.nodes:
        found = [route for route in routes(topology, node, "v1.20.2") if route.destination == WELL_KNOWN]
        assert [(route.via, route.interface) for route in found] == [("fd00::6464", "eth1")]
    network = planned(topology, "kube-10", Machine()).stage("network")
    assert network is not None
    assert "nameserver fd00::53\n" in content(network, "/etc/resolv.conf")


def test_a_translator_that_runs_on_the_support_node_already_needs_no_route_there(tmp_path: Path) -> None:
    topology = cluster(tmp_path, nat64=nat64("existing", address="fd00::64"))
    assert WELL_KNOWN not in [route.destination for route in routes(topology, topology.support, "v1.20.2")]
    worker = routes(topology, topology.node("kube-10"), "v1.20.2")
    assert [route.via for route in worker if route.destination == WELL_KNOWN] == ["fd00::64"]


def test_each_server_is_restarted_by_its_own_files(tmp_path: Path) -> None:
    stage = support_stage(cluster(tmp_path, nat64=nat64("jool"), dns64={"by": "unbound"}))
    assert stage.services[:2] == (
        Service("kubev6-nat64.service", restart_on=(UNIT,)),
        Service("unbound.service", restart_on=(UNBOUND,)),
    )
