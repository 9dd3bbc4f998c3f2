"""Machines whose clocks are apart."""

from __future__ import annotations

import pytest

from configs.errors import KubeV6Error
from configs.plan.systems import Machine
from configs.schema.loading import load_cluster
from tasks.node import host_facts
from tasks.node.clocks import refuse_apart

CLUSTER = load_cluster("lab")
NAMES = ("kube-support", "kube-control-plane", "kube-worker-1", "kube-worker-2")


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        ((0, 0, 0, 0), ""),
        ((7, -20, 30, 3), ""),
        ((-86400, -86400, -86370, -86400), ""),
        ((0, 0, 61, 0), "kube-worker-1: preflight: its clock is 0:01:01 ahead of that of kube-control-plane"),
        ((0, 0, 0, -86400), "kube-worker-2: preflight: its clock is 1 day, 0:00:00 behind that of kube-control-plane"),
        ((5, 7200, 5, 5), "kube-control-plane: preflight: its clock is 1:59:55 ahead of those of the others"),
        ((0, None, 0, 120), ""),
        ((None, 100, None, None), ""),
        ((None, None, None, None), ""),
    ],
)
def test_one_that_is_apart_from_the_control_plane_s_is_refused(ahead: tuple[int | None, ...], said: str) -> None:
    found = {name: Machine(ahead=each) for name, each in zip(NAMES, ahead, strict=True)}
    seen = ""
    try:
        refuse_apart(CLUSTER, found)
    except KubeV6Error as error:
        seen = str(error)
    assert bool(seen) == bool(said)
    assert seen.startswith(said)


def test_all_that_are_apart_are_named_and_one_that_was_not_reached_is_none() -> None:
    found = {"kube-control-plane": Machine(ahead=0), "kube-worker-1": Machine(ahead=99), "kube-support": None}
    with pytest.raises(KubeV6Error) as refused:
        refuse_apart(CLUSTER, found | {"kube-worker-2": Machine(ahead=-99), "x": Machine(ahead=0)})
    assert all(name in str(refused.value) for name in ("kube-worker-1", "kube-worker-2"))


def test_a_clock_is_told_by_the_seconds_since_1970() -> None:
    assert host_facts.parse("=== clock\n1000060\n=== swaps\n", asked=1000000.2).ahead == 60
    assert host_facts.parse("=== clock\nnobody knows\n", asked=1000000.2).ahead is None
