"""The files that configure a machine's interfaces: what is asked of a machine that has them, and what comes of it."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from configs.plan.interfaces import Definition
from configs.plan.networking import netplan, tools
from configs.plan.node import plan_node
from configs.plan.systems import Machine, networking_of
from configs.schema.loading import load_cluster, load_release
from tasks.node import host_facts
from tasks.node.compatibility import Candidate, names_by_user_data, resolver_scripts
from tasks.node.network_files.links import links_of

CLUSTER = load_cluster("kube-v6")
LAB = load_cluster("lab")
RELEASE = load_release("debian-1.20")
MAC = "52:54:00:00:00:01"
LINKS = f"""\
1: lo: <LOOPBACK,UP> mtu 65536 qdisc noqueue \\    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0
2: eth0: <UP> mtu 1500 qdisc mq \\    link/ether 52:54:00:00:00:00 brd ff:ff promiscuity 0 minmtu 68
3: eth1: <UP> mtu 9000 qdisc mq \\    link/ether {MAC} brd ff:ff promiscuity 0 minmtu 68 \\    altname enp0s3
7: veth0@if2: <UP> mtu 1500 qdisc noqueue master cbr0 \\    link/ether 52:54:00:00:00:07 brd ff:ff \\    veth
"""
DRIVERS = "eth0 virtio_net\neth1 mlx5_core\n"
OF_TOOL = {
    "networkd": ("systemd-networkd active enabled", "debian", "12"),
    "ifupdown": ("networking active enabled", "debian", "12"),
    "netplan": ("systemd-networkd active enabled", "ubuntu", "22.04"),
    "networkmanager": ("NetworkManager active enabled", "rocky", "9"),
    "network-scripts": ("network active enabled", "centos", "7"),
}
NETWORKD, NETPLAN, PROFILES = "/etc/systemd/network", "/etc/netplan", "/etc/NetworkManager/system-connections"
SCRIPTS = "/etc/sysconfig/network-scripts"


def asked(root: Path, tool: str, files: dict[str, str], links: str = LINKS, units: str = "", **other: str) -> Machine:
    """The machine that has these files, interfaces and further units, by the question that every machine is asked."""
    for path, text in {**files, "/programs/systemctl": "#!/bin/sh\n", "/programs/netplan": "#!/bin/sh\n"}.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode("utf-8", "surrogateescape"))
        place.chmod(0o755)
    script = re.sub(r"(?<![\w.:$\"'/}|])/(?=(etc|run|usr/lib|usr/local/lib)\b)", f"{root}/", host_facts.SCRIPT)
    path = f"{root}/programs:{os.environ['PATH']}"
    # As a connection asks and reads it.
    done = subprocess.run(["sh", "-c", script], env={"PATH": path, "LC_ALL": "C"}, capture_output=True, timeout=60)
    answer = done.stdout.decode("utf-8", "replace")
    parts = dict(part.partition("\n")[::2] for part in ("\n" + answer).replace(f"{root}/", "/").split("\n=== ")[1:])
    own, system, version = OF_TOOL[tool]
    parts |= {"release": f"ID={system}\nVERSION_ID={version}\n", "units": f"{own}\n{units}", "interfaces": links}
    parts |= {"ssh": "", "drivers": DRIVERS, **other}
    machine = host_facts.parse("".join(f"=== {name}\n{text}\n" for name, text in parts.items()))
    assert networking_of(machine) == tool
    return machine


def networkd(match: str, name: str = "05-site.network") -> dict[str, str]:
    return {f"{NETWORKD}/{name}": f"[Match]\n{match}\n[Network]\nDHCP=yes"}


def planned(ethernets: str) -> dict[str, str]:
    return {f"{NETPLAN}/50-site.yaml": f"network:\n  version: 2\n  ethernets:\n    {ethernets}\n"}


def profile(text: str, type_: str = "ethernet") -> dict[str, str]:
    return {f"{PROFILES}/site.nmconnection": f"[connection]\nid=site\ntype={type_}\n{text}\n"}


BILLIONS = "lan: {match: {name: *l30}, dhcp4: *l30}"
CLAIMS: dict[str, tuple[str, dict[str, str], str]] = {
    "none": ("networkd", {}, ""),
    "its name": ("networkd", networkd("Name=eth1"), "configures eth1 already: take eth1 out of it"),
    "another name": ("networkd", networkd("Name=eth0 eth10"), ""),
    "a pattern": ("networkd", networkd("Name=en* eth[12]"), "already, by Name=en* eth[12]"),
    "a pattern that is not meant": ("networkd", networkd("Name=!en* eth*"), ""),
    "all but another": ("networkd", networkd("Name=!eth0"), "by Name=!eth0"),
    "its other name": ("networkd", networkd("Name=enp0s*"), "by Name=enp0s*"),
    "a list that is begun anew": ("networkd", networkd("Name=eth1\nName=\nName=eth0"), ""),
    "its address": ("networkd", networkd(f"MACAddress={MAC.upper()}"), f"by MACAddress={MAC.upper()}"),
    "its address in dashes": ("networkd", networkd("PermanentMACAddress=52-54-00-00-00-01"), "by PermanentMACAddress"),
    "another address": ("networkd", networkd("MACAddress=52:54:00:00:00:02"), ""),
    "its driver": ("networkd", networkd("Driver=mlx5_*"), "by Driver=mlx5_*"),
    "another driver": ("networkd", networkd("Driver=virtio_net"), ""),
    "its type": ("networkd", networkd("Type=ether"), "by Type=ether"),
    "another type": ("networkd", networkd("Type=wlan bond"), ""),
    "cards alone": ("networkd", networkd("Type=ether\nKind=!*"), "by Type=ether"),
    "what is no card": ("networkd", networkd("Kind=*"), ""),
    "lines that end as on an old Macintosh": ("networkd", networkd("Type=ether\rName=eth1"), "eth1 already"),
    "a kind that no card has": ("networkd", networkd("Kind=bond"), ""),
    "a type and another driver": ("networkd", networkd("Type=ether\nDriver=!mlx5_core"), ""),
    "what the machine does not tell": ("networkd", networkd("Path=pci-0000:02:*"), "by Path=pci-0000:02:*"),
    "the kernel's command line": ("networkd", networkd("KernelCommandLine=!nfsroot"), "by KernelCommandLine=!nfsroot"),
    "nothing": ("networkd", networkd(""), "by a [Match] that names no interface"),
    "what sorts behind ours": ("networkd", networkd("Type=ether", "80-site.network"), ""),
    "in a drop-in": (
        "networkd",
        {**networkd("Type=wlan"), f"{NETWORKD}/05-site.network.d/more.conf": "[Match]\nType=ether\n"},
        "by Type=wlan ether",
    ),
    "in a line that goes on": ("networkd", networkd("Name=eth0 \\\n  eth1"), "configures eth1 already"),
    "quoted": ("networkd", networkd('Name="eth1"'), "configures eth1 already"),
    "with blanks": ("networkd", networkd(" Name = eth1 "), "configures eth1 already"),
    "lines that end as in DOS": ("networkd", networkd("Name=eth0 \\\r\n eth1\r"), "configures eth1 already"),
    "behind a comment that seems to go on": ("networkd", networkd("# lan: \\\nName=eth1"), "configures eth1 already"),
    "in a line that goes on behind a comment": (
        "networkd",
        networkd("Name=eth0 \\\n# lan\n eth1"),
        "configures eth1 already",
    ),
    "below a character that ends no line": ("networkd", networkd("# a\u2028/b\x0c/c\x85/d\nName=eth1"), "eth1 already"),
    "below bytes that are no UTF-8": ("networkd", networkd("# caf\udce9\nName=eth1 \udce9"), "configures eth1 already"),
    "a drop-in that is masked": (
        "networkd",
        {
            **networkd("Type=wlan"),
            "/usr/lib/systemd/network/05-site.network.d/more.conf": "[Match]\nType=ether\n",
            f"{NETWORKD}/05-site.network.d/more.conf": "",
        },
        "",
    ),
    "a file of the system's": (
        "networkd",
        {"/usr/lib/systemd/network/05-all.network": "[Match]\nName=*\n"},
        "/usr/lib/systemd/network/05-all.network configures eth1 already, by Name=*",
    ),
    "a file that an empty one stands for": (
        "networkd",
        {"/usr/lib/systemd/network/05-all.network": "[Match]\nName=*\n", f"{NETWORKD}/05-all.network": ""},
        "",
    ),
    "netplan, its name": ("netplan", planned("eth1: {dhcp4: true}"), "configures eth1 already: take"),
    "netplan, another's name in the same style": ("netplan", planned("eth0: {dhcp4: true}"), ""),
    "netplan, a pattern": (
        "netplan",
        planned('all: {match: {name: "eth*"}, dhcp4: true}'),
        "by all: match: name: eth*",
    ),
    "netplan, another pattern": ("netplan", planned('all: {match: {name: "wl*"}, dhcp4: true}'), ""),
    "netplan, an address that looks like a number": (
        "netplan",
        planned(f"lan:\n      match:\n        macaddress: {MAC}\n      dhcp4: true"),
        f"by lan: match: macaddress: {MAC}",
    ),
    "netplan, a name that it gives": (
        "netplan",
        planned("lan: {match: {macaddress: '52:54:00:00:00:09'}, set-name: eth1}"),
        "by lan: set-name: eth1",
    ),
    "netplan, a name that another has": ("netplan", planned("lan: {match: {driver: '*'}, set-name: eth0}"), ""),
    "netplan, drivers": ("netplan", planned("lan: {match: {driver: [bnx2, mlx5_core]}}"), "by lan: match: driver"),
    "netplan, all": ("netplan", planned("lan: {match: {}}"), "by lan: match: {}"),
    "netplan, a file that is no YAML": ("netplan", planned("{eth0: ["), "lines that are no YAML"),
    "netplan, keys that stand twice": (
        "netplan",
        planned("eth1: {dhcp4: true}\n  ethernets:\n    eth0: {dhcp4: true}"),
        "configures eth1 already",
    ),
    "netplan, by another's anchor": (
        "netplan",
        planned("eth0: {match: &all {name: 'eth*'}, set-name: eth0}\n    lan: {match: *all}"),
        "by lan: match: name: eth*",
    ),
    "netplan, values of the wrong form": (
        "netplan",
        planned("lan: {match: {name: [eth1, {a: b}]}, set-name: [eth1]}"),
        "by lan: match: name:",
    ),
    "netplan, a thousand brackets": ("netplan", planned("{a: " + "[" * 1000), "lines that are no YAML"),
    "netplan, tabs": ("netplan", planned("eth0:\n\t- a"), "lines that are no YAML"),
    "netplan, two documents": ("netplan", planned("eth0: {}\n---\nnetwork: {}"), "lines that are no YAML"),
    "netplan, lines that end as in DOS": ("netplan", planned("eth1:\r\n      dhcp4: true\r"), "eth1 already"),
    "netplan, networkd's own file": (
        "netplan",
        {**planned("{}"), **networkd("Type=ether")},
        "05-site.network configures",
    ),
    "netplan, behind what it writes": ("netplan", {**planned("{}"), **networkd("Type=ether", "11-a.network")}, ""),
    "netplan, a file that another of its name stands for": (
        "netplan",
        {**planned("eth0: {}"), "/usr/lib/netplan/50-site.yaml": "network: {ethernets: {eth1: {}}}\n"},
        "",
    ),
    "netplan, a file of one name that is in force until the next start": (
        "netplan",
        {**planned("eth1: {}"), "/run/netplan/50-site.yaml": "network: {ethernets: {eth0: {}}}\n"},
        "",
    ),
    "netplan, a file that one in force until the next start does without": (
        "netplan",
        {**planned("eth0: {}"), "/run/netplan/50-site.yaml": "network: {ethernets: {eth1: {}}}\n"},
        "/run/netplan/50-site.yaml configures eth1",
    ),
    "netplan, ports of a bridge": (
        "netplan",
        planned("eth0: {}\n  bridges: {br0: {interfaces: [eth0, eth1]}}"),
        "by br0: interfaces: eth1",
    ),
    "netplan, what is in a VRF": (
        "netplan",
        planned("eth0: {}\n  vrfs: {of: {interfaces: [eth1]}}"),
        "by of: interfaces",
    ),
    "netplan, aliases that come to billions": (
        "netplan",
        planned(
            "l0: &l0 [eth0]\n    " + "".join(f"l{n + 1}: &l{n + 1} [*l{n}, *l{n}]\n    " for n in range(30)) + BILLIONS
        ),
        "by lan: match: name:",
    ),
    "ifupdown, further addresses": (
        "ifupdown",
        {"/etc/network/interfaces": "iface eth1:0 inet6 static\n address fd00::9/64\n"},
        "configures eth1 already",
    ),
    "ifupdown, its name": (
        "ifupdown",
        {"/etc/network/interfaces": "iface eth1 inet6 auto\n"},
        "configures eth1 already",
    ),
    "ifupdown, no family": (
        "ifupdown",
        {"/etc/network/interfaces": "iface eth1\n address fd00::9/64\n"},
        "eth1 already",
    ),
    "ifupdown, the other family": ("ifupdown", {"/etc/network/interfaces": "iface eth1 inet dhcp\n"}, ""),
    "ifupdown, a pattern alone": ("ifupdown", {"/etc/network/interfaces": "auto /eth*\niface eth0 inet dhcp\n"}, ""),
    "ifupdown, a pattern": (
        "ifupdown",
        {"/etc/network/interfaces": "auto /eth*=lan\niface lan inet6 auto\n"},
        "/eth*=lan",
    ),
    "ifupdown, another pattern": ("ifupdown", {"/etc/network/interfaces": "allow-hotplug /en*=lan\n"}, ""),
    "ifupdown, its address": (
        "ifupdown",
        {"/etc/network/interfaces": f"auto mac/{MAC}=lan\n"},
        f"by auto mac/{MAC}=lan",
    ),
    "ifupdown, another address": ("ifupdown", {"/etc/network/interfaces": "auto mac/52:54:00:00:00:02=lan\n"}, ""),
    "ifupdown, a mapping": ("ifupdown", {"/etc/network/interfaces": "mapping eth*\n script /x\n"}, "by mapping eth*"),
    "ifupdown, a file that is read by a file that is read": (
        "ifupdown",
        {
            "/etc/network/interfaces": "source own\n",
            "/etc/network/own": "source interfaces.d/*.cfg\n",
            "/etc/network/interfaces.d/a.cfg": "source-directory ../more\n",
            "/etc/network/more/lan": "iface eth1 \\\n inet6 auto\n",
            "/etc/network/more/lan.dpkg-old": "iface eth1 inet6 auto\n",
        },
        "more/lan configures eth1 already",
    ),
    "ifupdown, a file elsewhere": (
        "ifupdown",
        {
            "/etc/network/interfaces": "source-directory ../../run/network\n",
            "/run/network/lan": "iface eth1 inet6 dhcp\n",
        },
        "/run/network/lan configures eth1 already",
    ),
    "ifupdown, behind a comment that seems to go on": (
        "ifupdown",
        {"/etc/network/interfaces": "# lan \\\niface eth1 inet6 auto\n"},
        "configures eth1 already",
    ),
    "ifupdown, a file by a line that ends as in DOS": (
        "ifupdown",
        {
            "/etc/network/interfaces": "source interfaces.d/*\r\n",
            "/etc/network/interfaces.d/a": "iface eth1 inet6 auto\r\n",
        },
        "interfaces.d/a configures eth1 already",
    ),
    "ifupdown, a template that is not manual": (
        "ifupdown",
        {"/etc/network/interfaces": "iface lan inet6 auto\niface eth1 inet6 manual inherits lan"},
        "configures eth1 already",
    ),
    "ifupdown, a file in quotes": (
        "ifupdown",
        {"/etc/network/interfaces": 'source "lan"\n', "/etc/network/lan": "iface eth1 inet6 auto\n"},
        "/etc/network/lan configures eth1 already",
    ),
    "ifupdown, a port of a bond": (
        "ifupdown",
        {"/etc/network/interfaces": "iface bond0 inet manual\n  bond-slaves eth0 eth1\n"},
        "by `bond-slaves eth0 eth1` of bond0",
    ),
    "ifupdown, ports of another bond": (
        "ifupdown",
        {"/etc/network/interfaces": "iface bond0 inet manual\n  slaves eth0 eth10\n"},
        "",
    ),
    "ifupdown, a bond of no ports": (
        "ifupdown",
        {"/etc/network/interfaces": "iface bond0 inet manual\n  bond-slaves none\n"},
        "",
    ),
    "ifupdown, a port that names its bond": (
        "ifupdown",
        {"/etc/network/interfaces": "iface eth1 inet manual\n  bond-master bond0\n"},
        "by `bond-master bond0`",
    ),
    "ifupdown, ports of a bridge": (
        "ifupdown",
        {"/etc/network/interfaces": "iface br0 inet dhcp\n  bridge_ports regex eth[12] noregex wlan0\n"},
        "by `bridge_ports regex eth[12] noregex wlan0` of br0",
    ),
    "ifupdown, all cards in a bridge": (
        "ifupdown",
        {"/etc/network/interfaces": "iface br0 inet dhcp\n  bridge-ports all\n"},
        "by `bridge-ports all` of br0",
    ),
    "ifupdown, a pattern that is none of a regular expression": (
        "ifupdown",
        {"/etc/network/interfaces": "iface br0 inet dhcp\n  bridge_ports eth[12]\n"},
        "",
    ),
    "ifupdown, another name from now on": (
        "ifupdown",
        {"/etc/network/interfaces": f"rename mac/{MAC}=lan\n"},
        f"by rename mac/{MAC}=lan",
    ),
    "ifupdown, twins and both families": (
        "ifupdown",
        {"/etc/network/interfaces": "auto eth1\nallow-hotplug eth1\niface eth1 inet dhcp\niface eth1 inet6 manual\n"},
        "",
    ),
    "ifupdown, nothing but that it is there": (
        "ifupdown",
        {"/etc/network/interfaces": "allow-hotplug eth1\niface eth1 inet6 manual\n"},
        "",
    ),
    "ifupdown, a file that nothing reads": (
        "ifupdown",
        {"/etc/network/interfaces.d/lan": "iface eth1 inet6 auto\n"},
        "",
    ),
    "ifupdown, files that read each other": ("ifupdown", {"/etc/network/interfaces": "source /etc/network/*\n"}, ""),
    "NetworkManager, its name": ("networkmanager", profile("interface-name=eth1"), "configures eth1 already: take"),
    "NetworkManager, none": ("networkmanager", profile(""), ""),  # ours has the higher priority
    "NetworkManager, none, before ours": (
        "networkmanager",
        profile("autoconnect-priority=100"),
        "by no interface-name",
    ),
    "NetworkManager, none, by hand": ("networkmanager", profile("autoconnect=false\nautoconnect-priority=999"), ""),
    "NetworkManager, none, not for cards": ("networkmanager", profile("autoconnect-priority=999", "wifi"), ""),
    "NetworkManager, its address": (
        "networkmanager",
        profile(f"autoconnect-priority=500\n[ethernet]\nmac-address={MAC}"),
        f"by PermanentMACAddress={MAC}",
    ),
    "NetworkManager, another's address": (
        "networkmanager",
        profile("autoconnect-priority=500\n[ethernet]\nmac-address=52:54:00:00:00:02"),
        "",
    ),
    "NetworkManager, a pattern": (
        "networkmanager",
        profile("autoconnect-priority=500\n[match]\ninterface-name=eth*;!eth0;"),
        "by Name=eth* !eth0",
    ),
    "NetworkManager, all but this one": (
        "networkmanager",
        profile("autoconnect-priority=500\n[match]\ninterface-name=!eth1;"),
        "",
    ),
    "NetworkManager, a priority that is none": ("networkmanager", profile("autoconnect-priority=²"), ""),
    "NetworkManager, its name with blanks": (
        "networkmanager",
        profile(" interface-name = eth1 "),
        "eth1 already: take",
    ),
    "NetworkManager, before ours with blanks": (
        "networkmanager",
        profile("autoconnect-priority = 999"),
        "by no interface-name",
    ),
    "NetworkManager, by hand in numbers": ("networkmanager", profile("autoconnect=0\nautoconnect-priority=999"), ""),
    "NetworkManager, its address in decimal numbers": (
        "networkmanager",
        profile("autoconnect-priority=500\n[802-3-ethernet]\nmac-address=82;84;0;0;0;1;"),
        "by PermanentMACAddress=",
    ),
    "NetworkManager, another's address in decimal numbers": (
        "networkmanager",
        profile("autoconnect-priority=500\n[802-3-ethernet]\nmac-address=82;84;0;0;0;2;"),
        "",
    ),
    "NetworkManager, one of several conditions": (
        "networkmanager",
        profile("autoconnect-priority=500\n[match]\ninterface-name=|wl*;|!eth0;"),
        "configures eth1 already",
    ),
    "NetworkManager, a stanza, which it leaves alone": (
        "networkmanager",
        {"/etc/network/interfaces": "iface eth1 inet manual\n"},
        "/etc/network/interfaces configures eth1 already",
    ),
    "NetworkManager, a script that names none": (
        "networkmanager",
        {f"{SCRIPTS}/ifcfg-Wired": "TYPE=Ethernet\nONBOOT=yes\nAUTOCONNECT_PRIORITY=200\n"},
        "by no DEVICE",
    ),
    "scripts, the usual name": ("network-scripts", {f"{SCRIPTS}/ifcfg-eth1": "DEVICE=eth1\n"}, ""),
    "scripts, another name": (
        "network-scripts",
        {f"{SCRIPTS}/ifcfg-lan": 'DEVICE="eth1"\n'},
        "ifcfg-lan configures eth1",
    ),
    "scripts, its address": ("network-scripts", {f"{SCRIPTS}/ifcfg-lan": f"HWADDR={MAC.upper()}\n"}, "by HWADDR="),
    "scripts, a comment behind it": (
        "network-scripts",
        {f"{SCRIPTS}/ifcfg-lan": "DEVICE='eth1'   # the cluster\n"},
        "ifcfg-lan configures eth1",
    ),
    "scripts, an exported name": (
        "network-scripts",
        {f"{SCRIPTS}/ifcfg-lan": "export DEVICE=eth1\n"},
        "ifcfg-lan configures",
    ),
    "scripts, further addresses": (
        "network-scripts",
        {f"{SCRIPTS}/ifcfg-eth1:0": "DEVICE=eth1:0\nIPADDR=192.0.2.1\n"},
        "ifcfg-eth1:0 configures eth1",
    ),
    "scripts, a range of addresses": (
        "network-scripts",
        {f"{SCRIPTS}/ifcfg-eth1-range0": "IPADDR_START=192.0.2.1\n"},
        "ifcfg-eth1-range0 configures eth1",
    ),
    "scripts, further addresses of another": (
        "network-scripts",
        {f"{SCRIPTS}/ifcfg-eth10:0": "DEVICE=eth10:0\nIPADDR=192.0.2.1\n"},
        "",
    ),
    "scripts, a name of the shell's making": (
        "network-scripts",
        {f"{SCRIPTS}/ifcfg-lan": "DEVICE=$LAN\n"},
        "ifcfg-lan configures eth1 already, by DEVICE=$LAN",
    ),
    "scripts, an address of the shell's making": (
        "network-scripts",
        {f"{SCRIPTS}/ifcfg-lan": "HWADDR=`cat /etc/mac`\n"},
        "ifcfg-lan configures eth1 already, by HWADDR=",
    ),
    "scripts, a copy": ("network-scripts", {f"{SCRIPTS}/ifcfg-lan.bak": "DEVICE=eth1\n"}, ""),
}
"""What a site's file goes by: the tool, the file, and what is said against it; nothing where ours wins."""


