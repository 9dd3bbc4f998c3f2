"""The pure parts of what runs on a node."""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path

import pytest

from tasks.node_agent import blocks, files, ip, ssh_connection
from tasks.node_agent.resources import (
    binary,
    ipv4_default_route,
    ipv4_name,
    package,
    route,
    selinux,
    service,
    swap,
    sysctl,
)
from tasks.node_agent.resources.kinds import KINDS
from tasks.ssh.program import DIRECTORY, modules, source_of

TYPING = {"Any", "Callable", "Dict", "IO", "Iterable", "Iterator", "List", "Optional", "Sequence", "Set", "Tuple"}
"""What is taken of typing; Python 3.5 has these."""
MODULES = sorted(".".join(path.relative_to(DIRECTORY).with_suffix("").parts) for path in DIRECTORY.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_what_runs_on_a_node_is_read_by_python_3_5_and_needs_nothing_but_its_library(module: str) -> None:
    text = (DIRECTORY / f"{module.replace('.', '/')}.py").read_text()
    tree = ast.parse(source_of(module), feature_version=(3, 5))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    others = {name for name in imported if not name.startswith("tasks.node_agent.")}
    assert {name.partition(".")[0] for name in others} <= sys.stdlib_module_names
    assert not any(isinstance(node, ast.JoinedStr) for node in ast.walk(tree))
    of_typing = {
        name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "typing"
        for name in node.names
    }
    assert of_typing <= TYPING, "Collection, for one, came with 3.6"
    newer = (
        "capture_output",
        "text=True",
        "removeprefix",
        "\n        errors=",
        "ModuleNotFoundError",
        "from __future__ import annotations",
    )
    assert not any(word in text for word in newer)
    # What it reads by itself of a command it takes for ASCII, under LC_ALL=C.
    assert "universal_newlines" not in text


@pytest.mark.parametrize("program", ["read_facts", "apply_changes", "reset_node"])
def test_a_program_holds_every_kind_of_resource_each_module_after_those_that_it_imports(program: str) -> None:
    order = modules(program)
    assert order[-1] == program
    assert {type(kind).__module__.rpartition("node_agent.")[2] for kind in KINDS.values()} <= set(order)
    assert order.index("resources.kind") < order.index("resources.swap") < order.index("resources.kinds")


@pytest.mark.parametrize(
    ("text", "content", "expected"),
    [
        ("", "x\n", "# BEGIN kubev6\nx\n# END kubev6\n"),
        ("a\n", "x\n", "a\n# BEGIN kubev6\nx\n# END kubev6\n"),
        ("a", "x\n", "a\n# BEGIN kubev6\nx\n# END kubev6\n"),
        ("a\n# BEGIN kubev6\nold\n# END kubev6\nb\n", "x\n", "a\n# BEGIN kubev6\nx\n# END kubev6\nb\n"),
        ("a\n# BEGIN kubev6\nold\n# END kubev6\nb\n", None, "a\nb\n"),
        ("a\n", None, "a\n"),
    ],
)
def test_a_block_is_set_in_its_place_and_taken_away(text: str, content: str | None, expected: str) -> None:
    result = blocks.with_block(text, content)
    assert result == expected
    assert blocks.block_of(result) == content
    assert blocks.with_block(result, content) == result


@pytest.mark.parametrize(
    "text",
    ["# BEGIN kubev6\n", "# END kubev6\n", "# END kubev6\n# BEGIN kubev6\n", "# BEGIN kubev6\n" * 2 + "# END kubev6\n"],
)
def test_marks_that_are_no_pair_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="one pair"):
        blocks.with_block(text, "x\n")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv6.conf.all.forwarding", "/proc/sys/net/ipv6/conf/all/forwarding"),
        ("net.ipv6.conf.eth0/100.accept_ra", "/proc/sys/net/ipv6/conf/eth0.100/accept_ra"),
    ],
)
def test_a_settings_key_names_a_file(key: str, path: str) -> None:
    assert sysctl.sysctl_path(key) == path


