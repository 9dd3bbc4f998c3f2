"""After a reset tools read their own files again, and none takes the way by which the reset came."""

from __future__ import annotations

import shutil

import pytest

from tasks.node_agent import reread, undo
from tasks.node_agent.record import Record
from tests.fakes import substitute

OURS = ["/etc/netplan/90-kubev6.yaml", "/etc/NetworkManager/system-connections/kubev6-eth1.nmconnection"]
SHOWN = "2: eth0    inet 192.0.2.2/24 scope global eth0\n3: eth1    inet6 fd00::101/64 scope global \\ valid_lft\n"
BY_ETH0, BY_ETH1 = "192.0.2.9 50000 192.0.2.2 22", "fd00::7 50000 fd00::101 22"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that a machine with both tools ran."""
    commands: list[str] = []

    def run(words: list[str], **_: object) -> str:
        if words == ["ip", "-o", "addr"]:
            return SHOWN
        commands.append(" ".join(words))
        return ""

    for module in (reread, undo):
        substitute(monkeypatch, module, "run", run)
    substitute(monkeypatch, reread, "state_of", lambda units: {unit: {"active": "active"} for unit in units})
    substitute(monkeypatch, shutil, "which", lambda cmd, mode=1, path=None: cmd)  # noqa: ARG005 - of its shape
    return commands


def came_to(paths: list[str]) -> tuple[list[str], list[str], list[str]]:
    done, stays, left = list[str](), list[str](), list[str]()
    reread.reread(paths, undo.attempting(done, stays, left))
    return done, stays, left


def test_netplan_writes_its_files_anew_and_what_is_set_is_left_to_the_next_start(
    ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", BY_ETH0)
    _, (stays,), left = came_to(OURS[:1])
    assert ran == ["netplan generate"]
    assert "stays until the next start" in stays
    assert "`netplan apply`" in stays
    assert left == []


def test_networkmanager_forgets_our_profiles(ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", BY_ETH0)
    assert came_to(OURS[1:]) == (["nmcli connection reload"], [], [])
    assert ran == ["nmcli connection reload"]


def test_networkmanager_keeps_the_profile_by_which_the_connection_comes(
    ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", BY_ETH1)
    done, (stays,), left = came_to(OURS[1:])
    assert (done, left, ran) == ([], [], [])
    assert stays.startswith("NetworkManager's profile of eth1 stays until the next start")


def test_nothing_is_read_again_where_no_file_of_theirs_was_ours(ran: list[str]) -> None:
    assert came_to(["/etc/hosts", "/etc/systemd/network/10-kubev6-eth1.network"]) == ([], [], [])
    assert ran == []


@pytest.mark.parametrize(("came_by", "restarts"), [(BY_ETH0, True), (BY_ETH1, False)], ids=["eth0", "eth1"])
def test_networkd_is_not_restarted_where_the_connection_comes_by_an_address_of_ours(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, came_by: str, restarts: bool
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", came_by)
    record = Record("network", {})
    record.note("addresses", "fd00::101/64 dev eth1", {"interface": "eth1", "address": "fd00::101/64"})
    done, stays, left = list[str](), list[str](), list[str]()
    undo.attempting(done, stays, left)(lambda: undo.restart(["systemd-networkd.service", "sleeper.service"], record))
    held = [] if restarts else ["what systemd-networkd.service has read"]
    assert [each.partition(" stays")[0] for each in stays] == held
    assert ("systemctl restart systemd-networkd.service" in ran) is restarts
    assert "systemctl restart sleeper.service" in ran
    assert left == []
