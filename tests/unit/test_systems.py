"""Each operating system and networking tool, on the how-to's topology. Golden files hold what is written on them."""

from __future__ import annotations

import configparser
import os
from contextlib import nullcontext
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path

import pytest
import yaml

from configs.errors import ConfigError, NodeError
from configs.plan.derived import derive
from configs.plan.interfaces import Claim, Definition
from configs.plan.networking import tools
from configs.plan.node import plan_node
from configs.plan.stages.network import REPOSITORIES
from configs.plan.stages.network import network as stage_of
from configs.plan.state import NodeState, Reload, StageState, Sysctl
from configs.plan.systems import Machine, Networking, machine_running, networking_of, system_of, systems
from configs.schema.cluster import Cluster, Cni, Uplink
from configs.schema.loading import CONFIGS, load_cluster, load_release
from configs.schema.release import Release
from flows.run.context import RunContext
from flows.steps import nodes
from flows.steps.job import Job
from kubev6.cli import main
from tasks.node import engine, survey
from tasks.node.change import Change
from tasks.node.compatibility import Candidate, docker_and_cni_plugins
from tasks.ssh.connection import Connection
from tests.fakes import fake_of, substitute
from tests.unit import sample
from tests.unit.test_plan import GOLDEN, as_text

HOW_TO = load_cluster("kube-v6")
RELEASE = load_release(HOW_TO.release)
BUILT = load_release("debian-1.20")
SUPPORT, CONTROL_PLANE, WORKER = "kube-nat64-dns64", "kube-master", "kube-minion-1"
SYSTEMS: dict[str, Machine] = {
    "centos-7": machine_running("centos-7"),
    "centos-7 with NetworkManager and firewalld": replace(
        machine_running("centos-7"), networking="networkmanager", networkmanager=True, firewalld=True
    ),
    "rocky-9": replace(machine_running("rocky-9"), networkmanager=True, firewalld=True),
    "ubuntu-16.04": replace(machine_running("ubuntu-16.04"), sources=("/etc/network/interfaces.d/*.cfg",)),
    "ubuntu-22.04": replace(
        machine_running("ubuntu-22.04"), resolved=True, definitions=(Definition("eth0", dhcp4=True),)
    ),
    "debian-12 with ifupdown": replace(machine_running("debian-12"), networking="ifupdown"),
    "debian-12 with networkd": replace(machine_running("debian-12"), networking="networkd", dhcp=("eth0.network",)),
}


def network(node: str, machine: Machine, cluster: Cluster = HOW_TO, version: str = "") -> StageState:
    release = RELEASE.model_copy(update={"kubernetes": version}) if version else RELEASE
    return stage_of(derive(cluster, release, None, machine), cluster.node(node))


def content(stage: StageState, path: str) -> str:
    return next(file.content for file in stage.files if file.path == path)