@pytest.mark.parametrize(
    ("node", "name", "text", "refused"),
    [
        ("kube-worker-1", "ifcfg-eth0", "DEVICE=eth0\nBOOTPROTO=none\nDNS1=192.0.2.53\n", True),
        ("kube-worker-1", "ifcfg-eth0", 'DEVICE=eth0\nexport DNS2="192.0.2.53"\nPEERDNS=yes\n', True),
        ("kube-worker-1", "ifcfg-eth0", "DEVICE=eth0\nDNS1=192.0.2.53\nPEERDNS=no\n", True),  # of some versions
        ("kube-worker-1", "ifcfg-eth0", "DEVICE=eth0\nDNS1=192.0.2.53\nPEERDNS=no\nRESOLV_MODS=no\n", False),
        ("kube-worker-1", "ifcfg-eth0", "DEVICE=eth0\nBOOTPROTO=dhcp\nPEERDNS=yes\nDNS1=\n#DNS1=192.0.2.53\n", False),
        ("kube-worker-1", "ifcfg-eth1", "DEVICE=eth1\nDNS1=192.0.2.53\n", False),  # ours comes in its place
        ("kube-support", "ifcfg-eth0", "DEVICE=eth0\nDNS1=192.0.2.53\n", False),
    ],
)
def test_a_network_script_whose_resolvers_would_be_in_resolv_conf_after_the_next_start_is_refused(
    tmp_path: Path, node: str, name: str, text: str, refused: bool
) -> None:
    machine = asked(tmp_path, "network-scripts", {f"{SCRIPTS}/{name}": text})
    said = " ".join(resolver_scripts(Candidate(LAB, RELEASE, LAB.node(node), machine)))
    assert ("has its resolvers written into /etc/resolv.conf" in said) == refused


