"""Kubernetes from 1.9 to 1.37 on each system that is current: what differs from one to the next, as golden files.

``golden/bare-metal`` holds the whole of one: Kubernetes 1.20 on Debian 12. ``golden/line/versions.txt`` says what each
version has differently from the one before, there; ``golden/line/SYSTEM.txt`` what each system has differently from
Debian 12, and for which versions; ``golden/line/refused.txt`` which of them go together at all.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest

from configs.errors import ConfigError
from configs.manifest import Manifest
from configs.plan.node import plan_node
from configs.plan.systems import Machine, machine_running
from configs.schema.loading import load_cluster, load_release
from configs.schema.release import Release
from tasks.node.compatibility import Candidate, problems, warnings
from tests.unit.sample import manifest
from tests.unit.test_kubernetes_documents import fetched
from tests.unit.test_plan import GOLDEN, as_text

CLUSTER = load_cluster("bare-metal").model_copy(update={"runtime": None})
NODES = ("rack-1-support", "rack-1-control-plane", "rack-1-worker-1")
HOW_TO, BUILT, CURRENT = (load_release(name) for name in ("v1.9.0-alpha.0.ipv6.0", "debian-1.20", "v1.34.2"))

TAGS = {
    "1.24.0": ("3.5.3-0", "v1.8.6", "3.7"),
    "1.28.0": ("3.5.9-0", "v1.10.1", "3.9"),
    "1.31.0": ("3.5.15-0", "v1.11.1", "3.10"),
    "1.34.2": ("3.6.5-0", "v1.12.1", "3.10.1"),
    "1.36.0": ("3.6.8-0", "v1.14.2", "3.10.2"),
    "1.37.0": ("3.7.0-0", "v1.14.6", "3.10.2"),
}
"""etcd, CoreDNS and pause of each version."""
VERSIONS = ("1.9.0-alpha.0.ipv6.0", "1.20.2", *TAGS)
DEBIAN_12 = "debian-12"
ASKED = replace(Machine(), resolvers=("192.0.2.53",), iptables="nft")
SYSTEMS: dict[str, Machine] = {
    name: replace(ASKED, os=machine_running(name).os, version=machine_running(name).version, runtime=containerd)
    for name, containerd in {
        DEBIAN_12: "1.6",
        "debian-13": "1.7",
        "ubuntu-22.04": "1.7",
        "ubuntu-24.04": "1.7",
        "ubuntu-26.04": "2.2",
        "rhel-9.6": "",
        "rhel-10.0": "",
    }.items()
}
SYSTEMS |= {name: replace(SYSTEMS[name], resolved=True) for name in SYSTEMS if name.startswith("ubuntu")}
SYSTEMS |= {
    name: replace(SYSTEMS[name], networkmanager=True, firewalld=True) for name in SYSTEMS if name.startswith("rhel")
}
"""Machines as they are installed, and the containerd that each is assumed to bring; that of RHEL is not known."""


@cache
def release(version: str) -> tuple[Release, Manifest]:
    """A release of a version and what it holds."""
    if version == HOW_TO.kubernetes:
        return HOW_TO, fetched(HOW_TO)
    if version == BUILT.kubernetes:
        return BUILT, manifest(stand_in=False)
    etcd, coredns, pause = TAGS[version]
    assert CURRENT.fetch is not None
    references = [f"kube-{name}:v{version}" for name in ("apiserver", "controller-manager", "scheduler", "proxy")]
    references += [f"etcd:{etcd}", f"coredns/coredns:{coredns}", f"pause:{pause}"]
    images = tuple(f"registry.k8s.io/{reference}" for reference in references)
    fetch = CURRENT.fetch.model_copy(update={"images": images})
    wanted = CURRENT.model_copy(update={"name": f"v{version}", "kubernetes": version, "fetch": fetch})
    return wanted, fetched(wanted)


Parts = dict[str, list[str]]
"""Lines of a node's state, by what they are about: a file, or a field of a stage."""


