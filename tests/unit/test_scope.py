"""What one run has of its own is found where its work goes on, and nowhere else."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from flows.run.context import current, run_context, this_run
from tasks import scope
from tasks.events import Bus
from tasks.scope import Threads, find, holding
from tasks.secrets import Secrets
from tasks.ssh.pool import ConnectionPool
from tasks.steps import StopSignal


class Part:
    """Something that a run has."""


class Derived(Part):
    """Another kind of it."""


def test_outside_nothing_is_found() -> None:
    assert find(Part) is None


def test_what_is_held_is_found_by_its_type_until_the_end_and_the_innermost_counts() -> None:
    outer, inner, other = Part(), Part(), Derived()
    with holding(outer):
        assert find(Part) is outer
        with holding(other):
            assert (find(Part), find(Derived)) == (outer, other)
            with holding(inner):
                assert (find(Part), find(Derived)) == (inner, other)
            assert find(Part) is outer
        assert find(Derived) is None
    assert find(Part) is None


def test_what_is_held_ends_also_when_the_work_fails() -> None:
    with pytest.raises(ValueError, match="work"), holding(Part()):
        raise ValueError("work")
    assert find(Part) is None


def test_threads_of_a_pool_find_what_the_one_finds_that_submits_each_piece_of_work() -> None:
    parts = [Part() for _ in range(20)]
    found = []
    with Threads(max_workers=2) as pool:  # fewer than pieces of work: threads are used again
        for part in parts:
            with holding(part):
                found.append(pool.submit(find, Part))
        outside = pool.submit(find, Part)
        assert [each.result() for each in found] == parts
        assert outside.result() is None


def test_other_threads_find_nothing_of_it() -> None:
    """So whoever starts one for a run says so, by `Threads` or by a copy of the context."""
    with holding(part := Part()), ThreadPoolExecutor(1) as pool:
        assert pool.submit(find, Part).result() is None
        assert pool.submit(copy_context().run, find, Part).result() is part


def test_two_runs_at_once_do_not_meet() -> None:
    """Each in a thread of its own, both under way at the same time."""
    both = threading.Barrier(2, timeout=60)

    def run() -> tuple[object, ...]:
        with run_context() as mine:
            both.wait()
            found = tuple(map(find, (Bus, Secrets, StopSignal, ConnectionPool)))
            assert this_run() is mine
            assert found == (mine.events, mine.secrets, mine.stop_signal, mine.connections)
            both.wait()
            return found

    with Threads(2) as pool:
        first, second = (each.result() for each in [pool.submit(run), pool.submit(run)])
    assert not set(map(id, first)) & set(map(id, second))
    assert current() is None


def test_a_run_takes_over_the_secrets_that_were_known_before_it_began_and_nothing_else() -> None:
    before, signal = Secrets(), StopSignal()
    with scope.holding(before, signal), run_context() as run:
        assert run.secrets is before
        assert find(StopSignal) is run.stop_signal
        assert run.stop_signal is not signal


def test_where_there_has_to_be_a_run_its_absence_is_a_defect() -> None:
    with pytest.raises(RuntimeError, match="no run is under way here"):
        this_run()