@pytest.mark.parametrize(
    ("programs", "files", "writers"),
    [
        ((), {}, ()),
        (("dhcpcd", "rdnssd"), {"lib/resolvconf/libc": ""}, ("dhcpcd", "rdnssd", "openresolv")),
        ((), {"lib/resolvconf/list-records": "", "etc/cloud/cloud.cfg.d/05.cfg": ""}, ("cloud-init",)),
        ((), {"etc/cloud/cloud.cfg.d/05.cfg": "", "etc/cloud/cloud-init.disabled": ""}, ()),
        (
            (),
            {"etc/cloud/cloud.cfg.d/05.cfg": "", "data/cloud-config.txt": "a: 1\nmanage_etc_hosts: true\n"},
            ("cloud-init", "user-data"),
        ),
        (
            (),
            {"etc/cloud/cloud.cfg.d/05.cfg": "", "data/cloud-config.txt": "manage_etc_hosts: false\n"},
            ("cloud-init",),
        ),
    ],
)
def test_what_writes_resolvers_or_names_without_asking_is_known(
    tmp_path: Path, programs: tuple[str, ...], files: dict[str, str], writers: tuple[str, ...]
) -> None:
    for name, text in {**files, **{f"programs/{program}": "" for program in programs}}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    script = host_facts.SCRIPT.partition("section units\n")[0]
    for place, copy in (("/etc/cloud", "etc/cloud"), ("/var/lib/cloud/instance", "data"), (" /lib/res", "lib/res")):
        script = script.replace(place, f"{' ' * place.startswith(' ')}{tmp_path}/{copy}")
    path = f"{tmp_path}/programs:{os.environ['PATH']}"
    said = subprocess.run(["sh", "-c", script], env={"PATH": path}, capture_output=True, text=True, timeout=60)
    machine = host_facts.parse(said.stdout)
    assert machine.writers == writers
    refused = "".join(names_by_user_data(Candidate(LAB, RELEASE, LAB.support, machine)))
    assert ("user data of its cloud-init" in refused) == ("user-data" in writers)


