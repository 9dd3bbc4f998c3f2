"""Backups: what is read of etcd's snapshots, the form of the file, keys, and what is refused; each in one line."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyrage
import pytest

from configs import backup as form
from configs.backup import Backup
from configs.errors import ConfigError, KubeV6Error
from configs.membership import Membership
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster, Cni
from configs.schema.loading import load_cluster
from kubev6.cli import main
from tasks import scope, secrets
from tasks.backup import archive, files, keys, snapshot
from tasks.backup.bolt import Database
from tasks.backup.files import Made
from tasks.kubernetes import backup as verbs
from tasks.kubernetes import restore
from tasks.kubernetes.restore import State
from tests.fakes import substitute
from tests.unit import sample_backup
from tests.unit.sample_backup import AUTHORITY, CHANGES, Bolt, contents

LAB, HA = load_cluster("lab"), load_cluster("lab-ha")
FIRST, SECOND, THIRD = (node.name for node in HA.control_planes)
WORKER = "kube-worker-1"


@pytest.fixture(scope="module")
def identity() -> Any:
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def key(tmp_path: Path, identity: Any) -> Path:
    path = tmp_path / "key"
    path.write_text(f"# made for a test\n{identity}\n")
    path.chmod(0o600)
    return path


def ssh_key(path: Path, kind: str, passphrase: str = "") -> Path:
    words = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)]
    subprocess.run([*words, *(["-b", "2048"] if kind == "rsa" else [])], check=True)
    return path


def test_a_snapshot_has_each_key_as_it_was_last_and_none_that_was_deleted() -> None:
    held = snapshot.read(sample_backup.snapshot(CHANGES, {7587881: 3660, 99: 15}))
    assert [(key.name, key.value, key.lease) for key in held.keys] == [
        (b"/registry/minions/kube-1", b"node 1", 0),
        (b"/registry/minions/kube-10", b"node 10", 0),
        (b"/registry/secrets/kept", b"\0two\xff", 0),
        (b"/registry/events/e", b"event", 7587881),
        (b"/registry/masterleases/fd00::100", b"here", 99),
    ]
    assert (held.leases, held.nodes, held.revision) == ({7587881: 3660, 99: 15}, ("kube-1", "kube-10"), 9)
    told, leases = restore.keys_of(held)
    assert [lease for _, _, lease in told] == [0, 0, 0, 7587881], "an API server says itself that it is there"
    assert leases == {"7587881": 3660}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 9, 200])
@pytest.mark.parametrize("size", [0, 100, 3 * sample_backup.PAGE])
def test_buckets_of_every_size_are_read(count: int, size: int) -> None:
    pairs = [(f"{number:04}".encode(), bytes(size)) for number in range(count)]
    for page_size in (4096, 16384):
        database = Database(Bolt(page_size).whole({b"key": pairs, b"other": []}))
        assert list(database.bucket(b"key")) == pairs
        assert list(database.bucket(b"nothing")) == []


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda whole: whole[:-1], "and one with its checksum has 32 more than whole pages"),
        (lambda whole: whole[:32], "it does not begin as a database"),
        (lambda whole: whole[:5000] + b"x" + whole[5001:], "its SHA-256 is not that which etcd has put behind it"),
        (lambda whole: whole[:-4096] + whole[-32:], "and one with its"),
        (lambda _: b"", "and one with its"),
    ],
)
def test_a_snapshot_that_is_not_whole_is_none(damage: Callable[[bytes], bytes], why: str) -> None:
    whole = damage(sample_backup.snapshot(CHANGES, {}))
    if why.startswith("it does"):
        whole = hashlib.sha256(b"").digest()
    with pytest.raises(ValueError, match=why):
        snapshot.read(whole)


def test_a_database_that_leads_nowhere_is_damaged_and_ends() -> None:
    whole = bytearray(Bolt().whole({b"key": [(bytes([n]), b"v") for n in range(30)]}))
    for at in range(2 * 4096, len(whole), 1024):
        for value in (0x00, 0xFF):
            damaged = bytearray(whole)
            damaged[at : at + 64] = bytes([value]) * 64
            with suppress(ValueError):
                list(Database(bytes(damaged)).bucket(b"key"))


def test_a_backup_comes_back_as_it_was(identity: Any, key: Path) -> None:
    made = sample_backup.backup()
    sealed = keys.sealed(archive.packed(made, contents()), (str(identity.to_public()),))
    assert b"manifest.json" not in sealed
    assert archive.unpacked(keys.opened(sealed, keys.private(str(key)), "file"), "file") == (made, contents())


def test_damage_is_noticed_wherever_it_is(identity: Any, key: Path) -> None:
    sealed = keys.sealed(os.urandom(150_000), (str(identity.to_public()),))
    private = keys.private(str(key))
    places = [*range(0, 400, 7), *range(400, len(sealed), 9973), len(sealed) - 1]
    damaged = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in places]
    cut_off = [sealed[:at] for at in (0, 1, 100, 200, 65536, len(sealed) - 65552, len(sealed) - 1)]
    for content in (*damaged, *cut_off, sealed + b"x", b"no backup at all"):
        with pytest.raises(
            ConfigError, match=r"^file is (damaged or cut off, or no backup|not encrypted to)"
        ) as caught:
            keys.opened(content, private, "file")
        assert "nothing was changed" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": 2, "by": "9.0"}, "it is of format 2, made by kubev6 9.0, and this kubev6 reads formats up to 1"),
        ({"format": 2, "topology": 7}, "it is of format 2"),
        ({"made": 7}, "what it says of itself cannot be understood: made: "),
        ({"format": "x"}, "what it says of itself cannot be understood: format: "),
        ({"colour": "red"}, "cannot be understood: colour: "),
        ({"parts": []}, "is not both in it and in what it says of itself"),
    ],
)
def test_a_form_that_is_newer_or_another_is_refused(change: dict[str, Any], why: str) -> None:
    told = sample_backup.backup().model_dump(mode="json") | change
    with pytest.raises(ConfigError, match=why) as caught:
        packed_as(told)
    assert str(caught.value).startswith("file")
    assert "nothing was changed" in str(caught.value)


def packed_as(told: dict[str, Any]) -> None:
    if told.get("parts"):
        form.understood(told, "file")
    else:
        archive.unpacked(archive.packed(Backup.model_validate(told), contents()), "file")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no archive", "what was encrypted is no archive"),
        (archive.packed(sample_backup.backup(), contents() | {"more": b""}), "more is not both in it"),
        (
            archive.packed(sample_backup.backup(), contents() | {"kubeadm.yaml": b"x"}),
            "kubeadm.yaml is not what it was",
        ),
    ],
    ids=["no archive", "more", "changed"],
)
def test_an_archive_that_is_not_what_it_says_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(ConfigError, match=f"^file is no backup of kubev6's: .*{why}"):
        archive.unpacked(content, "file")


def test_keys_are_those_of_age_and_of_ssh_with_a_passphrase_and_without(
    tmp_path: Path, identity: Any, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, locked = ssh_key(tmp_path / "plain", "ed25519"), ssh_key(tmp_path / "locked", "ed25519", "secret words")
    rsa, encrypted = ssh_key(tmp_path / "rsa", "rsa"), tmp_path / "encrypted"
    encrypted.write_bytes(pyrage.passphrase.encrypt(key.read_bytes(), "secret words"))
    encrypted.chmod(0o600)
    recipients = [str(identity.to_public()), *(f"{each}.pub" for each in (plain, locked, rsa))]
    sealed = keys.sealed(b"content", tuple(each for given in recipients for each in keys.public(given)))
    with scope.holding(secrets.Secrets()):
        for each in (key, plain, rsa):
            assert keys.opened(sealed, keys.private(str(each)), "file") == b"content"
            assert "SECRET" not in repr(keys.private(str(each)))
        for each in (locked, encrypted):
            with pytest.raises(ConfigError, match=f"{each} has a passphrase, and there is no terminal .*KUBEV6_BACKUP"):
                keys.private(str(each))
        monkeypatch.setenv(secrets.BACKUP_PASSPHRASE, "others")
        for each in (locked, encrypted):
            with pytest.raises(ConfigError, match=f"^the passphrase is not that of the key {each}; see what KUBEV6_B"):
                keys.private(str(each))
        monkeypatch.setenv(secrets.BACKUP_PASSPHRASE, "secret words")
        for each in (locked, encrypted):
            assert keys.opened(sealed, keys.private(str(each)), "file") == b"content"


def test_another_key_opens_nothing(tmp_path: Path, key: Path) -> None:
    other = keys.public(f"{ssh_key(tmp_path / 'other', 'ed25519')}.pub")
    with pytest.raises(keys.WrongKeyError, match=f"^file is not encrypted to the key in {key}; name the private key"):
        keys.opened(keys.sealed(b"x", other), keys.private(str(key)), "file")


def test_what_is_no_key_is_refused_in_a_line(tmp_path: Path, key: Path) -> None:
    ecdsa = ssh_key(tmp_path / "ecdsa", "ecdsa")
    (tmp_path / "empty").write_text("# nothing\n")
    for given, why in (
        ("age1qqqqqqqqqqqqqqqqqqqqqqqqqqqq", "the key: a backup cannot be encrypted to 'age1qqqqq"),
        (str(tmp_path / "nowhere"), "cannot read the public key .*nowhere: No such file"),
        (str(tmp_path), "the public key .* is no file"),
        (str(tmp_path / "empty"), "empty has no public key in it"),
        (str(key), f"{key} is a private key, and a backup is encrypted to a public one; name {key}.pub"),
        (str(ecdsa), f"{ecdsa} is a private key"),
        (
            f"{ecdsa}.pub",
            "ecdsa.pub: a backup cannot be encrypted to 'ecdsa-sha2-nistp256 .*of the kind ed25519 or RSA",
        ),
    ):
        with pytest.raises(ConfigError, match=why) as caught:
            keys.public(given)
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="a backup is encrypted to a key, and none is named"):
        keys.sealed(b"", ())
    key.chmod(0o644)
    for path, why in (
        (key, f"others may read the private key {key}"),
        (f"{ecdsa}.pub", "others may read"),
        (tmp_path / "nowhere", "cannot read the private key"),
    ):
        with pytest.raises(ConfigError, match=why):
            keys.private(str(path))
    (tmp_path / "empty").chmod(0o600)
    with pytest.raises(ConfigError, match="empty has no private key in it; name one of"):
        keys.private(str(tmp_path / "empty"))
    with pytest.raises(ConfigError, match=f"the key {ecdsa} opens no backup: "):
        keys.private(str(ecdsa))


def changed(cluster: Cluster, **other: Any) -> Cluster:
    return cluster.model_copy(update=other)


def with_node(cluster: Cluster, name: str, **other: Any) -> Cluster:
    nodes = tuple(node.model_copy(update=other) if node.name == name else node for node in cluster.nodes)
    return changed(cluster, nodes=nodes)


def without(cluster: Cluster, name: str) -> Cluster:
    return changed(cluster, nodes=tuple(node for node in cluster.nodes if node.name != name))


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (LAB, ""),
        (changed(LAB, description="other words", release="v1.34.2", lab=None), ""),
        (changed(LAB, name="rack-1"), "name was lab, and the file says rack-1; name that cluster's file with"),
        (changed(LAB, services=HA.services.model_copy(update={"domain": "x.local"})), "services was subnet fd00:"),
        (changed(LAB, cni=Cni(by="none")), "cni.by was bridge, and the file says none"),
        (changed(LAB, cni=Cni(plugins="system")), ""),
        (changed(LAB, endpoint=HA.endpoint), "endpoint was absent, and the file says name"),
        (with_node(LAB, WORKER, ssh=LAB.nodes[0].ssh.model_copy(update={"host": "elsewhere"})), ""),
        (with_node(LAB, WORKER, roles=("control-plane",)), f"roles of {WORKER} was worker, and the file says con"),
        (without(LAB, WORKER), f"the node {WORKER} of the backup is not in the file; restore it with the"),
        (without(LAB, "kube-support"), ""),
    ],
)  # fmt: skip
def test_a_backup_is_restored_onto_its_own_cluster_alone(now: Cluster, why: str) -> None:
    made = sample_backup.backup(LAB)
    if not why:
        form.refuse_other_cluster(made, now, "file")
        return
    with pytest.raises(ConfigError, match=r"^file is a backup of the cluster lab of 2026-11-28T01:30:00Z") as caught:
        form.refuse_other_cluster(made, now, "file")
    assert why in str(caught.value)
    assert str(caught.value).endswith("; nothing was changed")


def machine(*, authority: str = AUTHORITY, is_control_plane: bool = False, version: str = "") -> Machine:
    """One that is a node."""
    there = frozenset({authority})
    return Machine(membership=Membership(
        server="s", is_node=True, is_control_plane=is_control_plane, authorities=there, version=version
    ))  # fmt: skip


CONTROLS = machine(is_control_plane=True)
ID = sample_backup.backup().id


@pytest.mark.parametrize(
    ("found", "under_way", "why"),
    [
        ({}, {}, ""),
        ({FIRST: Machine(), SECOND: None}, {}, ""),
        ({FIRST: CONTROLS}, {}, f"{FIRST}: restore: it is a control plane of lab-ha still, and what that"),
        ({THIRD: CONTROLS}, {}, f"{THIRD}: restore: it is a control plane of lab-ha still"),
        # A restore that was cut off goes on, with whomever it has made a control plane.
        ({FIRST: CONTROLS, SECOND: CONTROLS}, {FIRST: ID}, ""),
        ({FIRST: CONTROLS, SECOND: machine(authority="other")}, {FIRST: ID}, f"{SECOND}: restore: it is a node"),
        ({FIRST: CONTROLS}, {FIRST: "0" * 64}, f"{FIRST}: restore: a restore of another backup (000000000000, this is"),
        ({WORKER: machine()}, {}, ""),
        ({WORKER: machine(version=sample_backup.backup().manifest.version)}, {}, ""),
        ({WORKER: machine(version="v1.21.0")}, {}, f"{WORKER}: restore: its kubelet is v1.21.0, and the backup is"),
        ({WORKER: machine(authority="other")}, {}, f"`kubev6 reset {WORKER}` first; nothing was changed"),
    ],
)  # fmt: skip
def test_machines_keep_what_a_restore_would_destroy(
    found: dict[str, Machine | None], under_way: dict[str, str], why: str
) -> None:
    made = sample_backup.backup(HA)
    if not why:
        form.refuse_machines(made, HA, found, under_way)
        return
    with pytest.raises(KubeV6Error) as caught:
        form.refuse_machines(made, HA, found, under_way)
    assert why in str(caught.value)


def test_a_worker_that_the_backup_does_not_know_and_every_other_machine_is_named() -> None:
    made = sample_backup.backup(HA, nodes=(FIRST,))
    with pytest.raises(KubeV6Error, match=f"{FIRST}: .*; {WORKER}: restore: it joined the cluster after the backup of"):
        form.refuse_machines(made, HA, {FIRST: CONTROLS, WORKER: machine()}, {})


@pytest.mark.parametrize(
    ("states", "why"),
    [
        ({FIRST: State("", "", False)}, ""),
        ({FIRST: State(ID, "begun", True)}, ""),
        ({FIRST: State(ID, "up", True), SECOND: State("", "", True)}, ""),
        ({SECOND: State("", "", True)}, f"{SECOND}: restore: there is data of an etcd in /var/lib/etcd; if the"),
    ],
)  # fmt: skip
def test_data_of_etcd_of_which_nobody_tells_is_kept(states: dict[str, State], why: str) -> None:
    if why:
        with pytest.raises(KubeV6Error, match=why):
            restore.refuse_data(HA, states)
    else:
        restore.refuse_data(HA, states)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBEV6_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def make(content: bytes, to: str = "", *, name: str = "lab") -> Path:
    path, named = files.place(name, to)
    path = path.absolute()
    digest = files.write(path, content)
    files.remember(name, Made(path=str(path), sha256=digest, made=sample_backup.MADE, named=named))
    return path


def test_a_backup_is_called_by_cluster_and_time_and_its_owners_alone(data: Path) -> None:
    path = make(b"one")
    assert path.parent == data / "backups" / "lab"
    assert path.name.startswith("lab-20")
    assert path.name.endswith("Z.kubev6.age")
    assert [each.stat().st_mode & 0o777 for each in (path, path.parent / "backups.json")] == [0o600, 0o600]
    assert sorted(each.name for each in path.parent.iterdir()) == ["backups.json", path.name]
    assert files.newest("lab") == path


def test_old_backups_go_but_none_that_somebody_else_made_named_or_changed(data: Path, tmp_path: Path) -> None:
    elsewhere, usb = make(b"elsewhere", name="other"), tmp_path / "usb"
    usb.mkdir()
    on_usb, by_name = make(b"usb", str(usb)), make(b"named", str(tmp_path / "mine.age"))
    made = [make(str(number).encode()) for number in range(5)]
    like_ours = made[0].with_name("lab-20200101T000000.000Z.kubev6.age")
    like_ours.write_bytes(b"copied here")
    in_place = make(b"x", str(made[0].parent / "named-by-a-person.age"))
    made[1].write_bytes(b"changed")
    assert files.prune("lab", made[0].parent, 2) == (made[0], made[2])
    left = {*made[3:], made[1], like_ours, in_place}
    assert {path for path in (data / "backups" / "lab").iterdir() if path.suffix == ".age"} == left
    assert all(path.exists() for path in (elsewhere, on_usb, by_name))
    assert files.prune("lab", usb, 1) == ()
    assert files.newest("lab") == in_place


def test_a_place_that_is_taken_or_not_there_is_refused(data: Path, tmp_path: Path) -> None:  # noqa: ARG001
    (tmp_path / "there.age").write_bytes(b"")
    for to, why in (
        ("there.age", "there is a file .*there.age already; name another one, or a directory"),
        ("nowhere/new.age", "there is no directory .*nowhere; make it"),
        ("nowhere/", "there is no directory .*nowhere; make it"),
    ):
        with pytest.raises(ConfigError, match=f"^--to: {why}"):
            files.place("lab", f"{tmp_path}/{to}")
    with pytest.raises(ConfigError, match="no backup of lab was made from here, or all are gone; name the file of one"):
        files.newest("lab")


def test_nothing_is_left_of_a_backup_that_cannot_be_written(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes | str, *, mode: int = 0) -> None:  # noqa: ARG001
        raise OSError(28, "No space left on device")

    substitute(monkeypatch, files, "write_whole", full)
    with pytest.raises(KubeV6Error, match=r"^the backup .* cannot be written: No space left on device; make room"):
        make(b"one")
    assert not data.exists()


@pytest.mark.usefixtures("data")
def test_commands_refuse_in_a_line_before_anything_is_asked(
    tmp_path: Path, key: Path, identity: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lab.age"
    sample_backup.write(path, str(identity.to_public()))
    other = ssh_key(tmp_path / "other", "ed25519")
    for words, why in (
        (["backup", "--key", str(tmp_path / "nowhere")], "cannot read the public key"),
        (["backup", "--key", f"{other}.pub"], "cluster lab has not been deployed from here"),
        (["restore", "--key", str(key)], "no backup of lab was made from here"),
        (["restore", str(tmp_path / "nowhere"), "--key", str(key)], "cannot read the backup .*: No such file"),
        (["restore", str(path), "--key", str(other)], "lab.age is not encrypted to the key in"),
        (["restore", str(path), "--key", str(key), "--cluster", "lab-ha"], "a backup of the cluster lab of"),
        (
            ["restore", str(path), "--key", str(key)],
            "the store does not have that build .000000000000. of release debia",
        ),
        (["restore", str(other), "--key", str(key)], "other is damaged or cut off, or no backup"),
    ):
        assert main(words) == 1
        (line,) = [each for each in capsys.readouterr().err.splitlines() if each]
        assert line.startswith("kubev6: ")
        assert re.search(why, line), line
    with pytest.raises(SystemExit, match="2"):
        main(["backup"])
    assert "the following arguments are required: --key" in capsys.readouterr().err


def test_the_cluster_file_of_a_backup_is_the_cluster(tmp_path: Path) -> None:
    for cluster in (LAB, HA, load_cluster("bare-metal"), load_cluster("kube-v6")):
        (tmp_path / "cluster.yaml").write_text(verbs.cluster_file(cluster))
        read = load_cluster(tmp_path / "cluster.yaml")
        assert form.differences(cluster, read) == ()
        assert read.nodes == cluster.nodes
        assert (read.lab is None) == (cluster.lab is None)
