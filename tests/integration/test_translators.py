"""NAT64 and DNS64 for real: every server through the engine on a machine of a lab, and those that are only checked."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network
from typing import Any

import pytest

from configs.errors import NodeError
from configs.plan.jool import Jool
from configs.plan.node import plan_node
from configs.plan.state import StageState
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster, Node
from configs.schema.loading import load_cluster, load_release
from tasks.lab import lab
from tasks.node import existing_servers, host_facts
from tasks.node.compatibility import Candidate
from tasks.node.engine import bring_to, plan_changes
from tasks.node.survey import check
from tasks.ssh.connection import Connection, connect
from tasks.ssh.program import program

NAME = "kubev6-translators-test"
RELEASE = load_release("debian-1.20")
LAB = load_cluster("lab")
SMALL = LAB.model_copy(update={"name": NAME, "nodes": LAB.nodes[:2], "workers": 0})
SUPPORT, OTHER = "kube-support", "kube-control-plane"
PREFIX = "fd00:64:ff9b::/96"

NAME_SERVER = """
import socket, struct
RECORDS = {
    ("ipv4-only.test", 1): socket.inet_aton("198.51.100.1"),
    ("both.test", 1): socket.inet_aton("198.51.100.2"),
    ("both.test", 28): socket.inet_pton(socket.AF_INET6, "2001:db8::2"),
}
SOA = bytes(2) + struct.pack("!5I", 1, 60, 60, 60, 60)


def record(kind, data, owner=b"\\xc0\\x0c"):
    return owner + struct.pack("!2HIH", kind, 1, 60, len(data)) + data


def signature(kind, labels):
    times = struct.pack("!HBBIIIH", kind, 13, labels, 60, 0x7FFFFFFF, 0x5F000000, 1)
    return times + b"\\4test\\0" + b"\\x11" * 64


server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.bind(("fd00::100", 53))
while True:
    query, asker = server.recvfrom(4096)
    place, labels = 12, []
    while query[place]:
        labels.append(query[place + 1 : place + 1 + query[place]].decode().lower())
        place += 1 + query[place]
    question = query[12 : place + 5]
    name, (kind, _) = ".".join(labels), struct.unpack("!2H", question[-4:])
    data = RECORDS.get((name, kind))
    known = any(name == each for each, _ in RECORDS)
    option = query[place + 5 :]  # RFC 6891, 6.1.2: the root's name, OPT, size, and flags of which DO is the highest
    asked_for_signatures = len(option) >= 11 and bool(option[7] & 0x80)
    answers, authority = [], []
    if data:
        answers = [record(kind, data)] + [record(46, signature(kind, 2))] * asked_for_signatures
    else:
        zone = b"\\4test\\0"
        authority = [record(6, SOA, zone)] + [record(46, signature(6, 1), zone)] * asked_for_signatures
    extra = b"\\0" + struct.pack("!2H4BH", 41, 1232, 0, 0, option[7], 0, 0) if option else b""
    counts = (1, len(answers), len(authority), bool(option))
    head = query[:2] + struct.pack("!5H", 0x8580 if known else 0x8583, *counts)
    server.sendto(head + question + b"".join(answers + authority) + extra, asker)
"""
"""A name server that knows two names of a signed zone: one with an IPv4 address only, one with both."""


def variant(**fields: dict[str, Any]) -> Cluster:
    """The small lab with some of ``nat64`` and ``dns64`` set otherwise, as if its file said so."""
    changed = {name: getattr(SMALL, name).model_copy(update=values) for name, values in fields.items()}
    return SMALL.model_copy(update=changed)


def stage(topology: Cluster, name: str, of: str, machine: Machine) -> StageState:
    found = plan_node(topology, RELEASE, None, name, machine).stage(of)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Connection]]:
    """Two machines on one fabric; the first has NAT64 and DNS64 by the means that are the default."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEV6_DATA", str(tmp_path_factory.mktemp("data")))
        try:
            lab.up(SMALL)
            endpoints = lab.endpoints(NAME)
            with connect(endpoints[SUPPORT]) as support, connect(endpoints[OTHER]) as other:
                seen = host_facts.ask(support)
                bring_to(support, stage(SMALL, SUPPORT, "network", seen))
                bring_to(support, stage(SMALL, SUPPORT, "support", seen))
                yield {SUPPORT: support, OTHER: other}
        finally:
            lab.down(NAME)