@pytest.mark.parametrize(("tool", "files", "seen"), CLAIMS.values(), ids=CLAIMS.keys())
def test_a_file_that_takes_the_fabrics_interface_is_refused_whatever_it_goes_by(
    tmp_path: Path, tool: str, files: dict[str, str], seen: str
) -> None:
    found = tools.problems(CLUSTER, asked(tmp_path, tool, files))
    assert len(found) == bool(seen), found
    assert seen in "".join(found)


def link_file(match: str, link: str, name: str = "10-site.link") -> dict[str, str]:
    return {f"{NETWORKD}/{name}": f"[Match]\n{match}\n[Link]\n{link}\n"}


RENAMES: dict[str, tuple[dict[str, str], str]] = {
    "none": ({}, ""),
    "by its address": (link_file(f"MACAddress={MAC}", "Name=lan0"), "10-site.link renames eth1 at the next start"),
    "by its hardware's": (link_file(f"PermanentMACAddress={MAC}", "Name=lan0"), "by Name=lan0"),
    "another's": (link_file("MACAddress=52:54:00:00:00:00", "Name=lan0"), ""),
    "by its name": (link_file("OriginalName=eth*", "Name=lan0"), "by Name=lan0"),
    "by another name": (link_file("OriginalName=en*", "Name=lan0"), ""),
    "by what the machine does not tell, as of a card that is not there": (
        link_file("Path=pci-0000:02:*", "Name=lan0"),
        "",
    ),
    "to the name that it has": (link_file(f"MACAddress={MAC}", "Name=eth1"), ""),
    "by a policy": (link_file(f"MACAddress={MAC}", "NamePolicy=keep\nName=lan0"), ""),
    "in a drop-in": (
        {
            **link_file(f"MACAddress={MAC}", "MTUBytes=9000"),
            f"{NETWORKD}/10-site.link.d/name.conf": "[Link]\nName=lan0\n",
        },
        "by Name=lan0",
    ),
    "behind one that matches": (
        {**link_file("Type=ether", "MTUBytes=9000", "05-all.link"), **link_file(f"MACAddress={MAC}", "Name=lan0")},
        "",
    ),
    "what the system brings": (
        {"/usr/lib/systemd/network/99-default.link": "[Match]\nOriginalName=*\n[Link]\nNamePolicy=keep kernel path\n"},
        "",
    ),
}
"""Files of systemd-udevd's, and what is said against them."""


