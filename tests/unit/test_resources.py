"""Each kind of resource by its table in ``resources/``: what is wanted, what the node answers, what must be done.

A table has the answer of a node that has ``nothing``, and its cases. A case says what is ``there`` instead and what
earlier runs ``added``, and which changes must come of it (action, subject, before, after), none unless it says so; what
of each is ``sent`` to the node; what came ``earlier``; the ``lines`` in which a person reads what is wanted; and the
``warnings``, none unless it says so.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.plan.state import Address, Binary, Certificate, File, Reload, Route, Service, StageState, Sysctl
from tasks.node import engine
from tasks.node.change import Change
from tasks.node.resources import kinds
from tasks.node.resources.kind import Kind
from tasks.node.resources.kinds import KINDS
from tasks.node.resources.service import UnwantedServices
from tasks.node_agent import read_facts, record
from tasks.node_agent.resources import kinds as agent
from tests.fakes import substitute

TABLES = {path.stem: yaml.safe_load(path.read_text()) for path in (Path(__file__).parent / "resources").glob("*.yaml")}
VALUES: Mapping[str, Any] = {
    "files": File,
    "certificates": Certificate,
    "sysctls": Sysctl,
    "addresses": Address,
    "routes": Route,
    "binaries": Binary,
    "services": Service,
    "reloads": Reload,
}
"""What the items of a stage's attributes are, where they are not names."""


def table_of(kind: Kind[Any]) -> str:
    return "unwanted-service" if isinstance(kind, UnwantedServices) else kind.name


