"""What a deploy does with the network of a real kernel that was in use before, in namespaces of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from configs.plan.node import plan_node
from configs.plan.state import Address, Route, StageState
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from tasks.node import host_facts
from tasks.node.compatibility import Candidate, problems
from tasks.node.engine import bring_to
from tasks.node.reset import reset
from tests.integration.machine_in_namespaces import MachineInNamespaces, machine_in_namespaces
from tests.integration.router import router_program
from tests.waiting import eventually

FAR = "2001:db8:9::9"
"""Who reaches the machine by SSH, from another subnet."""
RELEASE = load_release("debian-1.20")


@pytest.fixture
def machine() -> Iterator[MachineInNamespaces]:
    with machine_in_namespaces() as made:
        yield made


@pytest.fixture
def cluster() -> Cluster:
    return load_cluster("bare-metal").model_copy(update={"uplink": None})


def name_of(cluster: Cluster, role: str) -> str:
    return next(node.name for node in cluster.nodes if role in node.roles)


def settings_of(cluster: Cluster, role: str, asked: Machine) -> StageState:
    """The settings of a node's network stage, without those of br_netfilter, which has a kernel's own namespace."""
    stage = plan_node(cluster, RELEASE, None, name_of(cluster, role), asked).stage("network")
    assert stage
    return StageState("network", sysctls=tuple(each for each in stage.sysctls if "bridge" not in each.key))


def against(cluster: Cluster, role: str, asked: Machine) -> str:
    return "; ".join(problems(Candidate(cluster, RELEASE, cluster.node(name_of(cluster, role)), asked)))


@pytest.mark.parametrize("role", ["support", "worker"])
def test_an_advertised_default_route_carries_ssh_on_a_machine_that_begins_to_forward(
    machine: MachineInNamespaces, cluster: Cluster, role: str
) -> None:
    machine.said(
        "ip netns add router; ip link add eth0 type veth peer name up0 netns router; ip link set eth0 up; "
        f"ip -n router link set lo up; ip -n router link set up0 up; ip -n router addr add {FAR}/128 dev lo nodad; "
        "ip -n router addr add 2001:db8:1::1/64 dev up0 nodad; "
        "ip netns exec router sysctl -qw net.ipv6.conf.all.forwarding=1"
    )
    router = machine.command(
        "ip", "netns", "exec", "router", sys.executable, "-c", router_program("2001:db8:1::", "up0")
    )

    def addresses() -> list[str]:
        return machine.said("ip -6 -o addr show dev eth0 scope global -tentative").split()

    def reaches_far() -> bool:
        # Nobody listens there: it is reached when it says so.
        ask = f"import socket; socket.create_connection(('{FAR}', 9), timeout=2)"
        return "ConnectionRefusedError" in machine.run(["python3", "-c", ask], step="test", check=False).stderr

    with subprocess.Popen(router) as advertising:
        try:
            eventually(lambda: bool(addresses()) and reaches_far())
            here = addresses()[3].split("/")[0]
            machine.came_by = f"{FAR} 50000 {here} 22"
            asked = host_facts.ask(machine)
            assert asked.advertised == ("eth0",)
            assert asked.ssh_advertised == "eth0"
            stage = settings_of(cluster, role, asked)
            assert bring_to(machine, stage)
            assert machine.said("sysctl -n net.ipv6.conf.all.forwarding") == "1"
            assert reaches_far()
            assert settings_of(cluster, role, host_facts.ask(machine)) == stage
            machine.said("ip link set eth0 down; ip link set eth0 up")  # as at the next start
            eventually(reaches_far)
        finally:
            advertising.terminate()


BOTH = "nexthop via 203.0.113.1 dev eth1 weight 1 nexthop via 203.0.113.2 dev eth1 weight 2"
DEFAULT_ROUTES = {
    "onlink": ("203.0.113.10/32", ("via 198.51.100.1 dev eth1 onlink",)),
    "two next hops": ("203.0.113.10/24", (BOTH,)),
    "of DHCP": ("203.0.113.11/24", ("proto dhcp via 203.0.113.1 dev eth1 src 203.0.113.11 metric 100 mtu lock 1400",)),
    "no next hop": ("203.0.113.10/24", ("dev eth1 scope link",)),
    "several": ("203.0.113.10/24", ("via 203.0.113.1 dev eth1 metric 5", "via 203.0.113.2 dev eth1 metric 9 onlink")),
}


@pytest.mark.parametrize("ssh", ["203.0.113.99", "192.0.2.50", "2001:db8::1"])
@pytest.mark.parametrize("kind", DEFAULT_ROUTES)
def test_an_ipv4_default_route_is_kept_whole_for_ssh_and_put_back_as_it_was(
    machine: MachineInNamespaces, cluster: Cluster, kind: str, ssh: str
) -> None:
    address, routes = DEFAULT_ROUTES[kind]
    machine.said(
        f"ip addr add {address} dev eth1; for r in {' '.join(map(repr, routes))}; do ip route add default $r; done"
    )
    before, way = machine.said("ip -4 route"), f"ip -4 route get {ssh} | sed 's/uid.*//'"
    led = machine.said(way)
    machine.came_by = f"{ssh} 50000 203.0.113.10 22"
    bring_to(machine, StageState("network", no_ipv4_default_route=True))
    assert machine.said("ip -4 route show default") == ""
    if ssh == "192.0.2.50":
        assert machine.said(way) == led
    reset(machine, cluster)
    assert machine.said("ip -4 route") == before


def test_settings_and_files_that_keep_ipv6_or_forwarding_from_a_node_are_told_beforehand(
    machine: MachineInNamespaces, cluster: Cluster
) -> None:
    assert against(cluster, "worker", host_facts.ask(machine)) == ""
    machine.said(
        "sysctl -qw net.ipv6.conf.default.disable_ipv6=1; mkdir -p /etc/default; "
        "echo 'GRUB_CMDLINE_LINUX=ipv6.disable=1' >/etc/default/grub; "
        "printf '# x\\nnet/ipv6/conf/all/forwarding = 0\\n' >/etc/sysctl.d/zzz.conf; "
        "mkdir -p /run/sysctl.d; ln -s /dev/null /etc/sysctl.d/zzzz.conf; "
        "echo net.ipv4.ip_forward=0 >/run/sysctl.d/zzzz.conf"
    )
    told = against(cluster, "worker", host_facts.ask(machine))
    assert "take away /etc/default/grub:1:GRUB_CMDLINE_LINUX=ipv6.disable=1" in told
    assert "net.ipv6.conf.default.disable_ipv6 is 1" in told
    assert "/etc/sysctl.d/zzz.conf:2 sets net.ipv6.conf.all.forwarding = 0" in told
    assert "ip_forward" not in told


def test_a_packet_filter_that_drops_what_a_node_needs_is_told_with_what_to_open(
    machine: MachineInNamespaces, cluster: Cluster
) -> None:
    machine.said("ip6tables -P INPUT DROP; ip6tables -A INPUT -p ipv6-icmp -j ACCEPT; ip6tables -P FORWARD DROP")
    told = against(cluster, "control-plane", host_facts.ask(machine))
    assert "ip6tables, drops tcp 6443 in by eth1, tcp 10250 in by eth1, everything in by eth1 out by cbr0" in told
    machine.said(
        "for i in eth1 cbr0; do ip6tables -A INPUT -i $i -j ACCEPT; ip6tables -A FORWARD -i $i -j ACCEPT; done"
    )
    assert against(cluster, "control-plane", host_facts.ask(machine)) == ""


def test_a_route_of_somebody_elses_that_ours_took_the_place_of_is_there_again_after_a_reset(
    machine: MachineInNamespaces, cluster: Cluster
) -> None:
    machine.said("ip -6 addr add fd00:7::1/64 dev eth1 nodad; ip -6 route add 2001:db8::/32 via fd00:7::9 metric 7")
    before = machine.said("ip -6 route show 2001:db8::/32")
    ours = StageState("network", addresses=(Address("eth1", "fd00::101/64"),))
    for gateway in ("fd00::8", "fd00::9"):
        bring_to(machine, replace(ours, routes=(Route("2001:db8::/32", gateway, "eth1", 7),)))
        assert f"via {gateway}" in machine.said("ip -6 route show 2001:db8::/32")
    reset(machine, cluster)
    assert machine.said("ip -6 route show 2001:db8::/32") == before


def test_a_route_of_somebody_elses_is_there_again_when_ours_is_no_longer_wanted(machine: MachineInNamespaces) -> None:
    machine.said("ip -6 route add 2001:db8::/32 dev eth1 proto static metric 7 pref high")
    before = machine.said("ip -6 route show 2001:db8::/32")
    ours = StageState("network", addresses=(Address("eth1", "fd00::101/64"),))
    bring_to(machine, replace(ours, routes=(Route("2001:db8::/32", "fd00::9", "eth1", 7),)))
    bring_to(machine, ours)
    assert machine.said("ip -6 route show 2001:db8::/32") == before