@pytest.mark.parametrize("tool", ["networkd", "ifupdown", "netplan", "networkmanager"])
@pytest.mark.parametrize(("files", "seen"), RENAMES.values(), ids=RENAMES.keys())
def test_an_interface_that_has_another_name_after_the_next_start_is_refused_whatever_configures_it(
    tmp_path: Path, tool: str, files: dict[str, str], seen: str
) -> None:
    found = tools.problems(CLUSTER, asked(tmp_path, tool, {**(planned("{}") if tool == "netplan" else {}), **files}))
    assert len(found) == bool(seen), found
    assert seen in "".join(found)


@pytest.mark.parametrize(
    ("tool", "states", "seen"),
    [
        ("networkmanager", "eth0:connected\neth1:unmanaged\n", "NetworkManager leaves eth1 unmanaged"),
        ("networkmanager", "eth0:unmanaged\neth1:disconnected\n", ""),
        ("networkd", "eth0:unmanaged\neth1:unmanaged\n", ""),
    ],
)
def test_an_interface_that_networkmanager_keeps_off_is_refused(
    tmp_path: Path, tool: str, states: str, seen: str
) -> None:
    program = f"#!/bin/sh\n[ \"$*\" = '-t -f DEVICE,STATE device' ] && printf '%s' '{states}'\n"
    found = tools.problems(CLUSTER, asked(tmp_path, tool, {"/programs/nmcli": program}))
    assert len(found) == bool(seen), found
    assert seen in "".join(found)


