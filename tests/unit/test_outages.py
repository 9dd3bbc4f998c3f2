"""What became of each check while a cluster was watched, and how that is told."""

from __future__ import annotations

import json

from kubev6.console import outages
from tasks.kubernetes.checks import Check
from tasks.kubernetes.outages import History


def check(name: str, *, ok: bool, seen: str = "") -> Check:
    return Check(name, "pod on kube-worker-1", "kube-worker-2", ok, seen)


def watched(*rounds: tuple[float, tuple[Check, ...]]) -> tuple[History, list[str]]:
    """What is known after some looks, and what was told of each."""
    history, told = History(), []
    for at, checks in rounds:
        told += [outages.line(each, f"{at:.0f}") for each in history.add(at, checks)]
    return history, told


GOOD = (check("NodePort", ok=True), check("API", ok=True))
NO_PORT = (check("NodePort", ok=False, seen="timed out"), check("API", ok=True))
NOTHING = (check("NodePort", ok=False, seen="refused"), check("API", ok=False, seen="no route to host"))


def test_what_always_holds_is_told_in_one_sentence() -> None:
    history, told = watched((0, GOOD), (1, GOOD))
    assert told == []
    assert history.all(2) == ()
    assert outages.summary(history, 2) == "2 checks, looked at 2 times in 2 s: all held every time"


def test_an_outage_is_told_when_it_begins_and_when_it_is_over_and_not_in_between() -> None:
    history, told = watched((0, GOOD), (1, NO_PORT), (2, NOTHING), (3.5, GOOD), (5, GOOD))
    where = "from pod on kube-worker-1 to kube-worker-2"
    assert told == [
        f"1  FAILED  NodePort {where}: timed out",
        f"2  FAILED  API {where}: no route to host",
        f"4  ok      NodePort {where}, after 2.5 s",
        f"4  ok      API {where}, after 1.5 s",
    ]
    assert [(each.check.name, each.began, each.seconds, each.over) for each in history.all(9)] == [
        ("NodePort", 1, 2.5, True),
        ("API", 2, 1.5, True),
    ]


def test_what_still_fails_at_the_end_lasts_until_then_and_one_that_comes_again_is_another() -> None:
    history, _ = watched((0, NO_PORT), (1, GOOD), (2, NO_PORT), (4, NO_PORT))
    assert [(each.began, each.seconds, each.over) for each in history.all(5)] == [(0, 1, True), (2, 3, False)]
    assert outages.summary(history, 5) == "2 checks, looked at 4 times in 5 s: 1 of them failed at some time"
    told = json.loads(outages.as_json(history, 5))
    assert (told["checks"], told["rounds"], [each["seconds"] for each in told["outages"]]) == (2, 4, [1, 3])
    assert told["outages"][1]["seen"] == "timed out"


def test_a_check_that_is_not_asked_for_is_not_over() -> None:
    history, told = watched((0, NO_PORT), (1, GOOD[1:]), (2, GOOD))
    assert [line.partition("  ")[2][:6] for line in told] == ["FAILED", "ok    "]
    assert [(each.began, each.seconds) for each in history.all(3)] == [(0, 2)]
