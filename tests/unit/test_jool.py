"""Jool's parts on a machine: how they are read, and which fit each other."""

from __future__ import annotations

import pytest

from configs.errors import NodeError
from configs.plan.jool import Jool, jool_of, mismatch
from configs.plan.systems import Machine
from configs.schema.loading import load_cluster, load_release
from tasks.node.compatibility import Candidate
from tasks.node.survey import check

LAB = load_cluster("lab")
RELEASE = load_release("debian-1.20")
BY_JOOL = LAB.model_copy(update={"nat64": LAB.nat64.model_copy(update={"by": "jool"})})
UNEQUAL = Jool("/usr/bin/jool", "4.1.9.0", "4.1.8.0")


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({}, Jool()),
        (
            {"JOOL_TOOL": "/usr/bin/jool", "JOOL_VERSION": "4.1.9.0", "JOOL_MODULE": "4.1.9.0"},
            Jool("/usr/bin/jool", "4.1.9.0", "4.1.9.0"),
        ),
        ({"JOOL_TOOL": "/usr/local/bin/jool", "JOOL_VERSION": "jool 3.5.7.0"}, Jool("/usr/local/bin/jool", "3.5.7.0")),
        ({"JOOL_MODULE": "4.0.7.0"}, Jool(module="4.0.7.0")),
        ({"JOOL_TOOL": "/usr/bin/jool", "JOOL_VERSION": "not today", "JOOL_MODULE": ""}, Jool("/usr/bin/jool")),
    ],
)
def test_what_a_machine_says_of_its_jool_is_read(said: dict[str, str], wanted: Jool) -> None:
    assert jool_of(said) == wanted


@pytest.mark.parametrize(
    ("version", "module", "older"),
    [
        ("4.1.9.0", "4.1.9.0", ""),
        ("4.1.9.0", "", ""),
        ("", "4.1.9.0", ""),
        ("", "", ""),
        ("4.1.10.0", "4.1.9.0", "kernel module"),
        ("4.1.9.0", "4.1.10.0", "command"),
        ("4.1.9.0", "4.1.9.1", "command"),
        ("4.1.9.0", "3.5.7.0", "kernel module"),
        ("3.5.7.0", "4.1.9.0", "command"),
    ],
)
def test_jools_command_and_module_must_be_of_one_version_to_the_last_number(
    version: str, module: str, older: str
) -> None:
    said = mismatch(Jool("/usr/bin/jool", version, module))
    if not older:
        assert said == ""
        return
    for words in (f"/usr/bin/jool is {version}", f"kernel module {module}", f"bring the {older} to"):
        assert words in said
    assert "\n" not in said


def test_a_support_node_with_jools_parts_of_two_versions_is_refused_in_one_line() -> None:
    support = BY_JOOL.support
    with pytest.raises(NodeError) as raised:
        check(Candidate(BY_JOOL, RELEASE, support, Machine(jool=UNEQUAL)))
    line = str(raised.value)
    assert line.startswith(
        "kube-support: preflight: Jool's command /usr/bin/jool is 4.1.9.0 and its kernel module 4.1.8.0"
    )
    assert line.endswith("nothing was changed there")


def test_jool_is_nobodys_business_where_it_does_not_translate() -> None:
    check(Candidate(LAB, RELEASE, LAB.support, Machine(jool=UNEQUAL)))
    check(Candidate(BY_JOOL, RELEASE, BY_JOOL.control_plane, Machine(jool=UNEQUAL)))


@pytest.mark.parametrize(
    ("version", "instances"), [("", True), ("4.0.0.0", True), ("4.1.9.0", True), ("3.5.7.0", False), ("3.4.2.0", False)]
)
def test_instances_came_with_4_0(version: str, instances: bool) -> None:
    assert Jool("/usr/bin/jool", version).has_instances is instances