STANZA = {"/etc/network/interfaces": "iface eth1 inet dhcp\n"}
BESIDE: dict[str, tuple[str, dict[str, str], str, str]] = {
    "ifupdown beside networkd": ("networkd", STANZA, "networking active enabled", "/etc/network/interfaces configures"),
    "ifupdown beside netplan": (
        "netplan",
        {**planned("{}"), **STANZA},
        "networking active enabled",
        "/etc/network/interfaces configures",
    ),
    "ifupdown's files where it does not run": ("networkd", STANZA, "networking inactive disabled", ""),
    "a stanza that sets nothing": (
        "networkd",
        {"/etc/network/interfaces": "iface eth1 inet manual\n"},
        "networking active enabled",
        "",
    ),
    "networkd beside NetworkManager": (
        "networkmanager",
        networkd("Name=eth*", "99-z.network"),
        "systemd-networkd active enabled",
        "99-z.network configures eth1 already",
    ),
    "networkd's files where it does not run": ("networkmanager", networkd("Name=eth*"), "", ""),
}


@pytest.mark.parametrize(("tool", "files", "units", "seen"), BESIDE.values(), ids=BESIDE.keys())
def test_a_file_of_another_tool_that_runs_too_is_refused(
    tmp_path: Path, tool: str, files: dict[str, str], units: str, seen: str
) -> None:
    found = tools.problems(CLUSTER, asked(tmp_path, tool, files, units=units))
    assert len(found) == bool(seen), found
    assert seen in "".join(found)


ROUTE_OF_RA = "default via fe80::1 dev eth0 proto ra metric 1024 expires 1700sec"
LISTENS: dict[str, tuple[str, str, str]] = {
    "DHCP": ("iface eth0 inet6 dhcp", ROUTE_OF_RA, "`iface eth0 inet6 dhcp` has the kernel take no router"),
    "DHCP that was told": ("iface eth0 inet6 dhcp\n  accept_ra 2", ROUTE_OF_RA, ""),
    "DHCP without such a route": ("iface eth0 inet6 dhcp", "", ""),
    "advertisements": ("iface eth0 inet6 auto", ROUTE_OF_RA, ""),
    "advertisements, told otherwise": ("iface eth0 inet6 auto\n\taccept_ra 1", ROUTE_OF_RA, "write `accept_ra 2`"),
    "another stanza": ("iface eth2 inet6 dhcp\n accept_ra 1\niface eth0 inet dhcp", ROUTE_OF_RA, ""),
}


@pytest.mark.parametrize(("stanza", "routes", "seen"), LISTENS.values(), ids=LISTENS.keys())
def test_a_stanza_by_which_an_advertised_default_route_would_be_lost_is_refused(
    tmp_path: Path, stanza: str, routes: str, seen: str
) -> None:
    advertised = f"/proc/sys/net/ipv6/conf/eth0/accept_ra:1\n{routes}"
    found = tools.problems(
        CLUSTER, asked(tmp_path, "ifupdown", {"/etc/network/interfaces": f"{stanza}\n"}, advertised=advertised)
    )
    assert len(found) == bool(seen), found
    assert seen in "".join(found)


READ: dict[str, tuple[str, bool]] = {
    "the directory": ("source-directory /etc/network/interfaces.d", True),
    "the directory by another way": ("source-directory /etc/network/../network/interfaces.d/", True),
    "its files": ("source interfaces.d/*\r", True),
    "some of its files": ("source interfaces.d/*.cfg", False),
    "files of the directory above": ("source /etc/network/*", False),
    "directories of the one above": ("source /etc/*/interfaces.d/kubev6-*", True),
}