def said(machine: Connection, command: str) -> str:
    return machine.run(command, step="test").stdout.strip()


def ask(machine: Connection, **question: object) -> tuple[str, list[str]]:
    ((error, values),) = machine.run_python(
        program("existing_servers"), {"questions": [question]}, step="test", timeout=60
    )
    return error, values


# --- existing servers: the second machine is the support node of a cluster that finds them on the first ----------


def found_there(**fields: dict[str, Any]) -> Cluster:
    nodes = (
        Node.model_validate({"name": OTHER, "roles": ["support"], "address": "fd00::100"}),
        Node.model_validate({"name": "later", "roles": ["control-plane"], "address": "fd00::200"}),
    )
    existing = {"by": "existing", "address": SMALL.support.address}
    merged = {name: {**existing, **fields.get(name, {})} for name in ("nat64", "dns64")}
    return variant(**merged).model_copy(update={"nodes": nodes})


def test_existing_servers_that_work_are_found_to(machines: dict[str, Connection]) -> None:
    other, topology = machines[OTHER], found_there()
    bring_to(other, stage(topology, OTHER, "network", host_facts.ask(other)))
    assert existing_servers.check(other, topology) == ("DNS64 fd00::64 answers", "NAT64 fd00::64 passes connections")


def test_each_of_them_is_checked_without_the_other(machines: dict[str, Connection]) -> None:
    topology = found_there()
    before = said(machines[SUPPORT], "systemctl show -p InvocationID --value named kubev6-nat64")
    for ours, left in (("nat64", "DNS64"), ("dns64", "NAT64")):
        alone = topology.model_copy(update={ours: getattr(SMALL, ours)})
        assert [each.split()[0] for each in existing_servers.check(machines[OTHER], alone)] == [left]
    assert said(machines[SUPPORT], "systemctl show -p InvocationID --value named kubev6-nat64") == before


def test_without_any_there_is_nothing_to_check(machines: dict[str, Connection]) -> None:
    assert existing_servers.check(machines[OTHER], SMALL) == ()


def test_a_translator_on_the_support_node_itself_is_left_to_the_proof(machines: dict[str, Connection]) -> None:
    topology = found_there(nat64={"address": found_there().support.address}, dns64=SMALL.dns64.model_dump())
    (found,) = existing_servers.check(machines[OTHER], topology)
    assert found.startswith("NAT64 is on this machine")


def test_a_dns64_that_is_not_there_is_refused_in_one_line(machines: dict[str, Connection]) -> None:
    with pytest.raises(NodeError, match=r"existing servers: DNS64 fd00::53 gives no answer for ipv4-only") as raised:
        existing_servers.check(machines[OTHER], found_there(dns64={"address": "fd00::53"}))
    assert "\n" not in str(raised.value)
    assert not raised.value.transient


def test_a_dns64_with_another_prefix_is_refused(machines: dict[str, Connection]) -> None:
    topology = found_there(nat64={"prefix": IPv6Network("2001:db8:64::/96")})
    with pytest.raises(NodeError, match=r"fd00:64:ff9b::[0-9a-f:]+, and not an address in 2001:db8:64::/96"):
        existing_servers.check(machines[OTHER], topology)


def test_a_nat64_that_passes_nothing_is_refused(machines: dict[str, Connection]) -> None:
    support = machines[SUPPORT]
    said(support, "systemctl stop kubev6-nat64")
    try:
        with pytest.raises(NodeError, match=r"NAT64 fd00::64 passes no connection to \[fd00:64:ff9b::.*\]:80"):
            existing_servers.check(machines[OTHER], found_there())
    finally:
        said(support, "systemctl start kubev6-nat64")


# --- ours ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def name_server(machines: dict[str, Connection]) -> Iterator[str]:
    """The resolver that DNS64 forwards to, on the second machine."""
    other, topology = machines[OTHER], found_there()
    bring_to(other, stage(topology, OTHER, "network", host_facts.ask(other)))
    other.run(["sh", "-c", "cat > /root/name-server.py"], step="test", stdin=NAME_SERVER.encode())
    said(
        other,
        "systemd-run -q --unit name-server python3 /root/name-server.py; "
        "until ss -Hlun 'sport = :53' | grep -q .; do sleep 0.05; done",
    )
    yield "fd00::100"
    said(other, "systemctl stop name-server")


