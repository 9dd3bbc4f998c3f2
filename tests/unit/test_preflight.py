"""What a machine's survey says against it, as a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from configs.errors import NodeError
from configs.kernel import Kernel
from configs.schema.loading import load_cluster, load_release
from configs.schema.release import Release
from configs.systems import Machine
from tasks.node.preflight import check, problems

CLUSTER = load_cluster("lab")
RELEASE = load_release("debian-1.20")
GOOD = Machine(interfaces=("lo", "eth0", "eth1"))
SUPPORT, CONTROL_PLANE, WORKER = "kube-support", "kube-control-plane", "kube-worker-1"


def release(version: str) -> Release:
    return RELEASE.model_copy(update={"kubernetes": version})


def machine(**kernel: Any) -> Machine:
    return replace(GOOD, kernel=Kernel(**kernel))


CASES: dict[str, tuple[str, Release, Machine, tuple[str, ...]]] = {
    "a machine as it should be": (CONTROL_PLANE, RELEASE, GOOD, ()),
    "another processor": (WORKER, RELEASE, machine(processor="aarch64"), ("processor is aarch64",)),
    "another processor, where none of the release's binaries run": (SUPPORT, RELEASE, machine(processor="aarch64"), ()),
    "a kernel without IPv6": (SUPPORT, RELEASE, machine(ipv6=False), ("kernel runs without IPv6",)),
    "cgroup v2 and a release that does not know it": (
        WORKER,
        release("1.18.20"),
        GOOD,
        ("cgroup v2, and Kubernetes 1.18.20 knows only v1",),
    ),
    "cgroup v2 on the support node": (SUPPORT, release("1.18.20"), GOOD, ()),
    "cgroup v1 and an old release": (WORKER, release("1.9.0-alpha.0.ipv6.0"), machine(cgroup=1), ()),
    "cgroup v2 and the first release that knows it": (WORKER, release("1.19.0"), GOOD, ()),
    "cgroup v1 and a release that has left it": (
        WORKER,
        release("1.35.0"),
        machine(cgroup=1),
        ("cgroup v1, and Kubernetes 1.35.0 knows only v2",),
    ),
    "cgroup v1 on the support node": (SUPPORT, release("1.35.0"), machine(cgroup=1), ()),
    "a kernel without a module": (
        WORKER,
        RELEASE,
        machine(lacking=("br_netfilter", "something")),
        ("no module br_netfilter, without which packets between pods",),
    ),
    "no device for tayga": (SUPPORT, RELEASE, machine(lacking=("tun",)), ("no /dev/net/tun, by which tayga",)),
    "no such device where nothing wants it": (WORKER, RELEASE, machine(lacking=("tun",)), ()),
    "little memory for a control plane": (
        CONTROL_PLANE,
        RELEASE,
        machine(memory=1024 << 20),
        ("1024 MB of memory, and a control plane needs 1700 MB",),
    ),
    "just enough memory": (CONTROL_PLANE, RELEASE, machine(memory=1700 << 20), ()),
    "the same memory, enough for a worker": (WORKER, RELEASE, machine(memory=1024 << 20), ()),
    "several at once": (
        CONTROL_PLANE,
        RELEASE,
        machine(processor="aarch64", memory=1 << 29),
        ("aarch64", "512 MB"),
    ),
}


@pytest.mark.parametrize(
    ("swaps", "seen"), [((), 0), (("/dev/sda2",), 0), (("/dev/sda2", "/dev/zram0"), 1)], ids=["none", "disk", "zram"]
)
def test_swap_that_nothing_here_can_keep_off_is_named(swaps: tuple[str, ...], seen: int) -> None:
    own = CLUSTER.model_copy(update={"lab": None})
    found = problems(own, RELEASE, CLUSTER.node(WORKER), machine(swaps=swaps))
    assert len(found) == seen
    assert all("its swap on /dev/zram0 comes back at every start" in problem for problem in found)
    assert problems(own, RELEASE, CLUSTER.node(SUPPORT), machine(swaps=swaps)) == ()
    assert problems(CLUSTER, RELEASE, CLUSTER.node(WORKER), machine(swaps=swaps)) == ()


@pytest.mark.parametrize(("node", "release", "asked", "seen"), CASES.values(), ids=CASES.keys())
def test_what_stands_against_a_machine_is_named(
    node: str, release: Release, asked: Machine, seen: tuple[str, ...]
) -> None:
    found = problems(CLUSTER, release, CLUSTER.node(node), asked)
    assert len(found) == len(seen)
    for problem, part in zip(found, seen, strict=True):
        assert part in problem


def test_one_line_names_the_node_and_every_reason() -> None:
    with pytest.raises(NodeError) as error:
        check(CLUSTER, RELEASE, CLUSTER.node(WORKER), machine(processor="aarch64", ipv6=False))
    text = str(error.value)
    assert text.startswith("kube-worker-1: preflight: its kernel runs without IPv6")
    assert "; its processor is aarch64" in text
    assert "nothing was changed there" in text
    assert "\n" not in text
    assert not error.value.transient


def test_a_machine_as_it_should_be_passes() -> None:
    check(CLUSTER, RELEASE, CLUSTER.node(CONTROL_PLANE), GOOD)


def test_jool_translates_without_the_device_that_tayga_needs() -> None:
    by_jool = CLUSTER.model_copy(update={"nat64": CLUSTER.nat64.model_copy(update={"by": "jool"})})
    assert problems(by_jool, RELEASE, CLUSTER.node(SUPPORT), machine(lacking=("tun",))) == ()
