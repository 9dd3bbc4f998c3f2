"""What a prune removes, and why the rest stays."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.cache.plan import DAY, Kept, Rule, freed, plan, surplus

NOW = 1_800_000_000.0


def kept(name: str = "x", rule: Rule = "old", days: float = 0, **more: Any) -> Kept:
    return Kept("thing", name, rule, 10, 1, NOW - days * DAY, **more)


@pytest.mark.parametrize(
    ("thing", "goes", "goes_with_all", "why"),
    [
        (kept(rule="yours", days=900, unneeded="yours"), False, False, "yours"),
        (kept(rule="unneeded", unneeded="older build"), True, True, "older build"),
        (kept(rule="unneeded", unneeded="older build", needed="deployed on lab"), False, False, "deployed on lab"),
        (kept(days=29.9), False, True, "used 30 days ago"),
        (kept(days=0.5), False, True, "used today"),
        (kept(days=1.5), False, True, "used yesterday"),
        (kept(days=31), True, True, "not used for 31 days"),
        (kept(days=31, needed="of the current build of x"), False, True, "of the current build of x"),
        (kept(rule="all", days=900, unneeded="makes compiling quick"), False, True, "makes compiling quick"),
        (kept(days=-5), False, True, "used today"),
    ],
)
def test_what_goes_and_why(thing: Kept, goes: bool, goes_with_all: bool, why: str) -> None:
    (fate,) = plan([thing], now=NOW, older_than=30)
    assert (fate.goes, fate.why) == (goes, why)
    (fate,) = plan([thing], now=NOW, older_than=30, everything=True)
    assert fate.goes == goes_with_all


def test_a_number_of_days_decides_what_is_old() -> None:
    things = [kept("a", days=1.1), kept("b", days=9), kept("c", days=11)]
    went = {
        days: [fate.kept.name for fate in plan(things, now=NOW, older_than=days) if fate.goes] for days in (0, 1, 10)
    }
    assert went == {0: ["a", "b", "c"], 1: ["a", "b", "c"], 10: ["c"]}


def test_blobs_go_with_the_last_build_that_refers_to_them() -> None:
    things = [
        kept("of both", rule="unneeded", of=("old", "new")),
        kept("of the old one", rule="unneeded", of=("old",)),
        kept("of two that go", rule="unneeded", of=("old", "older")),
        kept("of what is deployed", rule="unneeded", of=("old", "what is deployed on lab")),
        kept("old", rule="unneeded", unneeded="older build"),
        kept("older", rule="unneeded", unneeded="older build"),
        kept("new", rule="unneeded", needed="current build"),
    ]
    fates = plan(things, now=NOW, older_than=30, everything=True)
    assert [fate.kept for fate in fates] == things, "in the order in which they are listed"
    assert [fate.goes for fate in fates] == [False, True, True, False, True, True, False]
    assert fates[0].why == "of new"
    assert fates[3].why == "of what is deployed on lab"
    assert freed(fates) == 40


def build(number: int, **more: Any) -> Kept:
    return Kept("release", f"mine-dev {number}", "unneeded", 10, 1, NOW + number, **more)


def test_of_the_builds_of_a_working_tree_the_newest_stay_and_those_that_are_needed() -> None:
    builds = [build(number, needed="deployed on lab before" if number == 2 else "") for number in (4, 1, 2, 5, 3)]
    other = Kept("release", "mine 0", "unneeded", 10, 1, NOW)
    blobs = [
        kept("mine-dev 1", of=("mine-dev 1",)),
        kept("mine-dev 1, mine-dev 3", of=("mine-dev 1", "mine-dev 3")),
        kept("mine-dev 3, mine-dev 4", of=("mine-dev 3", "mine-dev 4")),
        kept("mine-dev 2", of=("mine-dev 2",)),
        kept("mine 0", of=("mine 0",)),
        kept("of no release"),
    ]
    fates = surplus([*builds, other, *blobs], "mine-dev", 2)
    assert all(fate.goes and fate.why == "older than the newest 2" for fate in fates)
    assert [fate.kept for fate in fates] == [build(3), build(1), *blobs[:2]]
    assert surplus([*builds, other, *blobs], "mine-dev", 5) == ()
