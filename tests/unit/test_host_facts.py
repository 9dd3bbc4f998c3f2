"""What a machine says of itself, from answers as machines of each kind give them."""

from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from configs.membership import Identity
from configs.plan.interfaces import Claim, Definition
from configs.plan.kernel import Kernel
from configs.plan.networking import tools
from configs.plan.systems import Machine
from configs.schema.loading import load_cluster
from tasks.node import host_facts
from tasks.ssh.connection import Connection, Result
from tests.fakes import fake_of

CLUSTER = load_cluster("kube-v6")


def answer(**sections: str) -> Machine:
    text = "".join(f"=== {name.replace('_', '-')}\n{lines.strip()}\n" for name, lines in sections.items())
    return host_facts.parse("Last login: today\n" + text)


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
        ("systemd-networkd active enabled", "/usr/sbin/netplan\n/etc/netplan/50-a.yaml\n network:\n", "netplan"),
        ("systemd-networkd active enabled", "/usr/sbin/netplan\n", "networkd"),
        ("systemd-networkd active enabled", "/etc/netplan/50-left-behind.yaml\n network:\n", "networkd"),
    ],
)
def test_what_configures_interfaces_is_told_by_what_runs(units: str, netplan: str, networking: str) -> None:
    assert answer(units=units, netplan=netplan).networking == networking


def test_a_machine_of_the_how_tos() -> None:
    machine = answer(
        release=CENTOS,
        resolvers="search lan\nnameserver 10.0.2.3\nnameserver fe80::1%eth0\nnameserver none\n",
        units="NetworkManager inactive disabled\nnetwork active enabled\nfirewalld active enabled",
        network_scripts="/etc/sysconfig/network-scripts/ifcfg-eth0\n DEVICE=eth0\n"
        '/etc/sysconfig/network-scripts/ifcfg-eth1\n DEVICE="eth1"\n',
        interfaces="1: lo: <LOOPBACK,UP> mtu 1\n2: eth0: <UP> mtu 1\n3: eth1@if9: <BROADCAST> mtu 1",
        ssh="10.0.2.2 50000 10.0.2.15 22\n2: eth0    inet 10.0.2.15/24 brd 10.0.2.255 scope global eth0\\   valid",
    )
    assert (machine.os, machine.version, machine.networking) == ("centos", "7", "network-scripts")
    assert machine.resolvers == ("10.0.2.3", "fe80::1%eth0")
    assert (machine.firewalld, machine.networkmanager, machine.resolved) == (True, False, False)
    assert machine.claims[1] == Claim("/etc/sysconfig/network-scripts/ifcfg-eth1", "eth1")
    assert machine.ssh_ipv4 == "eth0"
    assert machine.interfaces == ("lo", "eth0", "eth1")
    assert tools.problems(CLUSTER, machine) == ()


NETPLAN = """
/usr/sbin/netplan
/etc/netplan/50-cloud-init.yaml
 network:
   ethernets:
     eth0: {dhcp4: true, match: {macaddress: 52:54:00:00:00:00}, set-name: eth0}
     eth1: {addresses: [192.0.2.1/24]}
   wifis:
     wlan0:
       dhcp4: yes
/etc/netplan/90-kubev6.yaml
 network:
   ethernets:
     eth1: {dhcp4: false}
     eth0: {dhcp4-overrides: {use-dns: false}}
"""


def test_netplans_interfaces_are_told_by_file_and_ours_is_left_out() -> None:
    machine = answer(
        units="systemd-networkd active enabled\nsystemd-resolved active enabled",
        netplan=NETPLAN,
        interfaces="2: eth0: <UP> mtu 1\n3: eth1: <UP> mtu 1",
    )
    assert machine.definitions == (
        Definition("eth0", dhcp4=True),
        Definition("eth1"),
        Definition("wlan0", "wifis", dhcp4=True),
    )
    assert machine.resolved
    assert {claim.path for claim in machine.claims} == {"/etc/netplan/50-cloud-init.yaml"}
    assert tools.problems(CLUSTER, machine) == (
        "/etc/netplan/50-cloud-init.yaml configures eth1 already: take eth1 out of it, what it has set now stays",
    )