def stage(wanted: Mapping[str, Any]) -> StageState:
    def frozen(value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    def item(name: str, value: Any) -> Any:
        made = VALUES.get(name)
        return made(**{key: frozen(each) for key, each in value.items()}) if made else value

    values: dict[str, Any] = {
        name: tuple(item(name, each) for each in value) if isinstance(value, list) else value
        for name, value in wanted.items()
    }
    return StageState(name="network", **values)


def there(kind: Kind[Any], case: Mapping[str, Any]) -> Any:
    """What a node answers in a case."""
    nothing = TABLES[table_of(kind)]["nothing"]
    return {**nothing, **case.get("there", {})} if isinstance(nothing, dict) else case.get("there", nothing)


CASES = [
    pytest.param(kind, case, id=f"{table_of(kind)}: {name}")
    for kind in KINDS
    for name, case in TABLES[table_of(kind)]["cases"].items()
]


@pytest.mark.parametrize(("kind", "case"), CASES)
def test_what_is_not_as_it_should_be_is_changed_and_nothing_else(kind: Kind[Any], case: Mapping[str, Any]) -> None:
    wanted = stage(case.get("wanted", {}))
    earlier = tuple(Change(*words) for words in case.get("earlier", ()))
    facts = kind.parse(there(kind, case), case.get("added", {}))
    changes = tuple(kind.changes(wanted, facts, earlier))
    assert changes == tuple(
        Change(kind.name, subject, action, *rest) for action, subject, *rest in case.get("changes", ())
    )
    assert list(kind.warnings(wanted, facts)) == case.get("warnings", [])
    if "sent" in case:
        sent = [engine.as_order(change)["resource"] for change in changes]
        assert json.loads(json.dumps(sent)) == case["sent"]
    if "lines" in case:
        assert list(kind.lines(wanted)) == case["lines"]


def test_every_kind_has_its_other_half_and_a_table_in_which_something_and_nothing_is_to_be_done() -> None:
    assert {kind.name for kind in KINDS} == set(agent.KINDS)
    assert sorted(map(table_of, KINDS)) == sorted(TABLES)
    for table in TABLES.values():
        assert {bool(case.get("changes")) for case in table["cases"].values()} == {True, False}


ALL = StageState(
    name="all",
    packages=("p",),
    modules=("m",),
    files=(File("/etc/x.conf", "x\n"), File("/etc/hosts", "fd00::1 a\n", block=True)),
    only_files_in=("/etc/only",),
    shared_directories=("/etc/shared",),
    certificates=(Certificate("/etc/kubev6/registry.pem", "kube-support", "fd00::64"),),
    swap_off=True,
    selinux_permissive=True,
    no_ipv4_names=("kube-1",),
    sysctls=(Sysctl("a.b", "1"),),
    links_up=("eth1",),
    addresses=(Address("eth1", "fd00::100/64"),),
    no_ipv4_on=("eth1",),
    no_ipv4_default_route=True,
    routes=(Route("fd00:101::/64", "fd00::101", "eth1"),),
    binaries=(Binary("/usr/bin/kubelet", "a" * 64, 100, "http://[fd00::64]:5000/blob"),),
    reloads=(Reload(("netplan", "apply"), ("/etc/x.conf",)),),
    services=(Service("kubelet.service", restart_on=("/etc/x.conf", "/usr/bin/kubelet")),),
)
"""Something of every kind."""
OTHER = StageState("other", packages=("socat-none",), files=(File("/etc/other", "x\n"),))
FILE = {"kind": "file", "sha256": "b" * 64, "mode": 0o644, "target": ""}


def test_changes_come_in_the_order_in_which_they_must_be_made() -> None:
    answers = {kind.name: TABLES[kind.name]["nothing"] for kind in KINDS}
    answers |= {
        "file": {"files": {"/etc/only/y": FILE}, "blocks": {}},
        "swap": {"devices": ["/dev/sda2"], "fstab": []},
        "selinux": {"now": "enforcing", "boot": "enforcing"},
        "ipv4-name": {"kube-1": ["127.0.1.1"]},
        "sysctl": {"a.b": None},
        "binary": {"/usr/bin/kubelet": None},
        "ipv4-address": {"eth1": ["10.0.0.1/8"]},
        "ipv4-default-route": ["default dev eth0"],
    }
    added: dict[str, Any] = {**{kind.name: {} for kind in KINDS}, "service": ["old.service"]}
    changes = kinds.diff(ALL, kinds.parse(answers, added))
    assert [(change.kind, change.action) for change in changes] == [
        ("package", "install"),
        ("module", "load"),
        ("service", "undo"),
        ("directory", "share"),
        ("file", "create"),
        ("file", "create"),
        ("file", "delete"),
        ("certificate", "make"),
        ("swap", "off"),
        ("selinux", "set"),
        ("ipv4-name", "remove"),
        ("sysctl", "set"),
        ("link", "set up"),
        ("address", "add"),
        ("ipv4-address", "remove"),
        ("ipv4-default-route", "remove"),
        ("route", "add"),
        ("binary", "fetch"),
        ("command", "run"),
        ("service", "enable"),
        ("service", "start"),
    ]
    assert pickle.loads(pickle.dumps(changes)) == changes


def test_both_halves_of_every_kind_understand_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine answers, which has a record of an earlier run, as its answer goes over the wire."""
    substitute(monkeypatch, record, "HOME", str(tmp_path))
    added = {"routes": asdict(ALL.routes[0]), "addresses": asdict(ALL.addresses[0])}
    noted = record.Record("all", {"pending_restarts": ["netplan apply"]})
    for notes, before in added.items():
        noted.note(notes, "its words", before)
    noted.note("files", str(tmp_path / "gone"), {"before": "", "block": False})
    noted.note("services", "none.service", {})
    noted.save()
    asked = json.loads(json.dumps(kinds.query((ALL, OTHER))))
    answer = json.loads(json.dumps(read_facts.facts(**asked)))
    facts, other = (kinds.parse(answer["there"], answer["added"][name]) for name in ("all", "other"))
    assert facts["route"].added == frozenset(ALL.routes)
    assert facts["address"].added == frozenset(ALL.addresses)
    assert facts["file"].files[str(tmp_path / "gone")] is None
    assert facts["file"].blocks["/etc/hosts"] is None
    assert facts["command"] == ["netplan apply"]
    assert facts["service"].added == {"none.service"}
    assert facts["sysctl"] == {"a.b": None}
    assert other["route"].added == frozenset()
    assert facts["file"].files["/etc/other"] is other["file"].files["/etc/other"] is None
    assert [change.subject for change in kinds.diff(OTHER, other)] == ["socat-none", "/etc/other"]
    for change in kinds.diff(ALL, facts):
        assert json.dumps(engine.as_order(change))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (Change("package", "tayga", "install"), "install package tayga"),
        (Change("sysctl", "a.b", "set", "0", "1"), "set sysctl a.b (0 -> 1)"),
        (Change("file", "/etc/x", "create", after="mode 0644"), "create file /etc/x (mode 0644)"),
    ],
)
def test_a_change_is_one_line_for_a_person_and_the_same_for_machines(change: Change, line: str) -> None:
    assert change.describe() == line
    assert Change(**json.loads(json.dumps(change.as_json()))) == change


def test_what_a_change_is_about_is_for_the_node_alone() -> None:
    change = Change("sysctl", "a.b", "set", "0", "1", resource=Sysctl("a.b", "1"))
    assert change == Change("sysctl", "a.b", "set", "0", "1")
    assert "resource" not in {*change.as_json(), *repr(change).split("=")}
    assert engine.as_order(change) == {
        "kind": "sysctl",
        "subject": "a.b",
        "action": "set",
        "resource": {"key": "a.b", "value": "1"},
    }
