"""What happens in a run, as typed events on one bus.

A verb says what it does and knows nobody who listens: the terminal, the log, the record, JSON lines and Prefect's
artifacts are listeners, and know nothing of one another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from configs.manifest import ImageEntry, Manifest, PatchEntry
from tasks import scope
from tasks.kubernetes.checks import Check
from tasks.kubernetes.e2e_results import TestResult
from tasks.node.change import Change
from tasks.secrets import any_known, hide

T = TypeVar("T", "Event", Change, Check, TestResult)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened.

    Attributes:
        at: When, in seconds since 1970.
    """

    at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent(Event):
    """Something that happened to a step, which is one visible piece of work on one subject.

    Attributes:
        subject: What is worked on, for example a node's name or ``"build"``.
        title: What is done, for example ``"network"`` or ``"compile"``.
        elapsed: Seconds since it began.
    """

    subject: str
    title: str
    elapsed: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBegan(StepEvent):
    """A step begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgressed(StepEvent):
    """A step goes on.

    Attributes:
        text: How far it is, in a few words.
        done: How much is done, in any unit; 0 when that is not counted.
        total: How much there is to do, in the same unit; 0 when that is not known.
    """

    text: str
    done: float = 0
    total: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded(StepEvent):
    """A step has ended.

    Attributes:
        text: What came of it; of a failed one, why.
        ok: Whether it went well.
        cached: Whether all that it is about was there already.
    """

    text: str = ""
    ok: bool = True
    cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRun(Event):
    """A command is run.

    Attributes:
        subject: Where: a node's name, ``"local"`` or ``"container"``.
        title: What for.
        text: The command, without what logs in by an address.
    """

    subject: str
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeMade(Event):
    """Something was changed."""

    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseChosen(Event):
    """The release that the run is about is here, and why this one."""

    manifest: Manifest
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPicked(Event):
    """A series of patches was settled: what became of each, and the ids of base, commit and tree."""

    name: str
    base: str
    commit: str
    tree: str
    patches: tuple[PatchEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesPushed(Event):
    """A registry holds some images.

    Attributes:
        registry: Its address.
        images: The images.
        tag: Under which tag, where that is not their own.
    """

    registry: str
    images: tuple[ImageEntry, ...]
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksJudged(Event):
    """The proof has been made."""

    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestsJudged(Event):
    """Upstream's tests have been run."""

    __test__ = False  # to pytest

    tests: tuple[TestResult, ...]


Listener = Callable[[Event], None]
"""Hears every event, in the thread in which it happened; several may come at once."""


class Bus:
    """Hands the events of a run to those who listen, without the secrets that the run knows."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._changing = threading.Lock()

    @contextmanager
    def heard_by(self, listener: Listener) -> Iterator[None]:
        """Let somebody hear all events, as long as this context lasts."""
        with self._changing:
            self._listeners = (*self._listeners, listener)
        try:
            yield
        finally:
            with self._changing:
                self._listeners = tuple(each for each in self._listeners if each is not listener)

    def send(self, event: Event) -> None:
        """Hand an event on."""
        event = _redacted(event)
        for listener in self._listeners:
            listener(event)


def emit(event: Event) -> None:
    """Send an event of the run that the caller is part of; outside a run nobody listens."""
    if bus := scope.find(Bus):
        bus.send(event)


def _redacted(event: Event) -> Event:
    if not any_known():
        return event
    if isinstance(event, ChangeMade):
        return replace(event, change=_without_secrets(event.change))
    if isinstance(event, ChecksJudged):
        return replace(event, checks=tuple(map(_without_secrets, event.checks)))
    if isinstance(event, TestsJudged):
        return replace(event, tests=tuple(map(_without_secrets, event.tests)))
    return _without_secrets(event)


def _without_secrets(value: T) -> T:
    """A dataclass whose texts do not show what is secret."""
    texts = {each.name: getattr(value, each.name) for each in fields(value)}
    hidden: dict[str, Any] = {name: hide(text) for name, text in texts.items() if isinstance(text, str)}
    return replace(value, **hidden)