def test_networkds_files_are_told_that_ask_for_an_address() -> None:
    machine = answer(
        units="systemd-networkd active enabled",
        networkd="/etc/systemd/network/00-lan.network\n [Match]\n Name=en* eth*\n [Network]\n DHCP=ipv4\n"
        "/etc/systemd/network/10-kubev6-eth1.network\n [Match]\n Name=eth1\n [Network]\n DHCP=yes\n"
        "/etc/systemd/network/20-still.network\n [Match]\n Name=eth7\n [Network]\n DHCP=no\n"
        "/etc/systemd/network/30-uplink.network\n [Match]\n Name=eth8\n [Network]\n IPv6AcceptRA=yes\n"
        "/usr/lib/systemd/network/80-container-host0.network\n [Match]\n Name = host0\n [Network]\n DHCP=yes\n",
    )
    assert machine.dhcp == ("00-lan.network", "30-uplink.network")


def test_what_ifupdowns_file_reads_too_is_told() -> None:
    machine = answer(
        units="networking active enabled",
        ifupdown="/etc/network/interfaces\n source interfaces.d/*\n source-directory /etc/network/more\n",
    )
    assert machine.sources == ("/etc/network/interfaces.d/*", "/etc/network/more/")


def test_a_link_local_resolver_keeps_its_interface_and_by_its_name() -> None:
    machine = answer(
        resolvers="nameserver fe80::1%3\nnameserver fe80::2%eth0\nnameserver fe80::3%9\nnameserver fe80::4\n"
        "nameserver ::ffff:192.0.2.53\nnameserver ::\nnameserver ff02::fb\nnameserver 0.0.0.0\n"
        "nameserver 2001:db8::53\nnameserver 169.254.169.254\n",
        interfaces="2: eth0: <UP> mtu 1\n3: eth1@if9: <UP> mtu 1",
    )
    assert machine.resolvers == ("fe80::1%eth1", "fe80::2%eth0", "192.0.2.53", "2001:db8::53", "169.254.169.254")


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


def test_what_the_registry_shows_is_told_as_the_registry_has_it() -> None:
    shown = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"
    told = host_facts.parse(f"=== registry-certificate\n{shown}=== swaps\n")
    assert told.registry_certificate == shown, "else every deploy would write it again"
    assert host_facts.parse("=== registry-certificate\n=== swaps\n").registry_certificate == ""


def test_whether_python_is_there_is_told() -> None:
    assert host_facts.parse("=== python\n/usr/bin/python3\n=== identity\n").python
    assert not host_facts.parse("=== python\n=== identity\n").python


def test_the_kernel_is_told() -> None:
    machine = answer(
        kernel="RELEASE=6.1.0-38-arm64\nPROCESSOR=aarch64\nMEMORY=2027264 kB\nCGROUP=2\nIPV6=yes",
        lacking="br_netfilter\noverlay",
        swaps="Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition\t975868\t0\t-2\n/dev/zram0 partition\t9\t0\t9",
    )
    assert machine.kernel == Kernel(
        "aarch64",
        2027264 << 10,
        2,
        True,
        ("br_netfilter", "overlay"),
        ("/dev/sda2", "/dev/zram0"),
        release="6.1.0-38-arm64",
    )


def test_a_kernel_that_has_neither_ipv6_nor_swap_nor_cgroup_v2_is_told() -> None:
    machine = answer(kernel="PROCESSOR=x86_64\nMEMORY=1 kB", lacking="", swaps="")
    assert machine.kernel == Kernel("x86_64", 1024, 1, False, (), (), release="0")


def test_an_answer_that_says_nothing_is_a_machine_that_nobody_knows() -> None:
    machine = host_facts.parse("")
    assert (machine.os, machine.version, machine.networking, machine.claims) == ("", "", "", ())


DOCKER_OF_DEBIAN = "docker.io\n20.10.24+dfsg1-1+deb12u1\n"


