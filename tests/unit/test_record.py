"""The record that is kept on a node, also as versions before this one wrote it: those nodes must still be reset."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from configs.plan.state import Address, Route, StageState
from tasks.node.resources import kinds
from tasks.node_agent import read_facts, record, undo
from tasks.node_agent.protocol import Failed
from tasks.node_agent.record import Record, read_record
from tasks.node_agent.resources import address, binary, ipv4_address, ipv4_default_route, link, route
from tasks.node_agent.resources.kinds import BEFORE_THE_NETWORK, KINDS, LEFT, NETWORK
from tests.fakes import substitute

OF_WORDS = Path(__file__).parent / "data" / "record-of-words.json"
"""As the version before wrote it on a machine of the lab: routes and addresses by their words alone."""
THERE = {
    ("ip", "-6", "-o", "route", "show", "table", "main"): "fd00:101::/64 via fd00::101 dev eth1 metric 1024\n"
    "fd00:1234::/110 dev eth1 metric 1024\nfd00:9::/64 dev eth1 metric 1024\n",
    ("ip", "-6", "-o", "addr", "show", "dev", "eth1"): "3: eth1    inet6 fd00::64/64 scope global \\ valid_lft\n",
    ("ip", "-4", "-o", "route", "show", "default"): "",
    ("ip", "-4", "route", "show", "192.0.2.7/32"): "192.0.2.7 via 172.24.0.1 dev eth0\n",
}
"""What a machine shows that is as the record says."""


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that would have changed the machine."""
    substitute(monkeypatch, record, "HOME", str(tmp_path))
    substitute(monkeypatch, link, "interface_there", lambda _: True)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    commands: list[str] = []

    def run(words: list[str], **_: object) -> str:
        if tuple(words) in THERE:
            return THERE[tuple(words)]
        commands.append(" ".join(words))
        return ""

    for module in (address, ipv4_address, ipv4_default_route, route):
        substitute(monkeypatch, module, "run", run)
    for module in (address, ipv4_address, route):
        substitute(monkeypatch, module, "interface_there", lambda _: True)
    return commands


def of_words(directory: Path) -> None:
    (directory / "record.json").write_text(OF_WORDS.read_text())


def attempted(done: list[str], failed: list[str]) -> Callable[[Callable[[], list[str]]], None]:
    def attempt(step: Callable[[], list[str]]) -> None:
        try:
            done.extend(step())
        except Failed as error:
            failed.append(error.seen)

    return attempt


UNDONE = [
    "ip -4 addr replace 172.25.0.2/16 dev eth1",
    "ip -4 addr replace 172.25.0.3/16 dev eth1",
    "ip -4 route add default via 172.24.0.1 dev eth0",
    "ip -4 route del 192.0.2.7/32 via 172.24.0.1 dev eth0",
    "ip -6 route del fd00:101::/64 via fd00::101 dev eth1 metric 1024",
    "ip -6 route del fd00:1234::/110 dev eth1 metric 1024",
    "ip -6 addr del fd00::64/64 dev eth1",
]


def test_the_network_of_a_record_of_words_is_undone(tmp_path: Path, ran: list[str]) -> None:
    of_words(tmp_path)
    node, done, failed = read_record("reset"), list[str](), list[str]()
    undo.undo_all(NETWORK, node, attempted(done, failed))
    assert ran == UNDONE
    assert failed == []
    assert done == [
        "IPv4 addresses of eth1",
        "IPv4 route default via 172.24.0.1 dev eth0",
        "IPv4 route 192.0.2.7/32 via 172.24.0.1 dev eth0",
        "route fd00:101::/64 via fd00::101 dev eth1 metric 1024",
        "route fd00:1234::/110 dev eth1 metric 1024",
        "address fd00::64/64 dev eth1",
    ]
    left = json.loads((tmp_path / "record.json").read_text())["stages"]["network"]
    assert not any(left.get(notes) for kind in NETWORK for notes, _ in kind.undoes)
    assert left["files"], "what is not of the network is not touched by that"


