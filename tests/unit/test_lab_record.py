"""The record of a lab and what is derived from it."""

from __future__ import annotations

import stat
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from configs.errors import KubeV6Error
from configs.schema.loading import load_cluster
from tasks import inventory
from tasks.lab import lab
from tasks.lab import machine as lab_machine
from tasks.lab import network as lab_network
from tasks.lab import record as lab_record
from tasks.lab.record import LabRecord, NodeRecord
from tasks.replace import write_whole

KEY = "ssh-ed25519 AAAAC3Nza"
NODES = (
    NodeRecord("kube-support", ("support",), "c0ffee", "172.20.0.10", 22, KEY + "1"),
    NodeRecord("kube-1", ("control-plane", "worker"), "facade", "172.20.0.11", 2222, KEY + "2"),
)
RECORD = LabRecord("lab", "172.20.0.0/16", "172.20.0.2", NODES)


@pytest.fixture(autouse=True)
def _own_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEV6_DATA", str(tmp_path))


def test_a_record_is_read_as_it_was_written() -> None:
    lab_record.write(RECORD)
    assert lab_record.read("lab") == RECORD
    assert lab_record.names() == ("lab",)


def test_no_record_is_none_and_its_endpoints_an_error() -> None:
    assert lab_record.read("lab") is None
    with pytest.raises(KubeV6Error, match="lab up"):
        lab.endpoints("lab")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name": "lab", "nodes": [{"name": "x"}]}'])
def test_a_damaged_record_is_an_error_that_says_what_to_do(text: str) -> None:
    lab_record.write(RECORD)
    (lab_record.directory("lab") / "record.json").write_text(text)
    with pytest.raises(KubeV6Error, match="lab down --cluster lab`"):
        lab_record.read("lab")


def test_known_hosts_has_brackets_only_for_other_ports() -> None:
    assert lab_record.render_known_hosts(RECORD) == (f"172.20.0.10 {KEY}1\n[172.20.0.11]:2222 {KEY}2\n")


def test_endpoints_name_the_labs_own_key_and_known_hosts() -> None:
    lab_record.write(RECORD)
    endpoint = lab.endpoints("lab")["kube-1"]
    assert (endpoint.host, endpoint.port, endpoint.user) == ("172.20.0.11", 2222, "root")
    assert endpoint.key_file == str(lab_record.key_file("lab"))
    assert endpoint.known_hosts is not None
    assert Path(endpoint.known_hosts).read_text() == lab_record.render_known_hosts(RECORD)


def test_the_key_is_made_once_and_is_private() -> None:
    public = lab_record.ensure_key("lab")
    assert lab_record.ensure_key("lab") == public
    assert public.startswith("ssh-ed25519 ")
    assert stat.S_IMODE(lab_record.key_file("lab").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "no key\n"])
def test_a_key_that_is_none_is_named_and_not_replaced(content: str) -> None:
    lab_record.key_file("lab").parent.mkdir(parents=True)
    write_whole(lab_record.key_file("lab"), content, mode=0o600)
    with pytest.raises(KubeV6Error, match=r"labs/lab/id_ed25519 cannot be used as a private key: .*; remove it"):
        lab_record.ensure_key("lab")
    assert lab_record.key_file("lab").read_text() == content


def test_a_machine_that_the_lab_lacks_is_named() -> None:
    lab_record.write(RECORD)
    with pytest.raises(KubeV6Error, match=r"has no machine kube-control-plane, kube-worker-1, kube-worker-2; .*lab up"):
        inventory.endpoints(load_cluster("lab"))


def test_nodes_keep_their_addresses_and_new_ones_get_free_ones() -> None:
    nodes = load_cluster("lab").nodes
    subnet = IPv4Network("172.20.0.0/24")
    known = {"kube-worker-1": "172.20.0.10", "kube-worker-2": "10.9.9.9", "gone": "172.20.0.11"}
    assert lab_network.addresses(nodes, subnet, known) == {
        "kube-support": "172.20.0.12",
        "kube-control-plane": "172.20.0.13",
        "kube-worker-1": "172.20.0.10",
        "kube-worker-2": "172.20.0.14",
    }


def test_a_written_file_replaces_the_old_one_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_whole(file, "old")
    write_whole(file, "new", mode=0o600)
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_names_of_containers_cannot_meet() -> None:
    pairs = [("a", "b-c"), ("a-b", "c"), ("a", "outside"), ("a", "")]
    assert len({lab_machine.container_name(*pair) for pair in pairs}) == len(pairs)
