"""What a machine's answer to the survey says of it, from answers as machines of each kind give them."""

from __future__ import annotations

import pytest

from configs.kernel import Kernel
from configs.networking import tools
from configs.schema.loading import load_cluster
from configs.systems import Claim, Machine
from tasks.node import survey_answer

CLUSTER = load_cluster("kube-v6")


def answer(**sections: str) -> Machine:
    text = "".join(f"=== {name.replace('_', '-')}\n{lines.strip()}\n" for name, lines in sections.items())
    return survey_answer.parse("Last login: today\n" + text)


CENTOS = 'NAME="CentOS Linux"\nVERSION="7 (Core)"\nID="centos"\nVERSION_ID="7"'


@pytest.mark.parametrize(
    ("units", "netplan", "networking"),
    [
        ("", "", ""),
        ("systemd-networkd inactive disabled\nnetworking inactive", "", ""),
        ("systemd-networkd active enabled", "", "networkd"),
        ("systemd-networkd inactive enabled", "", "networkd"),
        ("networking active enabled", "", "ifupdown"),
        ("networking active enabled\nsystemd-networkd active enabled", "", "networkd"),
        ("networking active enabled\nNetworkManager active enabled", "", "networkmanager"),
        ("NetworkManager inactive masked\nnetworking active enabled", "", "ifupdown"),
        ("NetworkManager active enabled", "", "networkmanager"),
        ("NetworkManager active enabled\nnetwork active enabled", "", "network-scripts"),
        ("systemd-networkd active enabled", "/usr/sbin/netplan\n/etc/netplan/50-a.yaml\n  ethernets\n", "netplan"),
        ("systemd-networkd active enabled", "/usr/sbin/netplan\n", "networkd"),
        ("systemd-networkd active enabled", "/etc/netplan/50-left-behind.yaml\n  ethernets\n", "networkd"),
    ],
)
def test_what_configures_interfaces_is_told_by_what_runs(units: str, netplan: str, networking: str) -> None:
    assert answer(units=units, netplan=netplan).networking == networking


def test_a_machine_of_the_how_tos() -> None:
    machine = answer(
        release=CENTOS,
        resolvers="search lan\nnameserver 10.0.2.3\nnameserver fe80::1%eth0\nnameserver none\n",
        units="NetworkManager inactive disabled\nnetwork active enabled\nfirewalld active enabled",
        network_scripts="/etc/sysconfig/network-scripts/ifcfg-eth0:DEVICE=eth0\n"
        '/etc/sysconfig/network-scripts/ifcfg-eth1:DEVICE="eth1"\n',
        interfaces="1: lo: <LOOPBACK,UP> mtu 1\n2: eth0: <UP> mtu 1\n3: eth1@if9: <BROADCAST> mtu 1",
        ssh="10.0.2.2 50000 10.0.2.15 22\n2: eth0    inet 10.0.2.15/24 brd 10.0.2.255 scope global eth0\\   valid",
    )
    assert (machine.os, machine.version, machine.networking) == ("centos", "7", "network-scripts")
    assert machine.resolvers == ("10.0.2.3", "fe80::1")
    assert (machine.firewalld, machine.networkmanager, machine.resolved) == (True, False, False)
    assert machine.claims[1] == Claim("/etc/sysconfig/network-scripts/ifcfg-eth1", "eth1")
    assert machine.ssh_ipv4 == "eth0"
    assert machine.interfaces == ("lo", "eth0", "eth1")
    assert tools.problems(CLUSTER, machine) == ()


NETPLAN = """
/usr/sbin/netplan
/etc/netplan/50-cloud-init.yaml
  version
  ethernets
    eth0
      dhcp4
      match
    eth1
      addresses
  wifis
    wlan0
      dhcp4
/etc/netplan/90-kubev6.yaml
  ethernets
    eth1
    eth0
      dhcp4-overrides
"""


def test_netplans_interfaces_are_told_by_file_and_ours_is_left_out() -> None:
    machine = answer(units="systemd-networkd active enabled\nsystemd-resolved active enabled", netplan=NETPLAN)
    assert machine.dhcp == ("eth0", "wlan0")
    assert machine.resolved
    assert {claim.path for claim in machine.claims} == {"/etc/netplan/50-cloud-init.yaml"}
    assert tools.problems(CLUSTER, machine) == (
        "/etc/netplan/50-cloud-init.yaml configures eth1 already: take eth1 out of it, what it has set now stays",
    )


