"""What listeners hear of a run, and what they do not."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import fields
from typing import Any

import pytest

from flows.run.context import run_context
from tasks import events, scope, secrets
from tasks.events import (
    Bus,
    ChangeMade,
    ChecksJudged,
    CommandRun,
    Event,
    ImagesPushed,
    ReleaseChosen,
    SeriesPicked,
    StepBegan,
    StepEnded,
    StepEvent,
    StepProgressed,
    TestsJudged,
    emit,
)
from tasks.kubernetes.checks import Check
from tasks.kubernetes.e2e_results import TestResult
from tasks.node.change import Change
from tasks.secrets import HIDDEN, Secrets
from tasks.steps import step
from tests.unit import sample

HUNTER = "hunter2"
AT: dict[str, Any] = {"subject": HUNTER, "title": f"a {HUNTER}"}
EVENTS = (
    StepBegan(**AT),
    StepProgressed(**AT, text=f"{HUNTER}, {HUNTER}", done=1, total=2),
    StepEnded(**AT, text=HUNTER, ok=False),
    CommandRun(**AT, text=f"sudo {HUNTER}"),
    ChangeMade(change=Change(*[f"of {HUNTER}"] * len(fields(Change)))),
    SeriesPicked(name=HUNTER, base=HUNTER, commit=HUNTER, tree=HUNTER, patches=()),
    ImagesPushed(registry=f"http://{HUNTER}/", images=(), tag=HUNTER),
    ReleaseChosen(manifest=sample.manifest(), why=HUNTER),
    TestsJudged(tests=(TestResult(HUNTER, "failed", message=f"it said {HUNTER}", known=HUNTER),)),
    ChecksJudged(checks=(Check(HUNTER, "kube-worker-1", f"http://{HUNTER}/", False, f"it said {HUNTER}"),)),
)


def texts(value: Any) -> list[str]:
    found = []
    for each in fields(value):
        inner = getattr(value, each.name)
        for part in inner if each.name in ("checks", "tests") else [inner]:
            told = isinstance(part, Change | Check | TestResult)
            found += [part] if isinstance(part, str) else texts(part) if told else []
    return found


def test_every_kind_of_event_is_in_the_table() -> None:
    kinds = {each for each in vars(events).values() if isinstance(each, type) and issubclass(each, Event)}
    assert kinds - {type(each) for each in EVENTS} == {Event, StepEvent}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_no_secret_reaches_a_listener(event: Event) -> None:
    bus, heard = Bus(), list[Event]()
    with scope.holding(bus, Secrets()), bus.heard_by(heard.append):
        emit(event)
        secrets.remember(HUNTER)
        emit(event)
    before, after = heard
    assert before == event
    assert type(after) is type(event)
    assert after.at == event.at
    assert [text.replace(HUNTER, HIDDEN) for text in texts(event)] == texts(after)
    assert HIDDEN in "".join(texts(after))
    assert HUNTER not in "".join(texts(after))


def test_all_listeners_hear_all_events_in_their_order_and_know_nothing_of_each_other() -> None:
    bus, first, second = Bus(), list[Event](), list[Event]()
    with scope.holding(bus), bus.heard_by(first.append), bus.heard_by(second.append):
        for event in EVENTS:
            emit(event)
    assert first == second == list(EVENTS)


def test_a_listener_that_has_left_hears_nothing_more_and_the_others_go_on() -> None:
    bus, stays, leaves = Bus(), list[Event](), list[Event]()
    one, other = EVENTS[:2]
    with scope.holding(bus), bus.heard_by(stays.append):
        with suppress(ValueError), bus.heard_by(leaves.append):
            emit(one)
            raise ValueError
        emit(other)
    emit(one)
    bus.send(one)
    assert (stays, leaves) == ([one, other], [one])


def test_a_listener_may_leave_while_another_one_hears() -> None:
    bus, heard = Bus(), list[str]()
    with ExitStack() as leaving:
        leaving.enter_context(bus.heard_by(lambda _: heard.append("leaves")))
        with bus.heard_by(lambda _: leaving.close()):
            bus.send(EVENTS[0])
            bus.send(EVENTS[0])
    assert heard == ["leaves"]


def test_outside_a_run_nobody_listens() -> None:
    heard: list[Event] = []
    with run_context() as run, run.events.heard_by(heard.append):
        pass
    emit(EVENTS[0])
    with step("kube-worker-1", "network") as shown:
        shown.progress("asking")
    assert heard == []


def test_a_check_that_was_judged_comes_as_it_is(run: Any) -> None:
    check = Check("API", "kube-worker-1", "[fd00:1234::1]:443", True, "v1.20.2", 0.01)
    heard: list[Event] = []
    with run.events.heard_by(heard.append):
        emit(ChecksJudged(checks=(check,)))
    assert [each.checks for each in heard if isinstance(each, ChecksJudged)] == [(check,)]


def test_an_event_says_when_it_happened() -> None:
    before = time.time()
    assert before <= StepBegan(subject="a", title="b").at <= time.time()


def test_what_was_changed_counts_for_the_run_that_it_happened_in_alone() -> None:
    one, other = Change("file", "/a", "create"), Change("file", "/b", "create")
    with run_context() as outer:
        emit(ChangeMade(change=one))
        with run_context() as inner:
            emit(ChangeMade(change=other))
    assert (outer.changes, inner.changes) == ([one], [other])