UNITS = {"bind": "named.service", "unbound": "unbound.service"}
CHECKS = {"bind": "named-checkconf", "unbound": "unbound-checkconf"}


@pytest.mark.parametrize("prefix", [PREFIX, "2001:db8:64::/64"])
@pytest.mark.parametrize(
    ("by", "exclude_any"), [("bind", True), ("bind", False), ("unbound", True), ("unbound", False)]
)
def test_dns64_synthesises_and_hides_real_addresses_when_told_to(
    machines: dict[str, Connection], name_server: str, by: str, exclude_any: bool, prefix: str
) -> None:
    support = machines[SUPPORT]
    topology = variant(
        nat64={"prefix": IPv6Network(prefix)},
        dns64={"by": by, "exclude_any": exclude_any, "forwarders": (name_server,)},
    )
    wanted = stage(topology, SUPPORT, "support", host_facts.ask(support))
    bring_to(support, wanted)
    assert bring_to(support, wanted) == ()
    assert plan_changes(support, (wanted,)) == {"support": ()}
    said(support, CHECKS[by])
    other = next(unit for name, unit in UNITS.items() if name != by)
    assert said(support, f"systemctl is-active {UNITS[by]}; systemctl is-active {other} || :") in (
        "active\ninactive",
        "active\nunknown",
    )
    synthesised = {
        PREFIX: ("fd00:64:ff9b::c633:6401", "fd00:64:ff9b::c633:6402"),
        "2001:db8:64::/64": ("2001:db8:64:0:c6:3364:100:0", "2001:db8:64:0:c6:3364:200:0"),
    }[prefix]
    for server in ("::1", "fd00::64"):
        assert ask(support, kind="aaaa", server=server, name="ipv4-only.test") == ("", [synthesised[0]])
        both = [synthesised[1] if exclude_any else "2001:db8::2"]
        assert ask(support, kind="aaaa", server=server, name="both.test") == ("", both)
        assert ask(support, kind="aaaa", server=server, name="none.test") == ("NXDOMAIN", [])
        # The same for who asks for signatures too, whatever they are worth.
        for name, values in (("ipv4-only.test", [synthesised[0]]), ("both.test", both)):
            assert ask(support, kind="aaaa", server=server, name=name, dnssec=True) == ("", values), (by, name)
    # Nobody but the cluster may ask.
    stranger = "2001:db8:5::2"
    said(support, f"ip -6 route replace {stranger}/128 dev eth1")
    asker = machines[OTHER]
    assert ask(asker, kind="aaaa", server="fd00::64", name="both.test") == ("", both)
    said(
        asker,
        f"ip -6 address replace {stranger}/128 dev eth1 nodad; ip -6 route add fd00::64/128 dev eth1 src {stranger}",
    )
    try:
        assert ask(asker, kind="aaaa", server="fd00::64", name="both.test") == ("REFUSED", [])
    finally:
        said(asker, f"ip -6 route del fd00::64/128 dev eth1; ip -6 address del {stranger}/128 dev eth1")