@cache
def parts(version: str, system: str, node: str) -> Parts:
    """The state of a node; where it cannot be one, why."""
    try:
        text = as_text(plan_node(CLUSTER, *release(version), node, SYSTEMS[system]))
    except ConfigError as error:
        return {"refused": ["; ".join(filter(None, (error.message, error.todo)))]}
    found: Parts = {}
    stage = about = ""
    for line in text.splitlines():
        if line.startswith("=== "):
            stage = line.removeprefix("=== ")
            about = ""
        elif line.startswith("--- /"):
            about = line.removeprefix("--- ").strip()
            found[about] = []
        elif about:
            found[about].append(line)
        else:
            field, _, value = line.partition(": ")
            found.setdefault(f"{stage}: {field}", []).append(re.sub(r"sha256='.*(?='\))", "sha256='…", value))
    return found


def differences(before: Parts, after: Parts) -> Iterator[str]:
    """What changed, one text for each part."""
    for part in [*before, *(each for each in after if each not in before)]:
        if part not in after:
            yield f"- {part}"
        elif part not in before:
            yield "\n".join([f"+ {part}", *(f"    + {line}" for line in after[part])])
        elif before[part] != after[part]:
            changed = list(difflib.unified_diff(before[part], after[part], n=0, lineterm=""))[2:]
            lines = [f"    {line[0]} {line[1:]}" for line in changed if not line.startswith("@@")]
            yield "\n".join([f"  {part}", *lines])


def grouped(seen: Iterable[tuple[str, str, str]]) -> list[str]:
    """Each difference once, with where it is seen.

    Args:
        seen: Node, version and difference.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for node, version, difference in seen:
        found.setdefault(difference, {}).setdefault(node, []).append(version)
    lines: list[str] = []
    for difference, places in found.items():
        by_versions: dict[str, list[str]] = {}
        for node, about in places.items():
            text = "every version" if len(about) == len(VERSIONS) else ", ".join(about)
            by_versions.setdefault(text, []).append(node)
        where = "; ".join(f"{', '.join(nodes)}: {about}" for about, nodes in by_versions.items())
        lines += [f"=== {where}", difference]
    return lines or ["nothing differs"]


def check(name: str, lines: list[str]) -> None:
    """Compare with a golden file, or write it."""
    text = "\n".join(lines) + "\n"
    golden = GOLDEN / "line" / f"{name}.txt"
    if os.environ.get("KUBEV6_WRITE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_each_version_differs_from_the_one_before_as_in_its_golden_file() -> None:
    check(
        "versions",
        grouped(
            (node, f"{before} -> {after}", difference)
            for before, after in pairwise(VERSIONS)
            for node in NODES
            for difference in differences(parts(before, DEBIAN_12, node), parts(after, DEBIAN_12, node))
        ),
    )


@pytest.mark.parametrize("system", [name for name in SYSTEMS if name != DEBIAN_12])
def test_each_system_differs_from_debian_12_as_in_its_golden_file(system: str) -> None:
    check(
        system,
        grouped(
            (node, version, re.sub(r"(/pause\S*?):[0-9.]+", r"\1:TAG", difference))
            for node in NODES
            for version in VERSIONS
            for difference in differences(parts(version, DEBIAN_12, node), parts(version, system, node))
        ),
    )


def test_which_versions_and_systems_go_together_is_as_in_its_golden_file() -> None:
    seen: list[tuple[str, str, str]] = []
    for system, machine in SYSTEMS.items():
        for cgroup in (1, 2):
            there = replace(machine, kernel=replace(machine.kernel, cgroup=cgroup))
            for version in VERSIONS:
                wanted, held = release(version)
                candidate = Candidate(CLUSTER, wanted, CLUSTER.node(NODES[1]), there, held)
                if wanted.runtime == "docker":
                    candidate = replace(candidate, machine=replace(there, runtime="20.10"))
                told = [f"  refused: {each}" for each in problems(candidate)]
                told += [f"  warned of: {each}" for each in warnings(candidate)]
                place = f"{system} with cgroup v{cgroup}"
                seen += [(place, version, each.replace(wanted.kubernetes, "VERSION")) for each in told or ["  well"]]
    check("refused", grouped(seen))


def test_the_line_begins_at_the_state_that_a_golden_file_holds_whole() -> None:
    """Else these files would say what differs from something that nobody can read."""
    for node in NODES:
        whole = (GOLDEN / "bare-metal" / f"{node}.txt").read_text()
        machine = replace(SYSTEMS[DEBIAN_12], runtime="", iptables="")
        cluster = load_cluster("bare-metal")
        assert as_text(plan_node(cluster, BUILT, manifest(stand_in=False), node, machine)) == whole