@pytest.mark.parametrize("node", [SUPPORT, CONTROL_PLANE, WORKER])
@pytest.mark.parametrize("name", SYSTEMS)
def test_the_network_of_every_system_is_planned_as_in_its_golden_file(name: str, node: str) -> None:
    text = as_text(NodeState(node, (network(node, SYSTEMS[name]),)))
    golden = GOLDEN / "systems" / name.replace(" ", "-") / f"{node}.txt"
    if os.environ.get("KUBEV6_WRITE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


TABLES = {
    SUPPORT: """
fd00:101::/64 via fd00::101 metric 1024
fd00:102::/64 via fd00::102 metric 1024
""",
    CONTROL_PLANE: """
64:ff9b::/96 via fd00::64 metric 1024
fd00:101::/64 via fd00::101 metric 1024
fd00:102::/64 via fd00::102 metric 1024
""",
    WORKER: """
64:ff9b::/64 via fd00::64 metric 1024
fd00:102::/64 via fd00::102 metric 1024
fd00:1234::/64 via fd00::100 metric 1024
""",
    "kube-minion-2": """
64:ff9b::/64 via fd00::64 metric 1024
fd00:101::/64 via fd00::101 metric 1024
fd00:1234::/64 via fd00::100 metric 1024
""",
}
"""The how-to's "Add static routes between nodes, pods, and Kubernetes services": its entries of route6-eth1."""
CORRECTIONS = {
    "64:ff9b::/64": "64:ff9b::/96",  # the well-known prefix is a /96 (RFC 6052, 2.1)
    "fd00:1234::/64": "fd00:1234::/110",  # the Service subnet's own length, as in its kubeadm document
}
MASTERS_PODS = "fd00:100::/64 via fd00::100 metric 1024"  # the master is Ready, and so has pods of its own
SERVICES = "fd00:1234::/110 dev eth1 metric 1024"  # the master's own packets to a Service need a route too
DEFAULT = "::/0 via fd00::64 metric 1024"  # from whose interface this release's kubelet takes the node's address
ADDITIONS = {
    SUPPORT: {MASTERS_PODS},
    CONTROL_PLANE: {SERVICES, DEFAULT},
    WORKER: {MASTERS_PODS, DEFAULT},
    "kube-minion-2": {MASTERS_PODS, DEFAULT},
}


@pytest.mark.parametrize("node", TABLES)
def test_the_how_tos_own_route_tables_are_rendered_with_its_mistakes_mended(
    node: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", "kube-v6", "--os", "centos-7", "--node", node]) == 0
    rendered = capsys.readouterr().out.partition("/etc/sysconfig/network-scripts/route6-eth1")[2]
    lines = [line.strip().removeprefix("| ") for line in rendered.splitlines()[1:]]
    routes = lines[1 : next(number for number, line in enumerate(lines) if " metric " not in line and number)]
    table = [line for line in TABLES[node].splitlines() if line]
    for wrong, right in CORRECTIONS.items():
        table = [line.replace(wrong, right) for line in table]
    assert [line for line in routes if line not in ADDITIONS[node]] == table
    assert set(routes) == set(table) | ADDITIONS[node]


@pytest.mark.parametrize(
    ("machine", "system", "networking", "bind"),
    [
        ("centos-7", "centos-7", "network-scripts", "named.service"),
        ("rhel-7.9", "rhel-7", "network-scripts", "named.service"),
        ("rocky-8.10", "rhel-8", "networkmanager", "named.service"),
        ("rhel-9.6", "rhel-9", "networkmanager", "named.service"),
        ("almalinux-10.1", "rhel-10", "networkmanager", "named.service"),
        ("rocky", "rhel-10", "networkmanager", "named.service"),
        ("ubuntu-16.04", "ubuntu-16.04", "ifupdown", "bind9.service"),
        ("ubuntu-18.04", "ubuntu-18.04", "netplan", "bind9.service"),
        ("ubuntu-20.04", "ubuntu", "netplan", "named.service"),
        ("ubuntu-24.04", "ubuntu", "netplan", "named.service"),
        ("ubuntu-26.04", "ubuntu", "netplan", "named.service"),
        ("debian-11", "debian", "networkd", "named.service"),
        ("debian-13", "debian-13", "networkd", "named.service"),
        ("debian", "debian-13", "networkd", "named.service"),
    ],
)
def test_a_machine_is_known_by_id_and_version(machine: str, system: str, networking: Networking, bind: str) -> None:
    found = machine_running(machine)
    assert (system_of(found).name, networking_of(found), system_of(found).units["bind"]) == (system, networking, bind)


@pytest.mark.parametrize("name", ["fedora-40", "centos-6", "debian-10", "ubuntu-14.04", "", "-", "centos-"])
def test_a_system_that_nobody_taught_us_is_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(ConfigError, match="known here are almalinux from 8, centos from 7, debian from 11") as error:
        machine_running(name)
    assert "\n" not in str(error.value)


def test_every_system_names_the_same_things() -> None:
    names = {key: set(system_of(Machine()).model_dump()[key]) for key in ("packages", "units", "paths")}
    for system in systems():
        assert names["packages"] == set(system.packages) | set(system.lacking), system.name
        assert names["units"] == set(system.units), system.name
        assert names["paths"] == set(system.paths), system.name


def test_a_machine_of_no_known_system_is_refused_by_name_before_it_is_touched() -> None:
    with pytest.raises(NodeError) as error:
        survey.check(Candidate(HOW_TO, RELEASE, HOW_TO.node(WORKER), Machine("void", "", networking="ifupdown")))
    text = str(error.value)
    assert text.startswith("kube-minion-1: preflight: its operating system is void, and known here are almalinux")
    assert text.endswith("nothing was changed there")
    with pytest.raises(NodeError, match="its operating system is unknown"):
        survey.check(Candidate(HOW_TO, RELEASE, HOW_TO.node(WORKER), Machine("", "")))


@pytest.mark.parametrize(
    ("machine", "node", "change", "seen"),
    [
        (
            "centos-7",
            WORKER,
            {"runtime": "containerd"},
            "kube-minion-1: containerd is not packaged for centos-7",
        ),
    ],
)
def test_what_a_system_has_no_package_of_is_said_with_what_would_do(
    machine: str, node: str, change: dict[str, str], seen: str
) -> None:
    with pytest.raises(ConfigError) as error:
        plan_node(HOW_TO.model_copy(update=change), BUILT, None, node, machine_running(machine))
    assert str(error.value).startswith(seen)


ETH1 = {
    "networkd": "/etc/systemd/network/10-kubev6-eth1.network",
    "ifupdown": "/etc/network/interfaces.d/kubev6-eth1",
    "netplan": "/etc/netplan/90-kubev6.yaml",
    "network-scripts": "/etc/sysconfig/network-scripts/ifcfg-eth1",
    "networkmanager": "/etc/NetworkManager/system-connections/kubev6-eth1.nmconnection",
}


@pytest.mark.parametrize(
    ("tool", "path", "contends"),
    [
        ("networkd", "/etc/systemd/network/05-all.network", True),
        ("networkd", "/etc/systemd/network/50-all.network", False),
        ("networkd", "/etc/network/interfaces", False),
        ("ifupdown", "/etc/network/interfaces", True),
        ("ifupdown", "/etc/systemd/network/05-all.network", False),
        ("netplan", "/etc/netplan/50-cloud-init.yaml", True),
        ("netplan", "/run/systemd/network/10-netplan-eth1.network", False),
        ("netplan", "/etc/systemd/network/10-nameless.network", True),
        ("network-scripts", "/etc/sysconfig/network-scripts/ifcfg-eth1", False),
        ("network-scripts", "/etc/sysconfig/network-scripts/ifcfg-lan", True),
        ("networkmanager", "/etc/sysconfig/network-scripts/ifcfg-eth1", True),
        ("networkmanager", "/etc/NetworkManager/system-connections/lan.nmconnection", True),
    ],
)
def test_an_interface_that_another_file_configures_is_refused_and_the_file_named(
    tool: Networking, path: str, contends: bool
) -> None:
    found = tools.problems(HOW_TO, Machine(networking=tool, claims=(Claim(path, "eth1"), Claim(path, "eth10"))))
    assert len(found) is int(contends)
    if contends:
        assert found[0].startswith(f"{path} configures eth1 already: take eth1 out of it")


@pytest.mark.parametrize(("running", "seen"), [(True, 1), (False, 0)])
def test_beside_netplan_a_profile_counts_where_networkmanager_runs_and_netplans_own_does_not(
    running: bool, seen: int
) -> None:
    where = "/NetworkManager/system-connections"
    claims = (
        Claim(f"/etc{where}/lan.nmconnection", "eth1"),
        Claim(f"/run{where}/netplan-eth1.nmconnection", "eth1"),
    )
    machine = Machine(networking="netplan", networkmanager=running, claims=claims)
    assert len(tools.problems(HOW_TO, machine)) == seen


def test_an_interface_that_is_not_there_is_told_with_those_that_are() -> None:
    machine = Machine(interfaces=("lo", "ens3", "veth1"))
    assert tools.problems(SLAAC, machine) == (
        "it has no interface eth1, it has ens3: name the right one as fabric.interface in the cluster file",
        "it has no interface eth2, it has ens3: name the right one as uplink.interface in the cluster file",
    )
    assert tools.problems(SLAAC, replace(machine, interfaces=("lo", "eth1", "eth2"))) == ()
    with pytest.raises(
        NodeError, match=r"^kube-minion-1: preflight: it has no interface eth1.*nothing was changed there$"
    ):
        survey.check(Candidate(HOW_TO, RELEASE, HOW_TO.node(WORKER), machine))


@pytest.mark.parametrize("tool", ETH1)
def test_ssh_by_an_ipv4_address_on_the_fabric_would_be_cut_and_is_refused(tool: Networking) -> None:
    found = tools.problems(HOW_TO, Machine(networking=tool, ssh_ipv4="eth1"))
    assert bool(found) is (tool != "ifupdown")  # its stanza of the other family goes on doing what it did
    assert tools.problems(HOW_TO, Machine(networking=tool, ssh_ipv4="eth0")) == ()


SLAAC = HOW_TO.model_copy(update={"uplink": Uplink(interface="eth2")})
STATIC = HOW_TO.model_copy(
    update={
        "uplink": Uplink.model_validate(
            {
                "interface": "eth2",
                "addressing": "static",
                "subnet": "2001:db8:1::/64",
                "gateway": "2001:db8:1::1",
            }
        ),
        "nodes": tuple(
            node.model_copy(update={"uplink_address": IPv6Address(f"2001:db8:1::{number}")})
            for number, node in enumerate(HOW_TO.nodes, 10)
        ),
    }
)
ROUTER_ADVERTISEMENTS = {
    "networkd": "IPv6AcceptRA=yes",
    "ifupdown": "iface eth2 inet6 auto\n    accept_ra 2\n",
    "netplan": "accept-ra: true",
    "network-scripts": "IPV6FORWARDING=yes\nIPV6_AUTOCONF=yes\n",
    "networkmanager": "method=auto",
}
STATIC_UPLINK = {
    "networkd": ("Address=2001:db8:1::12/64", "Gateway=2001:db8:1::1"),
    "ifupdown": ("address 2001:db8:1::12\n    netmask 64", "up ip -6 route replace ::/0 via 2001:db8:1::1 dev eth2"),
    "netplan": ('addresses: ["2001:db8:1::12/64"]', '{to: "::/0", via: "2001:db8:1::1", metric: 1024}'),
    "network-scripts": ("IPV6ADDR=2001:db8:1::12/64", "::/0 via 2001:db8:1::1 metric 1024"),
    "networkmanager": ("address1=2001:db8:1::12/64", "route1=::/0,2001:db8:1::1,1024"),
}


@pytest.mark.parametrize("tool", ETH1)
def test_an_uplink_by_router_advertisements_is_configured_by_every_tool(tool: Networking) -> None:
    stage = network(WORKER, Machine(networking=tool), SLAAC)
    assert any(ROUTER_ADVERTISEMENTS[tool] in file.content for file in stage.files)
    assert stage.links_up == ("eth2",)
    assert [address.interface for address in stage.addresses] == ["eth1"]


@pytest.mark.parametrize("tool", ["ifupdown", "network-scripts"])
def test_advertisements_are_accepted_before_forwarding_is_switched_on(tool: Networking) -> None:
    stage = network(WORKER, Machine(networking=tool), SLAAC)
    keys = [sysctl.key for sysctl in stage.sysctls]
    assert keys.index("net.ipv6.conf.eth2.accept_ra") < keys.index("net.ipv6.conf.all.forwarding")
    assert next(sysctl.value for sysctl in stage.sysctls if sysctl.key.endswith("accept_ra")) == "2"
    lasting = content(stage, "/etc/sysctl.d/zz-kubev6.conf")
    assert lasting.index("eth2.accept_ra = 2") < lasting.index("all.forwarding")


@pytest.mark.parametrize("tool", ETH1)
@pytest.mark.parametrize("node", [WORKER, SUPPORT])
def test_where_the_kernel_listens_it_goes_on_whatever_configures_our_interfaces(tool: Networking, node: str) -> None:
    stage = network(node, Machine(networking=tool, advertised=("eth0", "eth1", "eth3.7")))
    listening = [sysctl for sysctl in stage.sysctls if sysctl.key.endswith("accept_ra")]
    assert listening == [Sysctl(f"net.ipv6.conf.{name}.accept_ra", "2") for name in ("eth0", "eth3/7")]
    assert stage.sysctls.index(listening[-1]) < stage.sysctls.index(Sysctl("net.ipv6.conf.all.forwarding", "1"))
    assert "eth3/7.accept_ra = 2" in content(stage, "/etc/sysctl.d/zz-kubev6.conf")


@pytest.mark.parametrize("tool", ["networkd", "netplan", "networkmanager"])
def test_a_tool_that_listens_to_advertisements_itself_keeps_the_kernels_setting(tool: Networking) -> None:
    stage = network(WORKER, Machine(networking=tool), SLAAC)
    assert not any("accept_ra" in sysctl.key for sysctl in stage.sysctls)


@pytest.mark.parametrize("tool", ETH1)
def test_a_static_uplink_is_configured_by_every_tool(tool: Networking) -> None:
    stage = network(WORKER, Machine(networking=tool), STATIC)
    for part in STATIC_UPLINK[tool]:
        assert any(part in file.content for file in stage.files), part
    assert ("eth2", "2001:db8:1::12/64") in [(each.interface, each.address) for each in stage.addresses]


ADVERTISED = {
    "networkd": 512,  # of a router that calls itself the better one, since systemd 254; of others 1024
    "ifupdown": 1024,  # the kernel's
    "netplan": 100,  # through NetworkManager, or networkd's
    "network-scripts": 1024,  # the kernel's
    "networkmanager": 100,  # on ethernet, where it has the lowest
}
"""The lowest metric that an advertised default route may have from each tool."""
FABRICS_DEFAULT = {
    "networkd": "Destination=::/0\nGateway=fd00::64\nMetric={}\n",
    "ifupdown": "up ip -6 route replace ::/0 via fd00::64 dev eth1 metric {}\n",
    "netplan": '{{to: "::/0", via: "fd00::64", metric: {}}}\n',
    "network-scripts": "::/0 via fd00::64 metric {}\n",
    "networkmanager": "=::/0,fd00::64,{}\n",
}


@pytest.mark.parametrize("tool", ETH1)
@pytest.mark.parametrize("cluster", [SLAAC, STATIC], ids=["slaac", "static"])
def test_the_fabrics_default_route_wins_over_the_uplinks_where_a_kubelet_goes_by_it(
    cluster: Cluster, tool: Networking
) -> None:
    stage = network(WORKER, Machine(networking=tool), cluster)
    metrics = {route.interface: route.metric for route in stage.routes if route.destination == "::/0"}
    assert metrics["eth1"] < metrics.get("eth2", ADVERTISED[tool])
    lasting = FABRICS_DEFAULT[tool].format(metrics["eth1"])
    assert any(lasting in file.content for file in stage.files)
    newer = network(WORKER, Machine(networking=tool), cluster, "1.20.2")
    assert "eth1" not in {route.interface for route in newer.routes if route.destination == "::/0"}


def test_global_addresses_do_as_well_as_local_ones(tmp_path: Path) -> None:
    data = yaml.safe_load((CONFIGS / "clusters" / "kube-v6.yaml").read_text())
    data["fabric"]["subnet"] = "2001:db8::/64"
    data["pods"]["prefix"] = "2001:db8::/32"
    data["services"]["subnet"] = "2001:db8:1234::/110"
    for node in data["nodes"]:
        node["address"] = node["address"].replace("fd00:", "2001:db8:")
    file = tmp_path / "gua.yaml"
    file.write_text(yaml.safe_dump(data))
    cluster = load_cluster(file)
    for tool in ETH1:
        stage = network(WORKER, Machine(networking=tool), cluster)  # type: ignore[arg-type]
        assert [str(address.address) for address in stage.addresses] == ["2001:db8::101/64"]
        assert [(route.destination, route.via) for route in stage.routes] == [
            ("64:ff9b::/96", "2001:db8::64"),
            ("2001:db8:100::/64", "2001:db8::100"),
            ("2001:db8:102::/64", "2001:db8::102"),
            ("2001:db8:1234::/110", "2001:db8::100"),
            ("::/0", "2001:db8::64"),
        ]
        assert "fd00:" not in "".join(item.content for item in stage.files)
        assert "2001:db8::101 kube-minion-1\n" in content(stage, "/etc/hosts")


def test_the_hosts_block_holds_ipv6_alone_and_no_ipv4_address_of_the_nodes_own_name_may_stay() -> None:
    stage = network(CONTROL_PLANE, machine_running("debian-12"))
    assert all(":" in line.split()[0] for line in content(stage, "/etc/hosts").splitlines())
    assert stage.no_ipv4_names == (CONTROL_PLANE,)


def test_nodes_of_kubernetes_make_selinux_permissive_and_the_support_node_keeps_it() -> None:
    assert network(CONTROL_PLANE, machine_running("centos-7")).selinux_permissive
    assert not network(SUPPORT, machine_running("centos-7")).selinux_permissive


def test_where_firewalld_guards_a_machine_the_fabric_and_what_is_behind_it_get_a_zone_that_accepts() -> None:
    machine = replace(machine_running("rocky-9"), firewalld=True)
    zone = "/etc/firewalld/zones/kubev6.xml"
    for node, behind in ((WORKER, "cbr0"), (SUPPORT, "nat64")):
        stage = network(node, machine)
        text = content(stage, zone)
        assert 'target="ACCEPT"' in text
        assert f'<interface name="eth1"/>\n  <interface name="{behind}"/>' in text
        assert stage.reloads[0] == Reload(("firewall-cmd", "--reload"), when=(zone,))
        assert "zone=kubev6\n" in content(stage, ETH1["networkmanager"])
    assert "ZONE=kubev6\n" in content(
        network(WORKER, replace(SYSTEMS["centos-7"], firewalld=True)), ETH1["network-scripts"]
    )
    assert not any("firewalld" in file.path for file in network(WORKER, machine_running("rocky-9")).files)


def test_dhcp_brings_neither_the_default_route_nor_resolvers_back() -> None:
    for name, path, parts in (
        ("centos-7", "/etc/dhcp/dhclient-enter-hooks", ("unset new_routers", "make_resolv_conf() { :; }")),
        ("ubuntu-16.04", "/etc/dhcp/dhclient-enter-hooks.d/kubev6", ("unset new_routers", "make_resolv_conf")),
        ("debian-12 with ifupdown", "/etc/dhcp/dhclient-enter-hooks.d/kubev6", ("unset new_routers",)),
        (
            "debian-12 with networkd",
            "/etc/systemd/network/eth0.network.d/90-kubev6.conf",
            ("UseRoutes=no",),
        ),
        ("ubuntu-22.04", ETH1["netplan"], ("eth0:", "dhcp4-overrides: {use-routes: false, use-dns: false}")),
        ("ubuntu-22.04", "/etc/systemd/resolved.conf.d/90-kubev6.conf", ("DNS=fd00::64", "Domains=~.")),
        ("rocky-9", "/etc/NetworkManager/conf.d/90-kubev6.conf", ("dns=none",)),
    ):
        for part in parts:
            assert part in content(network(WORKER, SYSTEMS[name]), path), (name, part)
    # The support node is dual-stack: it keeps its IPv4 default route and its own resolvers.
    for machine in SYSTEMS.values():
        text = as_text(NodeState(SUPPORT, (network(SUPPORT, machine),)))
        assert not any(
            word in text for word in ("new_routers", "UseRoutes", "dhcp4-overrides", "dns=none", "resolv.conf")
        )


@pytest.mark.parametrize(
    ("writer", "path", "line", "block"),
    [
        ("dhcpcd", "/etc/dhcpcd.enter-hook", 'skip_hooks="$skip_hooks resolv.conf"', True),
        ("openresolv", "/etc/resolvconf.conf", "resolv_conf=/run/resolvconf/resolv.conf", True),
        ("rdnssd", "/etc/rdnssd/merge-hook", "#!/bin/sh", False),
        ("cloud-init", "/etc/cloud/cloud.cfg.d/zz-kubev6.cfg", "manage_etc_hosts: false", False),
    ],
)
def test_what_writes_resolvers_or_names_without_asking_is_kept_from_it_where_it_is_installed(
    writer: str, path: str, line: str, block: bool
) -> None:
    written = {file.path: file for file in network(WORKER, Machine(writers=(writer,))).files}
    assert line in written[path].content.splitlines()
    assert written[path].block is block
    assert path not in {file.path for file in network(WORKER, Machine()).files}
    # The support node keeps its own resolvers, and has the names of all nodes too.
    others = {file.path for file in network(SUPPORT, Machine(writers=(writer,))).files}
    assert (path in others) == (writer == "cloud-init")


@pytest.mark.parametrize(
    ("sources", "needed"),
    [
        (("/etc/network/interfaces.d/*",), False),
        (("/etc/network/interfaces.d/",), False),
        (("/etc/network/interfaces.d/*.cfg",), True),
        ((), True),
    ],
)
def test_a_stanza_that_would_not_be_read_gets_a_source_line(sources: tuple[str, ...], needed: bool) -> None:
    stage = network(WORKER, Machine(networking="ifupdown", sources=sources))
    lines = [file.content for file in stage.files if file.path == "/etc/network/interfaces" and file.block]
    assert lines == (["source /etc/network/interfaces.d/kubev6-eth1\n"] if needed else [])


@pytest.mark.parametrize("tool", ["netplan", "networkmanager"])
def test_files_that_a_tool_wants_for_root_alone_are(tool: Networking) -> None:
    stage = network(WORKER, Machine(networking=tool))
    assert next(file.mode for file in stage.files if file.path == ETH1[tool]) == 0o600


def test_netplans_file_says_what_is_meant() -> None:
    interfaces = yaml.safe_load(content(network(CONTROL_PLANE, SYSTEMS["ubuntu-22.04"]), ETH1["netplan"]))["network"]
    assert interfaces["ethernets"]["eth1"]["addresses"] == ["fd00::100/64"]
    assert {"to": "fd00:1234::/110", "scope": "link", "metric": 1024} in interfaces["ethernets"]["eth1"]["routes"]


def test_yum_is_told_where_packages_are_that_the_system_does_not_bring() -> None:
    def sections(system: str) -> configparser.ConfigParser:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(content(network(WORKER, machine_running(system)), REPOSITORIES))
        assert all(parser[name]["gpgcheck"] == parser[name]["skip_if_unavailable"] == "1" for name in parser.sections())
        return parser

    centos = sections("centos-7")
    assert [centos[name]["baseurl"] for name in centos.sections()] == [
        "https://vault.centos.org/7.9.2009/os/$basearch/",
        "https://vault.centos.org/7.9.2009/updates/$basearch/",
        "https://vault.centos.org/7.9.2009/extras/$basearch/",
        "https://archives.fedoraproject.org/pub/archive/epel/7/$basearch/",
    ]
    # It has them of its own, and not CentOS's key.
    assert sections("rhel-7.9").sections() == ["kubev6-extras", "kubev6-epel"]
    assert sections("rhel-7.9")["kubev6-extras"]["gpgkey"].startswith("https://vault.centos.org/")
    assert "/epel/9/" in sections("rocky-9")["kubev6-epel"]["baseurl"]
    assert "/epel/10/" in sections("rocky-10")["kubev6-epel"]["baseurl"]
    assert sections("rocky-9")["kubev6-docker"]["baseurl"].startswith("https://download.docker.com/")
    assert not any("yum" in file.path for file in network(WORKER, machine_running("debian-12")).files)


@pytest.mark.parametrize("lacking", [True, False])
@pytest.mark.parametrize(("system", "told"), [("centos-7", "[kubev6-os]\n"), ("debian-12", "")])
def test_python_comes_from_where_the_packages_of_its_system_are(
    system: str, told: str, lacking: bool, run: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    @fake_of(Connection)
    class Machine:
        def provide_python(self, repositories: str) -> bool:
            given.append(repositories)
            return lacking

    substitute(monkeypatch, nodes, "connection", lambda *_: nullcontext(Machine()))
    substitute(monkeypatch, engine, "plan_changes", lambda *_: {})
    nodes.compare.fn(Job(HOW_TO, BUILT, sample.manifest()), SUPPORT, machine_running(system))
    assert len(given) == 1
    assert told in given[0]
    assert bool(given[0]) is bool(told)
    assert run.changes == [Change("package", "python3", "install", node=SUPPORT)] * lacking


@pytest.mark.parametrize("system", ["ubuntu-16.04", "ubuntu-18.04"])
def test_where_no_plugins_are_packaged_a_copy_of_the_how_tos_release_with_newer_ones_does(
    tmp_path: Path, system: str
) -> None:
    """Their Docker is newer than the how-to's plugins can work with, and each way out that is named has to be one."""
    machine = replace(machine_running(system), runtime="18.09")

    def refused(cluster: Cluster, release: Release) -> str:
        plan_node(cluster, release, None, WORKER, machine)
        return "".join(docker_and_cni_plugins(Candidate(cluster, release, cluster.node(WORKER), machine)))

    assert "deploy a copy of the release's file with newer ones" in refused(HOW_TO, RELEASE)
    with pytest.raises(
        ConfigError, match=r"cni is not packaged for ubuntu-.*; .* take `plugins: system` out of the cluster's `cni`"
    ):
        refused(HOW_TO.model_copy(update={"cni": Cni(plugins="system")}), RELEASE)
    own, _, plugins = (CONFIGS / "releases" / f"{RELEASE.name}.yaml").read_text().partition("\ncni:\n")
    newer = [line.removeprefix("#") for line in own.splitlines() if line.startswith("#   ")]
    assert len(newer) == len(plugins.splitlines())
    copy = tmp_path / "newer.yaml"
    copy.write_text("\n".join((own, "cni:", *newer)))
    assert refused(HOW_TO, load_release(copy)) == ""


def test_a_release_is_planned_on_every_system_that_has_what_it_needs() -> None:
    for name in ("centos-7", "rocky-8", "rocky-9", "rocky-10", "ubuntu-22.04", "debian-11", "debian-13"):
        runtime = "docker" if name == "centos-7" else "containerd"
        cluster = HOW_TO.model_copy(update={"runtime": runtime})
        state = plan_node(cluster, BUILT, None, WORKER, machine_running(name))
        assert [stage.name for stage in state.stages] == ["network", "runtime", "kubernetes"]
