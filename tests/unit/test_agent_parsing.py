"""The pure parts of the program that runs on a node."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from tasks.engine import AGENT
from tasks.on_node import agent


def test_the_agent_is_one_file_that_python_3_6_reads() -> None:
    tree = ast.parse(Path(AGENT).read_text(), feature_version=(3, 6))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert not any(name.startswith(("configs", "tasks", "yaml", "paramiko")) for name in imported)
    newer = ("capture_output", "text=True", "removeprefix", "from __future__ import annotations")
    assert not any(word in Path(AGENT).read_text() for word in newer)


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
    result = agent.with_block(text, content)
    assert result == expected
    assert agent.block_of(result) == content
    assert agent.with_block(result, content) == result


@pytest.mark.parametrize(
    "text",
    ["# BEGIN kubev6\n", "# END kubev6\n", "# END kubev6\n# BEGIN kubev6\n", "# BEGIN kubev6\n" * 2 + "# END kubev6\n"],
)
def test_marks_that_are_no_pair_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="one pair"):
        agent.with_block(text, "x\n")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv6.conf.all.forwarding", "/proc/sys/net/ipv6/conf/all/forwarding"),
        ("net.ipv6.conf.eth0/100.accept_ra", "/proc/sys/net/ipv6/conf/eth0.100/accept_ra"),
    ],
)
def test_a_settings_key_names_a_file(key: str, path: str) -> None:
    assert agent.sysctl_path(key) == path


ROUTES: list[dict[str, Any]] = [
    {"dst": "fd00::/64", "dev": "eth1", "protocol": "kernel", "metric": 256},
    {"dst": "fd00:101::/64", "gateway": "fd00::101", "dev": "eth1", "protocol": "boot", "metric": 1024},
    {"dst": "default", "gateway": "fd00::64", "dev": "eth1", "protocol": "static", "metric": 1024},
    {"dst": "default", "gateway": "fe80::1", "dev": "eth0", "protocol": "ra", "metric": 100},
    {"dst": "fd00:9::1", "gateway": "fd00::9", "dev": "eth1"},
    {"dst": "fd00:1234::/110", "dev": "eth1", "metric": 1024},
    {"type": "unreachable", "dst": "fd00:dead::/64", "dev": "lo", "metric": 1024},
    {"dst": "fd00:8::/64", "metric": 1024, "nexthops": [{"gateway": "fd00::8", "dev": "eth1"}]},
]


def test_routes_are_told_without_the_kernels_own() -> None:
    assert [(r["destination"], r["via"], r["metric"]) for r in agent.route_facts(ROUTES)] == [
        ("fd00:101::/64", "fd00::101", 1024),
        ("::/0", "fd00::64", 1024),
        ("fd00:9::1/128", "fd00::9", 1024),
        ("fd00:1234::/110", "", 1024),
    ]


def test_addresses_are_told_with_what_became_of_them() -> None:
    links: list[dict[str, Any]] = [
        {
            "ifname": "eth1",
            "addr_info": [
                {"local": "fd00::1", "prefixlen": 64},
                {"local": "fd00::2", "prefixlen": 64, "tentative": True},
                {"local": "fd00::3", "prefixlen": 64, "tentative": True, "dadfailed": True},
            ],
        },
        {},
        {"ifname": "tun0", "addr_info": []},
    ]
    interfaces, addresses = agent.address_facts(links)
    assert interfaces == ["eth1", "tun0"]
    assert [state for _, _, state in addresses] == ["", "tentative", "failed"]


def test_services_are_told_in_the_order_they_were_asked_for() -> None:
    text = """LoadState=loaded
ActiveState=active
UnitFileState=alias

LoadState=not-found
ActiveState=inactive
UnitFileState=
ConditionResult=no
ConditionTimestampMonotonic=0

LoadState=loaded
ActiveState=inactive
UnitFileState=enabled
ConditionResult=no
ConditionTimestampMonotonic=81034
"""
    told = agent.service_facts(["bind9.service", "none.service", "waits.service"], text)
    assert [tuple(told[unit].values()) for unit in told] == [
        ("loaded", "active", "alias", False),
        ("not-found", "inactive", "", False),
        ("loaded", "inactive", "enabled", True),
    ]


def test_swap_lines_of_fstab() -> None:
    text = "# /dev/old none swap sw 0 0\nUUID=1 / ext4 defaults 0 1\n/swapfile none swap sw 0 0\n\n"
    assert agent.fstab_swaps(text) == ["/swapfile none swap sw 0 0"]


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
    assert agent.own_connection() == expected


def test_packages_that_are_installed() -> None:
    assert agent.installed_packages("installed bind9\nconfig-files tayga\nnot-installed socat\n") == ["bind9"]


def test_an_old_executable_is_kept_by_the_next_free_number(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    for content in ("one", "two"):
        tool.write_text(content)
        agent.keep_numbered(str(tool))
        tool.unlink()
    agent.keep_numbered(str(tool))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tool.~1~", "tool.~2~"]
    assert (tmp_path / "tool.~2~").read_text() == "two"


def test_a_file_is_written_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "file"
    agent.write_atomically(str(path), b"content\n", 0o640)
    assert path.read_text() == "content\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