@pytest.mark.parametrize(
    ("runtime", "version"),
    [
        ("Docker version 20.10.24+dfsg1, build 297e128", "20.10"),
        ("Docker version 1.13.1, build 7d71120/1.13.1", "1.13"),
        ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+b1", "1.6"),
        ("containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7", "2.1"),
        ("", ""),
    ],
)
def test_a_runtimes_version_is_read_however_it_is_told(runtime: str, version: str) -> None:
    assert answer(runtime=runtime).runtime == version


@pytest.mark.parametrize(
    ("packages", "versions"),
    [
        (DOCKER_OF_DEBIAN, {"docker.io": "20.10"}),
        (
            f"docker\n1.5-2\ndocker-ce\n5:24.0.7-1~debian.12~bookworm\n{DOCKER_OF_DEBIAN}",
            {"docker": "1.5", "docker-ce": "24.0", "docker.io": "20.10"},
        ),
        ("docker.io\n(none)\ndocker-ce\n5:24.0.7-1\n", {"docker-ce": "24.0"}),
        ("docker\n1.13.1\ndocker\n1.12.6\n", {"docker": "1.13"}),
        ("docker.io\n(none)\n", {}),
        ("", {}),
    ],
    ids=["one", "several", "one that has no candidate", "the newest comes first", "none that can be had", "none"],
)
def test_the_packages_of_a_runtime_are_told_with_their_versions(packages: str, versions: dict[str, str]) -> None:
    assert dict(answer(packages=packages).packages) == versions


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("iptables v1.8.9 (nf_tables)", "nft"),
        ("iptables v1.8.9 (legacy)", "legacy"),
        ("iptables v1.4.21", "legacy"),
        ("", ""),
    ],
)
def test_how_iptables_keeps_its_rules_is_told(told: str, kept: str) -> None:
    assert answer(iptables=told).iptables == kept


@pytest.mark.parametrize(
    ("kubelet", "runtime"),
    [
        ('KUBELET_KUBEADM_ARGS="--network-plugin=cni --node-ip=fd00::101"', "docker"),
        (
            'KUBELET_KUBEADM_ARGS="--container-runtime=remote '
            '--container-runtime-endpoint=/run/containerd/containerd.sock"',
            "containerd",
        ),
        ('KUBELET_KUBEADM_ARGS="--pod-infra-container-image=registry.k8s.io/pause:3.10"', ""),
        ("", ""),
    ],
)
def test_what_runs_the_containers_of_a_member_is_told(kubelet: str, runtime: str) -> None:
    assert answer(kubelet=kubelet).runtime_in_use == runtime


@fake_of(Connection)
class Here:
    """This machine in the place of a node, and how often it is asked."""

    def __init__(self, programs: Path) -> None:
        self.asked = 0
        self.environment = {"PATH": f"{programs}:/usr/bin:/bin", "SSH_CONNECTION": ""}

    def run(self, command: Sequence[str], *, step: str) -> Result:
        self.asked += 1
        assert step == "host facts"
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True, timeout=60)
        return Result(0, done.stdout, "")


def program(directory: Path, name: str, script: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)


def test_all_is_asked_at_once_and_what_is_installed_goes_before_what_would_be(tmp_path: Path) -> None:
    here = Here(tmp_path)
    connection = cast(Connection, here)
    program(
        tmp_path,
        "apt-cache",
        'shift; for name in "$@"; do echo "$name:"; echo \'  Installed: (none)\';'
        " echo '  Candidate: 5:19.03.9-1'; done",
    )
    program(tmp_path, "yum", "echo 'Name        : docker'; echo 'Version     : 1.13.1'; echo 'Release : 209'")
    program(tmp_path, "docker", "exit 127")
    program(tmp_path, "iptables", "echo 'iptables v1.8.9 (nf_tables)'")
    machine = host_facts.ask(connection, "docker")
    assert dict(machine.packages) == {"docker": "19.03", "docker-ce": "19.03", "docker.io": "19.03"}
    assert (machine.runtime, machine.iptables) == ("", "nft")
    program(tmp_path, "apt-cache", "exit 1")
    assert dict(host_facts.ask(connection, "docker").packages) == {"docker": "1.13"}
    program(tmp_path, "docker", "echo Docker version 20.10.24, build 1")
    machine = host_facts.ask(connection, "docker")
    assert (machine.runtime, machine.packages) == ("20.10", ())
    assert "lo" in machine.interfaces
    assert here.asked == 3


