"""What packet filters of machines drop of what a node needs, from what their tools print."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from configs.plan.systems import Machine
from configs.schema.loading import load_cluster, load_release
from tasks.node.compatibility import Candidate, problems
from tasks.node.packet_filters import packet_filters
from tests.unit.test_network_files import asked

CLUSTER = load_cluster("bare-metal").model_copy(update={"uplink": None})
SUPPORT, CONTROL_PLANE, WORKER = (node.name for node in CLUSTER.nodes[:3])
RELEASE = load_release("debian-1.20")
MACHINE = Machine(interfaces=("lo", "eth0", "eth1"))


def dropped(node: str, *, firewalld: bool = False, **said: str) -> str:
    """What preflight says of the filters of a machine; names of sections with underscores for dashes."""
    filters = packet_filters({name.replace("_", "-"): text for name, text in said.items()}, firewalld=firewalld)
    machine = replace(MACHINE, filters=filters)
    return "; ".join(problems(Candidate(CLUSTER, RELEASE, CLUSTER.node(node), machine)))


def ip6tables(*rules: str, policy: str = "DROP") -> str:
    chains = "".join(f":{chain} {policy} [0:0]\n" for chain in ("INPUT", "FORWARD")) + ":OUTPUT ACCEPT [0:0]\n"
    return f"*filter\n{chains}" + "".join(f"-A {rule}\n" for rule in rules) + "COMMIT\n"


USUAL = (
    "INPUT -i lo -j ACCEPT",
    "INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "INPUT -p ipv6-icmp -j ACCEPT",
)
OPEN = ("INPUT -i eth1 -j ACCEPT", "FORWARD -i eth1 -j ACCEPT", "FORWARD -i cbr0 -j ACCEPT")
FORWARDS = "everything in by eth1 out by cbr0, everything in by cbr0 out by eth1"


@pytest.mark.parametrize(
    ("rules", "policy", "seen"),
    [
        ((), "ACCEPT", ""),
        (
            (),
            "DROP",
            f"ip6tables, drops icmpv6 in by eth1, tcp 10250 in by eth1, {FORWARDS}: let everything of eth1 and cbr0",
        ),
        (USUAL, "DROP", f"drops tcp 10250 in by eth1, {FORWARDS}"),
        ((*USUAL, *OPEN), "DROP", ""),
        ((*USUAL, *OPEN[1:], "INPUT -p tcp -m tcp --dport 22 -j ACCEPT"), "DROP", "drops tcp 10250 in by eth1:"),
        ((*USUAL, *OPEN[1:], "INPUT -p tcp -m multiport --dports 22,10000:10300 -j ACCEPT"), "DROP", ""),
        ((*USUAL, *OPEN[1:], "INPUT ! -i eth0 -j ACCEPT"), "DROP", ""),
        ((*USUAL, *OPEN[1:], "INPUT -s fd00::/8 -j ACCEPT"), "DROP", ""),
        ((*USUAL, *OPEN[1:], "INPUT -s 2001:db8::/32 -j ACCEPT"), "DROP", "drops tcp 10250 in by eth1:"),
        ((*USUAL, *OPEN[1:], "INPUT -m set --match-set nodes src -j ACCEPT"), "DROP", ""),
        ((*USUAL, *OPEN[1:], "INPUT -j SITE", "SITE -i eth1 -p tcp -j ACCEPT"), "DROP", ""),
        (("INPUT -m comment --comment 'the rest' -j REJECT --reject-with icmp6-adm-prohibited",), "ACCEPT", "10250"),
        (("INPUT -i eth0 -j DROP", "INPUT -m mark --mark 0x8000/0x8000 -j DROP"), "ACCEPT", ""),
        (("INPUT -i eth+ -p tcp -j DROP",), "ACCEPT", "drops tcp 10250 in by eth1:"),
        (("OUTPUT -o eth1 -p udp --dport 53 -j DROP",), "ACCEPT", "drops udp 53 out by eth1:"),
        (('INPUT -m comment --comment "its end is lost -i eth1 -j DROP',), "DROP", "drops icmpv6 in by eth1"),
    ],
)
def test_rules_of_ip6tables(rules: tuple[str, ...], policy: str, seen: str) -> None:
    found = dropped(WORKER, ip6tables=ip6tables(*rules, policy=policy))
    assert (seen in found) if seen else found == ""


@pytest.mark.parametrize(
    ("node", "seen"),
    [
        (SUPPORT, "tcp 5000 in by eth1, udp 53 in by eth1, tcp 53 in by eth1, everything in by eth1 out by nat64"),
        (CONTROL_PLANE, "tcp 6443 in by eth1, tcp 10250 in by eth1"),
    ],
)
def test_each_role_needs_its_own(node: str, seen: str) -> None:
    assert seen in dropped(node, ip6tables=ip6tables())


def test_what_docker_does_to_ipv4_keeps_translated_packets_on_the_support_node() -> None:
    rules = ip6tables("FORWARD -o docker0 -j ACCEPT", policy="DROP")
    assert "iptables, drops everything in by nat64" in dropped(SUPPORT, iptables_rules=rules)
    assert dropped(SUPPORT, iptables_rules=ip6tables("FORWARD -i nat64 -j ACCEPT")) == ""
    assert dropped(WORKER, iptables_rules=rules) == ""


def test_firewalld_has_a_zone_of_ours_and_its_rules_are_its_own() -> None:
    assert dropped(WORKER, firewalld=True, ip6tables=ip6tables(), nft=NFT.replace("inet site", "inet firewalld")) == ""


NFT = """table inet site {
	set nodes {
		type ipv6_addr
	}

	chain input {
		type filter hook input priority filter; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		iifname "lo" accept
		meta l4proto ipv6-icmp counter packets 3 bytes 200 accept
		ip saddr 10.0.0.0/8 accept
		tcp dport { 22, 80 } counter packets 0 bytes 0 log prefix "ssh " accept
		MORE
		counter packets 0 bytes 0 reject with icmpx admin-prohibited
	}

	chain site {
		iifname { "eth1", "cbr0" } accept
	}
}
"""


@pytest.mark.parametrize(
    ("more", "seen"),
    [
        ("", "nft table inet site, drops tcp 10250 in by eth1:"),
        ("tcp dport 10000-10300 ip6 saddr @nodes accept", ""),
        ('iifname "eth*" tcp dport { 6443, 10250 } accept', ""),
        ("tcp dport { 22, 80,\n\t\t\t     443, 10250 } accept", ""),
        ('iifname "eth0" accept', "drops tcp 10250 in by eth1:"),
        ('iifname != "eth0" accept', ""),
        ("jump site", ""),
        ('udp dport 10250 accept comment "no"', "drops tcp 10250 in by eth1:"),
        ("meta mark 0x1 accept", ""),
        ("ip6 saddr fd00::/8 accept", ""),
        ("ip daddr 10.0.0.1 accept", "drops tcp 10250 in by eth1:"),
        ("ip saddr @nodes accept", "drops tcp 10250 in by eth1:"),
        ("iifname @lan accept", ""),
        ('iifname vmap { "lo" : accept, "eth0" : drop, "eth1" : jump site }', ""),
        ('iifname vmap { "lo" : accept, "eth1" : drop }', "drops tcp 10250 in by eth1:"),
        ("tcp dport vmap { 22 : accept, 10000-10300 : accept }", ""),
        ("tcp dport vmap { 22 : accept, 80 : jump site }", "drops tcp 10250 in by eth1:"),
        ("meta l4proto vmap { udp : drop, tcp : accept }", ""),
        ("ct state vmap { new : jump site, invalid : drop }", ""),
        ("iifname vmap @ways", ""),
        ('iifname . tcp dport vmap { "eth0" . 22 : drop, "eth1" . 10250 : accept }', ""),
        ('iifname . tcp dport { "eth1" . 10250 } accept', ""),
    ],
)
def test_rules_of_nft(more: str, seen: str) -> None:
    found = dropped(WORKER, nft=NFT.replace("MORE", more))
    assert (seen in found) if seen else found == ""


EARLY = "table FAMILY site {\n\tchain early {\n\t\ttype filter hook HOOK; policy drop;\n\t\tRULE\n\t}\n}\n"


@pytest.mark.parametrize(
    ("family", "hook", "rule", "seen"),
    [
        ("inet", "prerouting priority raw", "", "drops icmpv6 in by eth1, tcp 10250 in by eth1, everything in by eth1"),
        ("inet", "prerouting priority raw", 'iifname { "eth1", "cbr0" } accept', ""),
        ("ip6", "postrouting priority filter", "", "drops tcp 6443 out by eth1, tcp 5000 out by eth1, udp 53 out by"),
        ("netdev", 'ingress device "eth1" priority filter', "", "drops icmpv6 in by eth1, tcp 10250 in by eth1"),
        ("inet", "ingress devices = { eth0, eth1 } priority filter", "", "drops icmpv6 in by eth1"),
        ("netdev", 'ingress device "eth0" priority filter', "", ""),
        ("netdev", 'ingress device "eth1" priority filter', "accept", ""),
    ],
)
def test_chains_of_nft_that_a_packet_passes_before_and_after(family: str, hook: str, rule: str, seen: str) -> None:
    table = EARLY.replace("FAMILY", family).replace("HOOK", hook).replace("RULE", rule)
    found = dropped(WORKER, nft=table)
    assert (seen in found) if seen else found == ""


def test_tables_that_iptables_told_of_are_not_told_twice() -> None:
    nft = "table ip6 filter {\n\tchain INPUT {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n"
    assert dropped(WORKER, nft=nft).count("its packet filter") == 1
    by_nft = "# Generated by ip6tables-save v1.8.9 (nf_tables) on Sat Nov 28 03:00:00 2026\n"
    assert dropped(WORKER, nft=nft, ip6tables=by_nft + ip6tables()).count("its packet filter") == 1
    assert dropped(WORKER, nft=nft, ip6tables=ip6tables(policy="ACCEPT")).count("its packet filter") == 1


def test_of_two_tables_both_have_to_let_a_packet_through() -> None:
    closed, open_ = ip6tables(), ip6tables(*USUAL, *OPEN, policy="ACCEPT")
    for both in (closed + open_, open_ + closed):
        assert "drops icmpv6 in by eth1, tcp 10250 in by eth1" in dropped(WORKER, ip6tables=both)
    assert dropped(WORKER, ip6tables=open_ + open_) == ""


@pytest.mark.parametrize(
    ("ufw", "seen"),
    [
        ("ENABLED=no\n", ""),
        ('ENABLED="yes"\n', "its packet filter, ufw, drops tcp 10250 in by eth1"),
        ("ENABLED=yes\n-A ufw6-user-input -m comment --comment 'it -j DROP\n", "ufw, drops tcp 10250 in by eth1"),
        (
            "IPV6=no\nENABLED=yes\n-A ufw6-user-input -i eth1 -j ACCEPT\n",
            "ufw with IPV6=no, drops icmpv6 in by eth1, tcp 10250 in by eth1, tcp 6443 out by eth1, tcp 5000 out by "
            f"eth1, udp 53 out by eth1, {FORWARDS}: write IPV6=yes into /etc/default/ufw, then `ufw allow in on eth1`",
        ),
        ("ENABLED=yes\n", f"its packet filter, ufw, drops tcp 10250 in by eth1, {FORWARDS}: `ufw allow in on eth1`"),
        ('ENABLED=yes\nDEFAULT_INPUT_POLICY="ACCEPT"\nDEFAULT_FORWARD_POLICY="ACCEPT"\n', ""),
        (
            "ENABLED=yes\n-A ufw6-user-input -i eth1 -j ACCEPT\n-A ufw6-user-forward -i eth1 -j ACCEPT\n"
            "-A ufw6-user-forward -i cbr0 -j ACCEPT\n",
            "",
        ),
    ],
)
def test_ufw_is_known_by_its_files_before_it_has_started(ufw: str, seen: str) -> None:
    found = dropped(WORKER, ufw=ufw)
    assert (seen in found) if seen else found == ""


@pytest.mark.parametrize(
    ("firewalld", "file", "seen"),
    [
        (True, {}, ""),
        (True, {"trusted": '<zone>\n  <interface name="eth1"/>\n</zone>'}, "zones/trusted.xml has eth1 in it"),
        (
            True,
            {"trusted": "<zone><interface name='cbr0'></interface></zone>"},
            "--zone=trusted --remove-interface=cbr0",
        ),
        (True, {"public": '<zone><interface name="eth0"/><interface\tname="eth1" /></zone>'}, "public.xml has eth1"),
        (True, {"public": '<zone><interface name="eth10"/></zone>'}, ""),
        (True, {"kubev6": '<zone><interface name="eth1"/></zone>'}, ""),
        (False, {"trusted": '<zone><interface name="eth1"/></zone>'}, ""),
    ],
)
def test_a_zone_of_firewallds_that_has_the_fabric_already_is_refused(
    tmp_path: Path, firewalld: bool, file: dict[str, str], seen: str
) -> None:
    files = {f"/etc/firewalld/zones/{name}.xml": text for name, text in file.items()}
    machine = asked(tmp_path, "networkd", files, units="firewalld active enabled" if firewalld else "")
    candidate = Candidate(
        CLUSTER, RELEASE, CLUSTER.node(WORKER), replace(MACHINE, firewalld=machine.firewalld, zones=machine.zones)
    )
    found = "; ".join(problems(candidate))
    assert (seen in found) if seen else found == ""