ROUTES = r"""fd00::/64 dev eth1 proto kernel metric 256 pref medium
fd00:101::/64 via fd00::101 dev eth1 metric 1024 pref medium
default via fd00::64 dev eth1 proto static metric 1024 pref medium
default via fe80::1 dev eth0 proto ra metric 100 expires 1790sec hoplimit 64 pref medium
fd00:9::1 via fd00::9 dev eth1 metric 1024 linkdown pref medium
fd00:1234::/110 dev eth1  metric 1024  error 4294967295
unreachable fd00:dead::/64 dev lo metric 1024 error -113 pref medium
fd00:8::/64 metric 1024 \	nexthop via fd00::8 dev eth1 weight 1 \	nexthop via fd00::9 dev eth1 weight 1
"""


def test_routes_are_told_without_the_kernels_own() -> None:
    told = route.route_facts(ip.routes_of(ROUTES))
    assert [(r["destination"], r["via"], r["interface"], r["metric"]) for r in told] == [
        ("fd00:101::/64", "fd00::101", "eth1", 1024),
        ("::/0", "fd00::64", "eth1", 1024),
        ("fd00:9::1/128", "fd00::9", "eth1", 1024),
        ("fd00:1234::/110", "", "eth1", 1024),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("default via 10.0.2.2 dev eth0 \n", "default via 10.0.2.2 dev eth0"),
        (
            "default via 10.0.2.2 dev eth0 proto dhcp src 10.0.2.15 metric 100 mtu lock 1400 linkdown",
            "default via 10.0.2.2 dev eth0 proto dhcp src 10.0.2.15 metric 100 mtu lock 1400",
        ),
        ("default dev ppp0 scope link", "default dev ppp0 scope link"),
        ("default via 10.0.2.2 dev eth0 onlink", "default via 10.0.2.2 dev eth0 onlink"),
        (
            "default nhid 20 proto bird metric 20 \\\tnexthop via 10.0.2.2 dev eth0 weight 1 dead linkdown "
            "\\\tnexthop via 10.0.2.3 dev eth0 weight 2",
            "default proto bird metric 20 nexthop via 10.0.2.2 dev eth0 weight 1 "
            "nexthop via 10.0.2.3 dev eth0 weight 2",
        ),
        ("default via inet6 fe80::1 dev eth0 table 7", "default via inet6 fe80::1 dev eth0 table 7"),
        ("unreachable default metric 4278198272 error -113", "unreachable default metric 4278198272"),
        ("default via 10.0.2.2 dev eth0 rto_min lock 20ms", "default via 10.0.2.2 dev eth0 rto_min 20ms"),
    ],
)
def test_a_route_is_told_whole_as_it_is_given(text: str, words: str) -> None:
    assert ip.words_of_routes(text) == [words]


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("default via 10.0.2.2 dev eth0", "default"),
        ("default tos 0x10 via 10.0.2.2 dev eth0 proto bgp src 10.0.2.15 metric 20", "default tos 0x10 metric 20"),
        ("unreachable default metric 4278198272", "unreachable default metric 4278198272"),
        ("default metric 5 nexthop via 10.0.2.2 dev eth0 weight 1", "default metric 5"),
    ],
)
def test_a_default_route_goes_by_its_place_as_next_hops_that_are_objects_are_none_to_the_kernel(
    words: str, place: str
) -> None:
    assert " ".join(ipv4_default_route.place_of(words.split())) == place


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            r"2: eth0    inet 10.0.0.5/24 metric 100 brd 10.0.0.255 scope global dynamic eth0\       valid_lft 3000sec"
            " preferred_lft 2000sec",
            ["10.0.0.5/24 metric 100 brd 10.0.0.255 scope global dev eth0 valid_lft 3000 preferred_lft 2000"],
        ),
        (
            r"2: eth0    inet 10.0.0.6/24 scope global secondary eth0:1\       valid_lft forever preferred_lft forever",
            ["10.0.0.6/24 scope global dev eth0 label eth0:1"],
        ),
        (
            "5: tun0    inet 10.8.0.1 peer 10.8.0.2/32 scope global tun0",
            ["10.8.0.1 peer 10.8.0.2/32 scope global dev tun0"],
        ),
        ("2: eth0    inet6 fd00::5/64 scope global nodad ", ["fd00::5/64 scope global dev eth0 nodad"]),
        ("2: eth0    inet6 fd00::6/64 scope global dadfailed tentative ", []),
        ("2: eth0    inet6 fe80::5/64 scope link ", []),
        ("1: lo    inet6 ::1/128 scope host ", []),
    ],
)
def test_an_address_is_told_as_it_is_given(text: str, words: list[str]) -> None:
    assert ip.words_of_addresses(text) == words