@pytest.mark.parametrize(("padding", "ours", "asked"), [(1_000_001, True, 1), (1_000_001, False, 3), (0, True, 3)])
def test_a_machine_of_ours_keeps_what_a_program_says_of_its_version_as_long_as_it_is_that_program(
    tmp_path: Path, padding: int, ours: bool, asked: int
) -> None:
    record, calls = tmp_path / "record.json", tmp_path / "calls"
    script = host_facts.SCRIPT.replace("/run/kubev6-version-", f"{tmp_path}/version-")
    script = script.replace("/var/lib/kubev6/record.json", str(record))
    if ours:
        record.write_text("{}")

    def containerd(version: str) -> None:
        calls.write_text("")
        program(tmp_path, "containerd", f"echo >>{calls}; echo {version}\n#{' ' * padding}")

    def told() -> str:
        words = ["sh", "-c", script, "sh", "containerd", "containerd"]
        return host_facts.parse(Here(tmp_path).run(words, step="host facts").stdout).runtime

    containerd("containerd 1.6.20")
    assert [told() for _ in range(3)] == ["1.6"] * 3
    assert len(calls.read_text()) == asked
    containerd("containerd 2.1.1")  # of the same length, in the place of the other
    assert told() == "2.1"
    containerd("of no version")
    assert told() == ""


def test_a_machine_that_runs_no_containers_is_not_asked_for_a_runtime(tmp_path: Path) -> None:
    program(tmp_path, "docker", "echo Docker version 20.10.24, build 1")
    machine = host_facts.ask(cast(Connection, Here(tmp_path)))
    assert (machine.runtime, machine.packages, machine.iptables) == ("", (), "")
    assert machine.kernel.memory > 0


def test_host_facts_are_a_value_that_goes_from_process_to_process() -> None:
    machine = answer(release=CENTOS, packages=DOCKER_OF_DEBIAN, netplan=NETPLAN)
    assert pickle.loads(pickle.dumps(machine)) == machine
    assert len({machine, answer(release=CENTOS, packages=DOCKER_OF_DEBIAN, netplan=NETPLAN)}) == 1


def test_where_the_kernel_has_to_go_on_listening_to_routers_is_where_it_holds_what_they_advertised() -> None:
    machine = answer(
        advertised="""
/proc/sys/net/ipv6/conf/bond0.5/accept_ra:1
/proc/sys/net/ipv6/conf/eth0/accept_ra:1
/proc/sys/net/ipv6/conf/eth1/accept_ra:1
/proc/sys/net/ipv6/conf/eth2/accept_ra:2
default via fe80::1 dev eth0 proto ra metric 1024 expires 1798sec hoplimit 64 pref medium
default via fe80::2 dev networkd0 proto ra metric 512 expires 1798sec pref medium
4: bond0.5    inet6 2001:db8:5::5/64 scope global dynamic mngtmpaddr \\       valid_lft 3599sec
net.ipv6.conf.eth2.accept_ra = 2
net.ipv6.conf.gone0.accept_ra = 2
""",
        ssh="2001:db8:9::9 50000 2001:db8:5::5 22",
    )
    assert machine.advertised == ("bond0.5", "eth0", "eth2")
    assert machine.ssh_advertised == "bond0.5"


@pytest.mark.parametrize(
    ("route", "interface"),
    [
        ("2001:db8:9::9 from :: via fe80::1 dev eth0 proto ra src 2001:db8:1::5 metric 1024 pref medium", "eth0"),
        ("2001:db8:9::9 from :: via fe80::1 dev eth0 src 2001:db8:1::5 metric 1024 pref medium", ""),
        ("192.0.2.9 via 192.0.2.1 dev eth0 src 192.0.2.5 uid 0 \\    cache", ""),
    ],
)
def test_ssh_that_comes_by_an_advertised_route_is_known(route: str, interface: str) -> None:
    assert answer(ssh=f"2001:db8:9::9 50000 2001:db8:1::5 22\nroute {route}").ssh_advertised == interface