def test_networkds_files_are_told_with_their_patterns_and_which_ask_for_an_address() -> None:
    machine = answer(
        units="systemd-networkd active enabled",
        networkd="etc/systemd/network/00-lan.network:Name=en* eth*\netc/systemd/network/00-lan.network:DHCP=ipv4\n"
        "etc/systemd/network/10-kubev6-eth1.network:Name=eth1\netc/systemd/network/10-kubev6-eth1.network:DHCP=no\n"
        "usr/lib/systemd/network/80-container-host0.network:Name = host0\n"
        "usr/lib/systemd/network/80-container-host0.network:DHCP=yes\n",
    )
    assert machine.dhcp == ("00-lan.network",)
    assert Claim("/etc/systemd/network/00-lan.network", "eth*") in machine.claims
    assert len(tools.problems(CLUSTER, machine)) == 1


def test_ifupdowns_stanzas_are_told_by_family_and_what_its_file_reads_too() -> None:
    machine = answer(
        units="networking active enabled",
        ifupdown="/etc/network/interfaces source interfaces.d/*\n/etc/network/interfaces iface eth0 inet dhcp\n"
        "/etc/network/interfaces source-directory /etc/network/more\n"
        "/etc/network/interfaces.d/lan iface eth1 inet6 static\n"
        "/etc/network/interfaces.d/kubev6-eth1 iface eth1 inet6 static\n",
    )
    assert machine.sources == ("/etc/network/interfaces.d/*", "/etc/network/more/")
    assert machine.claims == (
        Claim("/etc/network/interfaces", "eth0", "inet"),
        Claim("/etc/network/interfaces.d/lan", "eth1", "inet6"),
    )


def test_networkmanagers_profiles_are_told() -> None:
    where = "/etc/NetworkManager/system-connections"
    machine = answer(
        units="NetworkManager active enabled",
        networkmanager=f"{where}/lan.nmconnection:interface-name=eth1\n{where}/kubev6-eth1.nmconnection:interface-name=eth1",
    )
    assert machine.claims == (Claim(f"{where}/lan.nmconnection", "eth1"),)
    assert machine.networkmanager


@pytest.mark.parametrize(
    ("connection", "interface"),
    [
        ("192.0.2.1 50000 192.0.2.7 22", "eth1"),
        ("::ffff:192.0.2.1 50000 ::ffff:192.0.2.7 22", "eth1"),
        ("fd00::1 50000 fd00::101 22", ""),
        ("", ""),
    ],
)
def test_the_interface_that_ssh_came_in_by_is_told(connection: str, interface: str) -> None:
    shown = "2: eth0    inet 10.0.2.15/24 scope global eth0\\ x\n3: eth1    inet 192.0.2.7/24 scope global eth1\\ x"
    assert answer(ssh=f"{connection}\n{shown}").ssh_ipv4 == interface


def test_the_kernel_is_told() -> None:
    machine = answer(
        kernel="PROCESSOR=aarch64\nMEMORY=2027264 kB\nCGROUP=2\nIPV6=yes",
        lacking="br_netfilter\noverlay",
        swaps="Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition\t975868\t0\t-2\n/dev/zram0 partition\t9\t0\t9",
    )
    assert machine.kernel == Kernel(
        "aarch64", 2027264 << 10, 2, True, ("br_netfilter", "overlay"), ("/dev/sda2", "/dev/zram0")
    )


def test_a_kernel_that_has_neither_ipv6_nor_swap_nor_cgroup_v2_is_told() -> None:
    machine = answer(kernel="PROCESSOR=x86_64\nMEMORY=1 kB", lacking="", swaps="")
    assert machine.kernel == Kernel("x86_64", 1024, 1, False, (), ())


def test_an_answer_that_says_nothing_is_a_machine_that_nobody_knows() -> None:
    machine = survey_answer.parse("")
    assert (machine.os, machine.version, machine.networking, machine.claims) == ("", "", "", ())
