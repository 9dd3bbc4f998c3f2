"""What a control plane does for a backup and for a restore, with an etcd that is a fake."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.kubernetes import restore
from tasks.node_agent import fill_etcd, put_authorities, restore_state, take_backup
from tasks.node_agent.protocol import Failed
from tests.fakes import substitute

URL = "https://[::1]:2379"


class Etcd:
    """The answers of an etcd that keeps what it is given."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[str, str]] = {}
        self.granted: list[str] = []
        self.largest = 0
        self.loses = False
        self.alarms: list[dict[str, str]] = []

    def ask(self, url: str, path: str, **question: Any) -> dict[str, Any]:
        assert url == URL
        answers: dict[str, dict[str, Any]] = {
            "kv/range": {"count": str(len(self.keys))} if self.keys else {},
            "maintenance/alarm": {"alarms": self.alarms},
            "maintenance/status": {"version": "3.4.23"},
        }
        if path == "kv/deleterange":
            self.keys.clear()
        elif path == "lease/grant":
            self.granted.append(question["TTL"])
            return {"ID": f"new-{len(self.granted)}"}
        elif path == "kv/txn":
            puts = [each["request_put"] for each in question["success"]]
            self.largest = max(self.largest, len(puts))
            assert len(puts) <= 128
            assert sum(len(each["key"]) + len(each["value"]) for each in puts) < 3 << 19
            for put in puts[self.loses :]:
                self.keys[put["key"]] = (put["value"], put.get("lease", ""))
        return answers.get(path, {})


@pytest.fixture
def etcd(monkeypatch: pytest.MonkeyPatch) -> Etcd:
    one = Etcd()
    for module in (fill_etcd, take_backup):
        substitute(monkeypatch, module, "ask", one.ask)
        substitute(monkeypatch, module, "own_url", lambda: URL)
    return one


def encoded(number: int, size: int = 10) -> list[Any]:
    return [base64.b64encode(str(number).encode()).decode(), base64.b64encode(bytes(size)).decode(), 0]


def test_an_etcd_gets_the_keys_and_nothing_of_an_attempt_before(etcd: Etcd) -> None:
    etcd.keys["left"] = ("over", "")
    keys = [encoded(number) for number in range(450)]
    keys[7][2], keys[8][2] = 12, 12
    fill_etcd.fill(URL, keys, {"12": 3660})
    assert list(etcd.keys) == [name for name, *_ in keys]
    assert [lease for _, lease in etcd.keys.values() if lease] == ["new-1"] * 2
    assert (etcd.granted, etcd.largest) == (["3660"], fill_etcd.MOST_KEYS)


def test_large_values_go_one_by_one(etcd: Etcd) -> None:
    fill_etcd.fill(URL, [encoded(number, 700_000) for number in range(3)], {})
    assert (len(etcd.keys), etcd.largest) == (3, 1)
    fill_etcd.fill(URL, [], {})
    assert etcd.keys == {}


def test_keys_that_are_not_all_there_afterwards_are_told(etcd: Etcd) -> None:
    etcd.loses = True
    with pytest.raises(Failed, match="etcd holds 2 keys, and the backup has 3"):
        fill_etcd.fill(URL, [encoded(number) for number in range(3)], {})


def test_a_backup_is_a_line_and_a_stream_and_nothing_but_that_is_printed(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    for name in take_backup.AUTHORITIES + take_backup.ACCOUNTS:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"of {name}")
    parts = [bytes([number]) * 3_000_000 for number in range(3)]

    def stream(url: str, path: str) -> Iterator[dict[str, Any]]:
        assert (url, path) == (URL, "maintenance/snapshot")
        for number, part in enumerate(parts):
            yield {"remaining_bytes": str(3_000_000 * (2 - number)), "blob": base64.b64encode(part).decode()}
        yield {"remaining_bytes": "0", "blob": base64.b64encode(b"checksum").decode()}

    substitute(monkeypatch, take_backup, "PKI", str(tmp_path))
    substitute(monkeypatch, take_backup, "stream", stream)
    substitute(monkeypatch, take_backup, "prepare", lambda: None)
    take_backup.main()
    said, told = capfdbinary.readouterr()
    line, _, packed = said.partition(b"\n")
    assert json.loads(line)["etcd"] == "3.4.23"
    assert json.loads(line)["pki"]["etcd/ca.key"] == "of etcd/ca.key"
    assert zlib.decompress(packed) == b"".join(parts) + b"checksum"
    assert b"MiB" in told

    (tmp_path / "sa.key").write_text("")
    with pytest.raises(Failed, match=r"sa\.key is not there or empty, and no backup is whole without it"):
        take_backup.main()
    etcd.alarms = [{"alarm": "CORRUPT"}]
    with pytest.raises(Failed, match="etcd says that the data of a member is damaged"):
        take_backup.main()


def test_an_etcd_without_a_leader_gives_no_snapshot(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(_url: str, path: str, **_: Any) -> Any:
        raise ValueError(f"{path}: etcdserver: request timed out")

    substitute(monkeypatch, take_backup, "ask", ask)
    substitute(monkeypatch, take_backup, "prepare", lambda: None)
    with pytest.raises(Failed, match=r"its etcd gives no snapshot: kv/range: etcdserver: request timed out"):
        take_backup.main()
    assert etcd.keys == {}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a machine, in a directory."""
    substitute(monkeypatch, restore_state, "HOME", str(tmp_path / "home"))
    substitute(monkeypatch, restore_state, "FILE", str(tmp_path / "home/restore.json"))
    substitute(monkeypatch, restore_state, "ETCD_DATA", str(tmp_path / "etcd/member"))
    substitute(monkeypatch, put_authorities, "PKI", str(tmp_path / "pki"))
    return tmp_path


def test_authorities_take_the_place_of_what_others_had_signed_once(machine: Path) -> None:
    (machine / "pki").mkdir()
    (machine / "pki/apiserver.crt").write_text("of another authority")
    files = {"ca.key": "key", "ca.crt": "certificate", "etcd/ca.key": "key of etcd's"}
    put_authorities.put("a", files)
    there = {str(path.relative_to(machine / "pki")): path for path in (machine / "pki").rglob("*") if path.is_file()}
    assert {name: path.read_text() for name, path in there.items()} == files
    assert {name: path.stat().st_mode & 0o777 for name, path in there.items()} == {
        "ca.key": 0o600, "ca.crt": 0o644, "etcd/ca.key": 0o600,
    }  # fmt: skip
    (machine / "pki/apiserver.crt").write_text("of this one")
    put_authorities.put("a", files)
    assert (machine / "pki/apiserver.crt").exists(), "what kubeadm has made meanwhile stays"


def test_how_far_a_restore_is_stays_until_its_end(machine: Path) -> None:
    assert restore_state.state() == {"backup": "", "state": "", "data": False}
    for state in (restore.BEGUN, restore.FILLED, restore.UP):
        restore_state.write("a", state)
        assert restore_state.state() == {"backup": "a", "state": state, "data": False}
    assert (machine / "home/restore.json").stat().st_mode & 0o777 == 0o600
    (machine / "etcd/member").mkdir(parents=True)
    assert not restore_state.state()["data"], "empty"
    (machine / "etcd/member/snap").mkdir()
    restore_state.write("", "")
    assert restore_state.state() == {"backup": "", "state": "", "data": True}
    restore_state.write("", "")