def test_lines_of_sysctl_files_stand_in_the_order_in_which_they_count() -> None:
    machine = answer(
        sysctl="""
/etc/sysctl.d/50-masked.conf
/etc/sysctl.d/99-sysctl.conf
3:net.ipv6.conf.all.forwarding=0
/etc/sysctl.d/zz-kubev6.conf
1:net.ipv6.conf.all.forwarding = 1
/run/sysctl.d/10-a.conf
7: - net/ipv6/conf/eth0.5/accept_ra =  0
8:# net.ipv6.conf.all.forwarding = 0
9:-net.ipv6.conf.eth2
/usr/lib/sysctl.d/50-masked.conf
1:net.ipv4.ip_forward = 0
/usr/lib/sysctl.d/zzz.conf
2:net.ipv4.ip_forward = 0
/etc/sysctl.conf
3:net.ipv6.conf.all.forwarding=0
"""
    )
    assert [(f"{line.path}:{line.number}", line.key, line.value, line.wins) for line in machine.sysctl_lines] == [
        ("/run/sysctl.d/10-a.conf:7", "net.ipv6.conf.eth0/5.accept_ra", "0", False),
        ("/etc/sysctl.d/99-sysctl.conf:3", "net.ipv6.conf.all.forwarding", "0", False),
        ("/usr/lib/sysctl.d/zzz.conf:2", "net.ipv4.ip_forward", "0", True),
        ("/etc/sysctl.conf:3", "net.ipv6.conf.all.forwarding", "0", True),
    ]


def test_what_switches_ipv6_off_is_known_now_and_for_the_next_start() -> None:
    kernel = answer(
        without_ipv6="/proc/sys/net/ipv6/conf/default/disable_ipv6\n/proc/sys/net/ipv6/conf/eth0.5/disable_ipv6",
        ipv6_off="ipv6.disable=1 on the kernel's command line\n/etc/modprobe.d/a.conf:2:options  ipv6 disable=1",
    ).kernel
    assert kernel.without_ipv6 == ("default", "eth0.5")
    assert kernel.ipv6_off == (
        "ipv6.disable=1 on the kernel's command line",
        "/etc/modprobe.d/a.conf:2:options ipv6 disable=1",
    )


def test_a_file_whose_last_line_has_no_end_takes_nothing_of_the_next_question_away(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_ID="12"')
    (tmp_path / "resolv.conf").write_bytes(b"# caf\xe9\r\nnameserver 192.0.2.53\r\nnameserver 2001:db8::53")
    (tmp_path / "record.json").write_text('{"cluster": {"name": "a", "server": "b"}}')
    (tmp_path / "systemctl").write_text(
        "#!/bin/sh\ncase $1 in show) printf 'LoadState=loaded\\nActiveState=active\\n' ;; esac"
    )
    (tmp_path / "systemctl").chmod(0o755)
    script = host_facts.SCRIPT
    for place in ("/etc/os-release", "/etc/resolv.conf", "/var/lib/kubev6/record.json"):
        script = script.replace(place, f"{tmp_path}/{Path(place).name}")
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["sh", "-c", script], env={"PATH": path}, capture_output=True, timeout=60)
    machine = host_facts.parse(done.stdout.decode(errors="replace"))
    assert (machine.os, machine.version) == ("debian", "12")
    assert machine.resolvers == ("192.0.2.53", "2001:db8::53")
    assert machine.networkmanager  # of the units, the first of which runs
    assert machine.membership.recorded == Identity("a", "b")


def test_a_systemctl_that_hangs_is_named_and_nothing_else_is_asked(tmp_path: Path) -> None:
    """Its time is not waited for here: what says that it is over takes its place."""
    (tmp_path / "timeout").write_text("#!/bin/sh\nexit 124\n")
    (tmp_path / "timeout").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", host_facts.SCRIPT], env={"PATH": path}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "`systemctl show` has not answered for 30 s, so systemd or D-Bus hangs there"
    )
    assert "=== kernel" not in done.stdout