ADDRESSES = r"""1: lo    inet 127.0.0.1/8 scope host lo\       valid_lft forever preferred_lft forever
2: eth1    inet6 fd00::1/64 scope global \       valid_lft forever preferred_lft forever
2: eth1    inet6 fd00::2/64 scope global tentative \       valid_lft forever preferred_lft forever
2: eth1    inet6 fd00::3/64 scope global dadfailed tentative \       valid_lft forever preferred_lft forever
7: tun0    inet 192.168.255.1 peer 192.168.255.2/32 scope global tun0\       valid_lft forever preferred_lft forever
"""


def test_addresses_are_told_with_what_became_of_them() -> None:
    assert ip.addresses_of(ADDRESSES) == [
        ["lo", "127.0.0.1/8", ""],
        ["eth1", "fd00::1/64", ""],
        ["eth1", "fd00::2/64", "tentative"],
        ["eth1", "fd00::3/64", "failed"],
        ["tun0", "192.168.255.1/32", ""],
    ]


def test_interfaces_are_told_and_whether_they_are_up() -> None:
    text = r"""1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT \    link/loopback
3: eth1@if9: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP mode DEFAULT \    link/ether
4: eth2: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN mode DEFAULT group default \    link/ether
"""
    assert ip.links_of(text) == [("lo", True), ("eth1", True), ("eth2", False)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("127.0.1.1 kube-1\n", "# kubev6: 127.0.1.1 kube-1\n"),
        ("127.0.1.1\tkube-1.example.org kube-1 # own\n", None),
        ("127.0.0.1 localhost kube-1\n::1 localhost\n", None),
        ("127.0.0.1 localhost\n127.0.1.1 kube-10\n# 127.0.1.1 kube-1\nfd00::101 kube-1\n", ""),
        ("10.0.0.7 KUBE-1 a b\n10.0.0.7 a\n", None),
    ],
)
def test_a_name_loses_its_ipv4_addresses_and_gets_them_back(before: str, after: str | None) -> None:
    without = ipv4_name.without_ipv4(before, "kube-1")
    assert ipv4_name.ipv4_names(without, ["kube-1"]) == {}
    if after is not None:
        assert without == (after or before)
    kept = {name for line in before.splitlines() for name in ipv4_name.entry_of(line)[1]} - {"kube-1", "KUBE-1"}
    assert kept <= {name for line in without.splitlines() for name in ipv4_name.entry_of(line)[1]} | {
        "kube-1.example.org"
    }
    assert ipv4_name.with_ipv4(without) == before


def test_selinux_is_made_permissive_at_boot_and_the_rest_of_its_file_stays() -> None:
    text = "# SELINUX= can take one of these\nSELINUX=enforcing\nSELINUXTYPE=targeted\n"
    assert selinux.mode_of(text) == "enforcing"
    assert selinux.with_mode(text, "permissive") == text.replace("=enforcing", "=permissive")
    assert selinux.mode_of("SELINUX=disabled\n") == ""


def test_services_are_told_in_the_order_they_were_asked_for() -> None:
    text = """ActiveState=active
UnitFileState=alias

ActiveState=inactive
UnitFileState=
ConditionResult=no
ConditionTimestampMonotonic=0

ActiveState=inactive
UnitFileState=enabled
ConditionResult=no
ConditionTimestampMonotonic=81034
"""
    told = service.service_facts(["bind9.service", "none.service", "waits.service"], text)
    assert [tuple(told[unit].values()) for unit in told] == [
        ("active", "alias", False),
        ("inactive", "", False),
        ("inactive", "enabled", True),
    ]