def test_the_path_that_an_ssh_connection_takes_stays_also_by_a_record_of_words(
    tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_words(tmp_path)
    monkeypatch.setenv("SSH_CONNECTION", "fd00:101::7 50000 fd00::64 22")
    done, failed = list[str](), list[str]()
    undo.undo_all(NETWORK, read_record("reset"), attempted(done, failed))
    assert [each.partition(" stays")[0] for each in failed] == [
        "route fd00:101::/64 via fd00::101 dev eth1 metric 1024",
        "address fd00::64/64 dev eth1",
    ]
    assert [command for command in ran if " -6 " in command] == ["ip -6 route del fd00:1234::/110 dev eth1 metric 1024"]


def test_what_is_noted_now_is_undone_by_the_same_commands(tmp_path: Path, ran: list[str]) -> None:
    """The values of a record of now, in the place of the words of one before."""
    of_words(tmp_path)
    old = json.loads(OF_WORDS.read_text())["stages"]["network"]
    node = Record("network", {"stages": {}})
    for words in old["routes"]:
        change = {"subject": words, "action": "add", "resource": route.noted_route(words, None)}
        KINDS["route"].note(change, node)
    for words in old["addresses"]:
        change = {"subject": words, "action": "add", "resource": address.noted_address(words, None)}
        KINDS["address"].note(change, node)
    node.begin(["routes", "addresses"], [*old["routes"], *old["addresses"]])
    assert node.stage["routes"]["fd00:1234::/110 dev eth1 metric 1024"] == {
        "destination": "fd00:1234::/110",
        "via": "",
        "interface": "eth1",
        "metric": 1024,
    }
    node.stage["ipv4_addresses"] = {"eth1": ["172.25.0.2/16", "172.25.0.3/16"]}
    node.stage.update({notes: old[notes] for notes in ("ipv4_default_routes", "keep_routes")})
    undo.undo_all(NETWORK, node, attempted([], []))
    assert ran == UNDONE


def replacing(node: Record, wanted: Route) -> None:
    """A route of ours put into the place of what is there, as far as the record hears of it."""
    change = {"subject": str(wanted), "action": "replace", "resource": asdict(wanted)}
    KINDS["route"].note(change, node)
    node.begin([notes for notes, _ in KINDS["route"].undoes], [str(wanted)])
    KINDS["route"].make(change, node)


def test_a_route_of_somebody_elses_comes_back_also_when_ours_was_replaced_by_another_of_ours(ran: list[str]) -> None:
    node, failed = Record("network", {}), list[str]()
    theirs = "fd00:9::/64 dev eth1 metric 1024"  # as the machine shows it
    with pytest.MonkeyPatch.context() as patch:
        substitute(patch, route, "need_interface", lambda _: None)
        replacing(node, Route("fd00:9::/64", "fd00::1", "eth1"))
        assert node.stage["replaced_routes"] == {"fd00:9::/64 via fd00::1 dev eth1 metric 1024": [theirs]}
        patch.setitem(THERE, tuple(route.SHOW), "fd00:9::/64 via fd00::1 dev eth1 metric 1024 pref medium\n")
        replacing(node, Route("fd00:9::/64", "fd00::2", "eth1"))
        assert node.stage["replaced_routes"] == {"fd00:9::/64 via fd00::2 dev eth1 metric 1024": [theirs]}
        assert list(node.stage["routes"]) == ["fd00:9::/64 via fd00::2 dev eth1 metric 1024"]
        patch.setitem(THERE, tuple(route.SHOW), "fd00:9::/64 via fd00::2 dev eth1 metric 1024 pref medium\n")
        ran.clear()
        undo.undo_all(NETWORK, node, attempted([], failed))
    assert ran == [
        "ip -6 route del fd00:9::/64 via fd00::2 dev eth1 metric 1024",
        f"ip -6 route add {theirs}",
    ]
    assert failed == []


def test_every_note_of_a_record_of_words_is_one_that_some_kind_undoes() -> None:
    noted = {notes for stage in json.loads(OF_WORDS.read_text())["stages"].values() for notes in stage}
    undone = {notes for kind in (*BEFORE_THE_NETWORK, *NETWORK, *LEFT) for notes, _ in kind.undoes}
    assert undone - noted == {"certificates", "replaced_routes", "shared_directories"}, (
        "of which those versions had none"
    )


def test_what_earlier_versions_added_is_known_by_its_words(tmp_path: Path, ran: list[str]) -> None:
    of_words(tmp_path)
    asked: Any = kinds.query((StageState("network"), StageState("runtime")))
    answer: Any = json.loads(json.dumps(read_facts.facts(**asked)))
    network, runtime = (kinds.parse(answer["there"], answer["added"][stage]) for stage in ("network", "runtime"))
    assert network["route"].added == {Route("fd00:101::/64", "fd00::101", "eth1"), Route("fd00:1234::/110", "", "eth1")}
    assert network["address"].added == {Address("eth1", "fd00::64/64")}
    assert (network["file"].added["/etc/hosts"].block, network["file"].added["/etc/hosts"].original) == (True, True)
    assert network["service"].added == {"systemd-networkd.service"}
    assert runtime["service"].added == {"sleeper.service", "was-there.service"}
    assert runtime["command"] == ["netplan apply", "was-there.service"]
    assert runtime["route"].added == frozenset()
    assert ran == []


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("::/0 via fd00::64 dev eth1 metric 1", Route("::/0", "fd00::64", "eth1", 1)),
        ("fd00:101::/64 via fd00::101 dev eth1 metric 1024", Route("fd00:101::/64", "fd00::101", "eth1")),
        ("fd00:1234::/110 dev eth0.100 metric 1024", Route("fd00:1234::/110", "", "eth0.100")),
    ],
)
def test_a_route_of_words_is_the_route_that_reads_so(words: str, value: Route) -> None:
    assert Route(**route.noted_route(words, None)) == value
    assert str(value) == words
    assert " ".join(route.arguments(route.noted_route(words, None))) == words


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "7",
        "[1]",
        "[" * 100_000,
        '{"cluster": "rack"}',
        '{"cluster": {"name": 7}}',
        '{"stages": []}',
        '{"stages": {"network": 3}}',
        '{"stages": {"network": {"files": "/etc/hosts"}}}',
        '{"stages": {"network": {"files": {"/etc/hosts": "backup"}}}}',
        '{"stages": {"network": {"deleted_files": {"/etc/hosts": null}}}}',
        '{"stages": {"runtime": {"services": {"docker.service": "active"}}}}',
        '{"pending_restarts": {"kubelet": 1}}',
        '{"pending_restarts": [7]}',
        '{"unbegun": ["network"]}',
    ],
)
def test_a_damaged_record_is_one_line_that_names_it(text: str, ran: list[str], tmp_path: Path) -> None:
    assert ran == []
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(Failed) as caught:
        read_record("network")
    assert str(caught.value).startswith(f"{tmp_path}/record.json is damaged: ")
    assert len(str(caught.value)) < len(str(tmp_path)) + 200
    assert caught.value.todo.startswith("move it away")


