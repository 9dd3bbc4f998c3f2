"""Who asks whom in a proof: all pairs of a small cluster; of a large one so many that nobody is left out."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.kubernetes import pod_pairs

SIZES = st.integers(pod_pairs.ALL_BELOW, 1500)
PROPERTY = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def names(count: int) -> list[str]:
    return [f"kube-{number}" for number in range(count)]


def reached(start: str, pairs: list[tuple[str, str]], gone: set[str]) -> set[str]:
    """Who is connected with a node, in whatever direction is asked, when some nodes are gone."""
    beside: dict[str, set[str]] = {}
    for one, other in pairs:
        beside.setdefault(one, set()).add(other)
        beside.setdefault(other, set()).add(one)
    found, todo = {start}, [start]
    while todo:
        new = beside[todo.pop()] - found - gone
        found |= new
        todo += new
    return found


@pytest.mark.parametrize(
    ("nodes", "full", "asked"),
    [
        (1, False, 0),
        (2, False, 2),
        (3, False, 6),
        (19, False, 342),
        (20, False, 60),
        (20, True, 380),
        (100, False, 300),
        (1000, False, 3000),
    ],
)
def test_a_small_cluster_asks_all_pairs_and_a_large_one_three_a_node(nodes: int, full: bool, asked: int) -> None:
    assert len(set(pod_pairs.pairs(names(nodes), full=full))) == asked


@PROPERTY
@given(SIZES)
def test_every_node_asks_and_is_asked_as_often_as_any_other_and_nobody_twice(count: int) -> None:
    asked = list(pod_pairs.pairs(names(count)))
    assert Counter(source for source, _ in asked) == dict.fromkeys(names(count), 3)
    assert Counter(target for _, target in asked) == dict.fromkeys(names(count), 3)
    # No node asks itself, and none asks whom it is asked by: so many different pairs are covered.
    assert len({frozenset(pair) for pair in asked if pair[0] != pair[1]}) == 3 * count


@PROPERTY
@given(SIZES, st.data())
def test_the_nodes_hold_together_when_any_few_of_them_are_gone(count: int, data: st.DataObject) -> None:
    asked = list(pod_pairs.pairs(names(count)))
    gone = data.draw(st.sets(st.sampled_from(names(count)), max_size=4))
    left = set(names(count)) - gone
    assert reached(min(left), asked, gone) == left


@PROPERTY
@given(SIZES, st.data())
def test_whatever_parts_a_run_of_nodes_from_the_others_is_met_from_both_sides(count: int, data: st.DataObject) -> None:
    first, length = data.draw(st.integers(0, count - 1)), data.draw(st.integers(1, count - 1))
    rack = {names(count)[(first + number) % count] for number in range(length)}
    asked = list(pod_pairs.pairs(names(count)))
    assert any(source in rack and target not in rack for source, target in asked)
    assert any(source not in rack and target in rack for source, target in asked)


def test_the_same_cluster_is_asked_the_same() -> None:
    assert list(pod_pairs.pairs(names(40))) == list(pod_pairs.pairs(names(40)))


@pytest.mark.parametrize(
    ("nodes", "full", "words"),
    [
        (3, False, ""),
        (19, False, ""),
        (20, False, "pod to pod: 60 of 380 pairs; `kubev6 verify --full` asks all"),
        (20, True, ""),
    ],
)
def test_what_was_not_asked_is_told(nodes: int, full: bool, words: str) -> None:
    assert pod_pairs.note(set(pod_pairs.pairs(names(nodes), full=full))) == words


def test_where_nothing_was_asked_nothing_is_told() -> None:
    assert pod_pairs.note(()) == ""