def test_what_starts_a_unit_is_asked_of_a_systemd_that_knows_no_value_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(
        '#!/bin/sh\ncase "$*" in *--value*) exit 1 ;;\n'
        "*TriggeredBy*) echo 'TriggeredBy=docker.socket other.path' ;;\n"
        "*) printf 'ActiveState=active\\n\\nActiveState=inactive\\n' ;; esac\n"
    )
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert service.triggers("docker.service") == {"docker.socket": "active", "other.path": "inactive"}


ALSO = """
case "$1 $2" in
"cat own.service") printf '[Install]\\nAlso=own.socket with.service\\n' ;;
"cat with.service") printf 'Also=own.service more.service\\n#Also=no.service\\n' ;;
"show "*) for unit in $(shift 2; echo "$@"); do cat "$STATES/$unit"; echo; done ;;
enable*|stop*|disable*) echo "$@" >>"$STATES/said" ;;
esac
"""


def test_units_that_are_enabled_and_disabled_with_another_are_as_they_were_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def become(unit: str, active: str, enabled: str) -> None:
        (tmp_path / unit).write_text(f"ActiveState={active}\nUnitFileState={enabled}\n")

    (tmp_path / "systemctl").write_text(f"#!/bin/sh\n{ALSO}")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("STATES", str(tmp_path))
    become("own.service", "inactive", "disabled")
    become("own.socket", "inactive", "enabled")
    become("with.service", "inactive", "disabled")
    become("more.service", "active", "disabled")
    before = {"active": "inactive", "enabled": "disabled", "triggers": {}, "also": service.enabled_with("own.service")}
    assert sorted(before["also"]) == ["more.service", "own.socket", "with.service"]

    become("own.service", "inactive", "enabled")
    become("own.socket", "inactive", "disabled")  # as disabling the unit leaves it
    become("with.service", "active", "disabled")
    assert service.undo_service("own.service", before) == [
        "service own.service disabled",
        "service own.socket enabled",
        "service with.service stopped",
    ]
    assert (tmp_path / "said").read_text().splitlines() == [
        "disable own.service",
        "enable own.socket",
        "stop with.service",
    ]


def test_swap_lines_of_fstab() -> None:
    text = "# /dev/old none swap sw 0 0\nUUID=1 / ext4 defaults 0 1\n/swapfile none swap sw 0 0\n\n"
    assert swap.fstab_swaps(text) == ["/swapfile none swap sw 0 0\n"]


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ("10.0.2.2 50000 10.0.2.15 22", ("10.0.2.2", "10.0.2.15")),
        ("::ffff:10.0.2.2 50000 ::ffff:10.0.2.15 22", ("10.0.2.2", "10.0.2.15")),
        ("fd00::1 50000 fd00::2 22", ("", "")),
        ("", ("", "")),
    ],
)
def test_only_an_ipv4_connection_has_a_path_to_keep(
    connection: str, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", connection)
    assert ssh_connection.own_connection() == expected


def test_packages_that_are_installed() -> None:
    told = "installed bind9\nconfig-files tayga\nnot-installed socat\n"
    assert KINDS["package"].facts(["bind9", "tayga", "socat"], [], [told]) == ["bind9"]


def test_an_old_executable_is_kept_by_the_next_free_number(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    for content in ("one", "two"):
        tool.write_text(content)
        binary.name_also(str(tool), binary.next_kept(str(tool)))
        tool.unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tool.~1~", "tool.~2~"]
    assert (tmp_path / "tool.~2~").read_text() == "two"


def test_a_file_is_written_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "file"
    files.write_atomically(str(path), b"content\n", 0o640)
    assert path.read_text() == "content\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_yum_goes_on_where_a_repository_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of a CentOS 7 that nobody has told of the archive."""
    yum = tmp_path / "yum"
    yum.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\n')
    yum.chmod(0o755)
    (tmp_path / "timeout").symlink_to(str(shutil.which("timeout")))
    monkeypatch.setenv("PATH", str(tmp_path))
    package.install(["socat", "bind"])
    assert (tmp_path / "asked").read_text() == "--setopt=*.skip_if_unavailable=1 install -y socat bind\n"