@pytest.mark.parametrize(("line", "read"), READ.values(), ids=READ.keys())
def test_our_stanzas_are_read_once_whatever_the_machines_own_file_reads(tmp_path: Path, line: str, read: bool) -> None:
    machine = asked(tmp_path, "ifupdown", {"/etc/network/interfaces": f"{line}\n"})
    cluster = CLUSTER.model_copy(update={"runtime": "docker", "release": "debian-1.20"})
    stage = plan_node(cluster, RELEASE, None, "kube-minion-1", machine).stage("network")
    assert stage is not None
    lines = [file.content for file in stage.files if file.path == "/etc/network/interfaces"]
    assert lines == ([] if read else ["source /etc/network/interfaces.d/kubev6-eth1\n"])


MADE = {
    "bond0": "4: bond0: <UP> mtu 1500 \\    link/ether 52:54:00:00:00:04 brd ff:ff promiscuity 0 \\    bond mode 4",
    "eth1.100": f"4: eth1.100@eth1: <UP> mtu 1500 \\    link/ether {MAC} brd ff:ff \\    vlan protocol 802.1Q",
    "lan": "4: lan: <UP> mtu 1500 \\    link/ether 52:54:00:00:00:04 brd ff:ff promiscuity 0 \\    bridge hello",
}
BOND = "[connection]\ntype=bond\ninterface-name=bond0\n"
SOFTWARE: dict[str, tuple[str, str, dict[str, str], str, str]] = {
    "a bond of network scripts": (
        "network-scripts",
        "bond0",
        {f"{SCRIPTS}/ifcfg-bond0": 'DEVICE=bond0\nTYPE=Bond\nBONDING_MASTER=yes\nBONDING_OPTS="mode=4 miimon=100"\n'},
        "",
        'TYPE=Bond\nBONDING_MASTER=yes\nBONDING_OPTS="mode=4 miimon=100"\nONBOOT=yes\n',
    ),
    "a VLAN of network scripts": (
        "network-scripts",
        "eth1.100",
        {f"{SCRIPTS}/ifcfg-eth1.100": "DEVICE=eth1.100\nVLAN=yes\nMTU=9000\n"},
        "",
        "VLAN=yes\nMTU=9000\nONBOOT=yes\n",
    ),
    "a bridge that no script makes": ("network-scripts", "lan", {}, "lan is a bridge, and no ifcfg-lan makes it", ""),
    "a bond of NetworkManager's": (
        "networkmanager",
        "bond0",
        {f"{PROFILES}/a.nmconnection": BOND},
        "bond0 is a bond, and kubev6 writes profiles of NetworkManager's for cards alone",
        "",
    ),
    "a VLAN of netplan's": (
        "netplan",
        "eth1.100",
        {f"{NETPLAN}/1.yaml": "network:\n  vlans:\n    eth1.100: {id: 100, link: eth1}\n"},
        "",
        "  vlans:\n    eth1.100:  # the cluster's fabric\n",
    ),
    "a bond of netplan's that asks for nothing": (
        "netplan",
        "bond0",
        {f"{NETPLAN}/1.yaml": "network: {bonds: {bond0: {interfaces: [eth0], dhcp4: no, dhcp6: false}}}\n"},
        "",
        "  bonds:\n    bond0:  # the cluster's fabric\n",
    ),
    "a bond of netplan's that has an address": (
        "netplan",
        "bond0",
        {f"{NETPLAN}/1.yaml": "network: {bonds: {bond0: {interfaces: [eth0], dhcp4: true}}}\n"},
        "1.yaml makes bond0 and configures it too: leave in it what makes the bond",
        "",
    ),
    "a bond that netplan does not make": (
        "netplan",
        "bond0",
        {f"{NETPLAN}/1.yaml": "network: {ethernets: {eth0: {}}}\n"},
        "bond0 is a bond, and no file of netplan's makes it",
        "",
    ),
    "a bond of ifupdown's": (
        "ifupdown",
        "bond0",
        {"/etc/network/interfaces": "iface bond0 inet manual\n bond-slaves eth0\n"},
        "",
        "iface bond0 inet6 static\n",
    ),
    "a bond that ifupdown does not make": ("ifupdown", "bond0", {}, "no stanza makes it: write one, `iface bond0", ""),
    "a VLAN of networkd's": ("networkd", "eth1.100", {}, "", "Name=eth1.100\n"),
}


@pytest.mark.parametrize(("tool", "name", "files", "seen", "written"), SOFTWARE.values(), ids=SOFTWARE.keys())
def test_a_fabric_that_software_makes_stays_made_or_is_refused(
    tmp_path: Path, tool: str, name: str, files: dict[str, str], seen: str, written: str
) -> None:
    cluster = CLUSTER.model_copy(update={"fabric": CLUSTER.fabric.model_copy(update={"interface": name})})
    machine = asked(tmp_path, tool, files, f"{LINKS}{MADE[name]}\n")
    found = tools.problems(cluster, machine)
    assert seen in "".join(found)
    assert len(found) == bool(seen), found
    if not seen:
        cluster = cluster.model_copy(update={"runtime": "docker", "release": "debian-1.20"})
        stage = plan_node(cluster, RELEASE, None, "kube-minion-1", machine).stage("network")
        assert stage is not None
        assert any(written in file.content for file in stage.files)
        assert not any("TYPE=Ethernet" in file.content for file in stage.files)
        # What is kept is found again in our own file, so the next run plans the same.
        ours = {file.path: file.content for file in stage.files if file.path.startswith(SCRIPTS)}
        again = asked(tmp_path, tool, {**files, **ours}, f"{LINKS}{MADE[name]}\n")
        assert again.interface(name) == machine.interface(name)


@pytest.mark.parametrize("kind", ["bond", "bridge", "team", "openvswitch"])
def test_a_port_is_refused_and_what_it_is_a_port_of_is_named(kind: str) -> None:
    port = LINKS.replace("qdisc mq \\    link/ether 52:54:00:00:00:01", "master up0 \\    link/ether 52:54:00:00:00:01")
    port = port.replace("\\    altname enp0s3", f"\\    {kind}_slave state ACTIVE \\    altname enp0s3")
    machine = host_facts.parse(f"=== release\nID=debian\nVERSION_ID=12\n=== interfaces\n{port}")
    assert tools.problems(CLUSTER, machine) == (
        "eth1 is a port of up0: name up0 as fabric.interface in the cluster file",
    )