@pytest.mark.parametrize(
    "text", ['{"/usr/bin/kubelet": 7}', '{"/usr/bin/kubelet": {"sha256": 7}}', '{"x": {"identity": 7}}']
)
def test_damaged_digests_are_one_line_that_names_them(text: str, ran: list[str], tmp_path: Path) -> None:
    assert ran == []
    (tmp_path / "digests.json").write_text(text)
    with pytest.raises(Failed, match=r"digests.json is damaged: it holds something else than was written there"):
        record.read_json("digests.json")
    assert binary.installed_digest("/", {"/": {"identity": [1]}}) == ""


def test_a_cluster_that_is_named_in_part_is_another_one() -> None:
    with pytest.raises(Failed, match=r"belongs to the cluster rack at unknown, not lab at \[fd00::1\]:6443"):
        record.refuse_other_cluster({"cluster": {"name": "rack"}}, {"name": "lab", "server": "[fd00::1]:6443"})


def test_a_note_of_another_form_than_ours_is_told_and_the_others_are_undone(ran: list[str]) -> None:
    node = Record("network", {})
    ours = {"fd00:101::/64 via fd00::101 dev eth1 metric 1024": None}
    node.stage["routes"] = {"fd00:101::/64 via fd00::101 dev eth1 metric 1024 lost": 7, **ours}
    done, left = list[str](), list[str]()
    undo.undo_all(NETWORK, node, undo.attempting(done, [], left))
    assert ran == ["ip -6 route del fd00:101::/64 via fd00::101 dev eth1 metric 1024"]
    assert (len(done), len(left)) == (1, 1)
    assert "\n" not in left[0]