def test_an_existing_dns64_that_synthesises_only_for_who_wants_no_signatures_is_warned_of(
    machines: dict[str, Connection], name_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    support, other = machines[SUPPORT], machines[OTHER]
    wanted = stage(variant(dns64={"forwarders": (name_server,)}), SUPPORT, "support", host_facts.ask(support))
    found = found_there(nat64=SMALL.nat64.model_dump())
    found = found.model_copy(update={"verify": found.verify.model_copy(update={"outside": "http://ipv4-only.test/"})})
    bring_to(support, wanted)
    assert existing_servers.check(other, found) == ("DNS64 fd00::64 answers",)
    assert not caplog.records
    said(support, "sed -i /break-dnssec/d /etc/bind/named.conf.options; systemctl restart named")
    assert existing_servers.check(other, found) == ("DNS64 fd00::64 answers",)
    (record,) = caplog.records
    assert "gives ipv4-only.test no address in fd00:64:ff9b::/96 when it is asked for signatures" in record.message
    bring_to(support, wanted)


def test_a_server_gives_way_to_the_one_that_is_wanted_instead(machines: dict[str, Connection]) -> None:
    support = machines[SUPPORT]
    state = "for unit in named unbound; do systemctl is-enabled $unit; systemctl is-active $unit; done 2>/dev/null || :"
    for by, wanted in (("unbound", "disabled inactive enabled active"), ("bind", "enabled active disabled inactive")):
        bring_to(support, stage(variant(dns64={"by": by}), SUPPORT, "support", host_facts.ask(support)))
        assert said(support, state).split() == wanted.split()
        # It has the port, and not only a unit that runs.
        error, (found,) = ask(support, kind="aaaa", server="fd00::64", name="ipv4-only.kubev6.test")
        assert (error, IPv6Address(found) in SMALL.nat64.prefix) == ("", True)
    assert said(support, "ls /etc/unbound/unbound.conf.d/kubev6.conf 2>/dev/null || echo gone") == "gone"


@pytest.fixture(scope="module")
def jool_tool(machines: dict[str, Connection]) -> Connection:
    """The first machine with Jool's command, whose module this kernel does not have."""
    support = machines[SUPPORT]
    said(support, "apt-get update -qq && apt-get install -qq -y --no-install-recommends jool-tools")
    return support


def test_jool_takes_our_commands_and_misses_only_its_module(jool_tool: Connection) -> None:
    seen = host_facts.ask(jool_tool)
    assert seen.jool.tool == "/usr/bin/jool"
    assert seen.jool.version.startswith("4.")
    (unit,) = (
        file
        for file in stage(variant(nat64={"by": "jool"}), SUPPORT, "support", seen).files
        if file.path.endswith("nat64.service")
    )
    commands = [line.partition("=")[2] for line in unit.content.splitlines() if "/usr/bin/jool " in line]
    assert len(commands) == 3
    for command in commands:
        done = jool_tool.run(command.removeprefix("-"), step="test", check=False)
        assert done.status != 0
        assert "socket family doesn't seem to exist" in done.stderr, done
    # One that it does not understand it refuses for another reason.
    wrong = jool_tool.run("jool --pool6 --flush; jool instance add kubev6 --pools 1", step="test", check=False)
    assert "socket family" not in wrong.stderr


@pytest.mark.parametrize("version", ["4.1.9.0", "3.5.7.0"])
def test_systemd_understands_the_units_of_both_command_lines(jool_tool: Connection, version: str) -> None:
    # Under another path than that of packages, a tool counts as built there, of whatever version it says.
    tool = "/usr/local/bin/jool"
    said(jool_tool, f"ln -sf /usr/bin/jool {tool}")
    machine = Machine(jool=Jool(tool, version, version))
    unit = stage(variant(nat64={"by": "jool"}), SUPPORT, "support", machine).files[0]
    assert tool in unit.content
    path = "/run/kubev6-test/kubev6-nat64.service"
    jool_tool.run(
        ["sh", "-c", f"mkdir -p {path.rpartition('/')[0]}; cat > {path}"], step="test", stdin=unit.content.encode()
    )
    done = jool_tool.run(f"systemd-analyze verify {path}", step="test", check=False)
    said(jool_tool, f"rm -r {path.rpartition('/')[0]} {tool}")
    assert "kubev6-nat64" not in done.stdout + done.stderr
    assert done.status == 0


def test_jools_command_and_a_module_of_another_version_are_told_apart_before_anything_is_done(
    jool_tool: Connection,
) -> None:
    fake = "/usr/local/sbin/modinfo"
    script = '#!/bin/sh\n[ "$*" = "-F version jool" ] && echo 4.0.1.0\n'
    jool_tool.run(["sh", "-c", f"cat > {fake}; chmod 755 {fake}"], step="test", stdin=script.encode())
    try:
        seen = host_facts.ask(jool_tool)
    finally:
        said(jool_tool, f"rm {fake}")
    assert seen.jool == Jool("/usr/bin/jool", seen.jool.version, "4.0.1.0")
    topology = variant(nat64={"by": "jool"})
    with pytest.raises(NodeError, match=r"4\.1\..* and its kernel module 4\.0\.1\.0.*bring the kernel module to"):
        check(Candidate(topology, RELEASE, topology.support, seen))