def test_what_hangs_on_an_interface_of_networkds_stays_there_and_so_does_the_size_of_its_packets(
    tmp_path: Path,
) -> None:
    link = "[Link]\nMTUBytes=9000\nMACAddress=52:54:00:00:00:aa\n[BridgeVLAN]\nVLAN=1-99\nPVID=7\n"
    site = f"[Match]\nName=eth1\n{link}[Network]\nDHCP=no\nVLAN=lan100\nVLAN=lan200\n"
    machine = asked(tmp_path, "networkd", {f"{NETWORKD}/50-eth1.network": site})
    cluster = CLUSTER.model_copy(update={"runtime": "docker", "release": "debian-1.20"})
    stage = plan_node(cluster, RELEASE, None, "kube-minion-1", machine).stage("network")
    assert stage is not None
    text = next(file.content for file in stage.files if file.path.endswith("10-kubev6-eth1.network"))
    assert text.endswith(f"[Network]\nVLAN=lan100\nVLAN=lan200\n{link}")
    again = asked(tmp_path, "networkd", {f"{NETWORKD}/10-kubev6-eth1.network": text})
    assert again.interface("eth1") == machine.interface("eth1")


def test_passwords_in_netplans_files_stay_on_the_machine_and_what_else_is_there_is_told(tmp_path: Path) -> None:
    text = (
        "network:\n  wifis:\n    wlan0:\n      dhcp6: yes\n      access-points:\n"
        '        "home": {password: "hidden, away", hidden: true}\n        work:\n          auth:\n'
        "            password: hidden\n            client-key-password: 'hidden'\n  tunnels:\n"
        "    wg0: {mode: wireguard, keys: {private: hidden=}}\n  bonds: {bond0: {interfaces: [eth0], dhcp4: true}}\n"
    )
    machine = asked(tmp_path, "netplan", {f"{NETPLAN}/1.yaml": text})
    assert machine.definitions == (
        Definition("wlan0", "wifis", dhcp6=True),
        Definition("wg0", "tunnels"),
        Definition("bond0", "bonds", dhcp4=True),
    )
    script = host_facts.SCRIPT.partition("section networkd\n")[0]
    script = script.replace("/etc/netplan", f"{tmp_path}/etc/netplan")
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60).stdout
    assert "access-points" in said
    assert "hidden:" in said
    assert not re.search(r"hidden(?!:)", said)


def test_netplans_overrides_stand_under_the_type_of_the_sites_file_and_agree_for_both_families() -> None:
    definitions = (
        Definition("bond0", "bonds", dhcp4=True),
        Definition("eth0", dhcp4=True, dhcp6=True),
        Definition("eth2", dhcp6=True),
        Definition("eth3"),
    )
    machine = replace(Machine("ubuntu", "22.04"), definitions=definitions)
    cluster = CLUSTER.model_copy(update={"runtime": "docker", "release": "debian-1.20"})
    stage = plan_node(cluster, RELEASE, None, "kube-minion-1", machine).stage("network")
    assert stage is not None
    network = yaml.safe_load(next(file.content for file in stage.files if file.path == netplan.PATH))["network"]
    overrides = {"use-routes": False, "use-dns": False}
    assert network["bonds"] == {"bond0": {"dhcp4-overrides": overrides}}
    assert network["ethernets"]["eth0"] == {"dhcp4-overrides": overrides, "dhcp6-overrides": overrides}
    assert network["ethernets"]["eth2"] == {"dhcp6-overrides": overrides}
    assert "eth3" not in network["ethernets"]


def test_an_interface_is_told_with_all_that_files_may_match() -> None:
    eth0, eth1 = links_of(LINKS, DRIVERS)
    assert (eth1.names, eth1.mac, eth1.driver, eth1.type, eth1.kind) == (
        ("eth1", "enp0s3"),
        "525400000001",
        "mlx5_core",
        "ether",
        "",
    )
    assert (eth0.mtu, eth1.mtu) == (1500, 9000)
    assert eth0.permanent_mac == "525400000000"
    old = "3: eth1.100: <UP> mtu 1500 qdisc noqueue state UP\n4: bond0: <UP> mtu 1500\n5: eth2: <UP> mtu 1500"
    assert [(link.name, link.kind) for link in links_of(old)] == [
        ("eth1.100", "vlan"),
        ("bond0", "bond"),
        ("eth2", None),
    ]


@pytest.mark.parametrize(
    ("line", "off"),
    [
        ('GRUB_CMDLINE_LINUX="quiet ipv6.disable=1"', "ipv6.disable=1"),
        ('GRUB_CMDLINE_LINUX="sysctl.net.ipv6.conf.all.disable_ipv6=1"', "sysctl.net.ipv6.conf.all.disable_ipv6=1"),
        (
            "GRUB_CMDLINE_LINUX=sysctl.net/ipv6/conf/default/disable_ipv6=1",
            "sysctl.net/ipv6/conf/default/disable_ipv6=1",
        ),
        ("#GRUB_CMDLINE_LINUX=ipv6.disable=1", ""),
        ("GRUB_CMDLINE_LINUX=sysctl.net.ipv6.conf.eth9.disable_ipv6=1", ""),
    ],
)
def test_a_start_without_ipv6_is_known_by_the_boot_loaders_file(tmp_path: Path, line: str, off: str) -> None:
    machine = asked(tmp_path, "networkd", {"/etc/default/grub": f"GRUB_TIMEOUT=1\n{line}\n"})
    told = [each for each in machine.kernel.ipv6_off if each.startswith("/etc/default/grub:2:")]
    assert len(told) == bool(off)
    assert off in "".join(told)
