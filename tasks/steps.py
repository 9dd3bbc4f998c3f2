"""How a task says what it is doing, and how it is told to stop.

A step is one visible piece of work on one subject (a node, an image, a series). Its beginning, progress and end are
events (:mod:`tasks.events`), so the terminal, the log, the record and the table of times all hear the same, and a task
knows nothing about any of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from configs.errors import KubeV6Error
from tasks import scope
from tasks.events import Bus, StepBegan, StepEnded, StepProgressed


class StopSignal:
    """Tells all work of a run to end: a thread cannot be interrupted from outside, but all long work asks for this."""

    def __init__(self) -> None:
        self._given = threading.Event()
        self._asked = threading.Event()

    def give(self, *, asked: bool = True) -> None:
        """From now on every step of the run raises when it next starts or reports progress.

        Args:
            asked: Whether somebody has asked for the end; else a defect is it.
        """
        if asked:
            self._asked.set()
        self._given.set()

    @property
    def given(self) -> bool:
        """Whether that has been done."""
        return self._given.is_set()

    @property
    def asked(self) -> bool:
        """Whether somebody has asked for it, who does not want to wait."""
        return self._asked.is_set()


class StepLog:
    """What one piece of work came to.

    Attributes:
        ended: The steps of it that have ended.
        words: All of it in a few words, where somebody has said so.
    """

    def __init__(self) -> None:
        self.ended: list[StepEnded] = []
        self.words = ""

    @property
    def outcome(self) -> str:
        """In a few words; what the last step said, where nobody has said more."""
        return self.words or (self.ended[-1].text if self.ended else "")


def came_to(words: str) -> None:
    """Say in a few words what the piece of work that the caller is part of came to.

    Args:
        words: The words, for Prefect's page for instance.
    """
    if log := scope.find(StepLog):
        log.words = words


def stopped() -> bool:
    """Whether the run that the caller is part of has been told to stop."""
    return _stopped(scope.find(StopSignal))


def go_on() -> None:
    """Called by whatever waits without a step.

    Raises:
        KubeV6Error: The run has been told to stop.
    """
    _go_on(scope.find(StopSignal))


class Step:
    """A step under way.

    Attributes:
        subject: What is worked on, for example a node's name or ``"build"``.
        title: What is done, for example ``"network"`` or ``"compile"``.
        outcome: What came of it, shown at the end; set by :meth:`ended_as`.
        cached: Whether all that it is about was there already.
    """

    def __init__(self, subject: str, title: str) -> None:
        self.subject = subject
        self.title = title
        self.outcome = ""
        self.cached = False
        self._began = time.monotonic()
        # Progress may be reported from threads that find nothing of the run themselves.
        self._bus = scope.find(Bus) or Bus()
        self._stop_signal = scope.find(StopSignal)
        self._log = scope.find(StepLog)

    def progress(self, text: str, done: float = 0, total: float = 0) -> None:
        """Say how far it is, in a few words. May be called often: showing it is the terminal's business.

        Args:
            text: The words.
            done: How much is done, in any unit (bytes, packages); 0 when that is not counted.
            total: How much there is to do, in the same unit; 0 when that is not known.

        Raises:
            KubeV6Error: The run has been told to stop.
        """
        _go_on(self._stop_signal)
        event = StepProgressed(
            subject=self.subject, title=self.title, elapsed=self._elapsed, text=text, done=done, total=total
        )
        self._bus.send(event)

    def ended_as(self, outcome: str, *, cached: bool = False) -> None:
        """Set the words shown when the step ends, for example ``"12 changes"``.

        Args:
            outcome: The words.
            cached: Whether all that it is about was there already.
        """
        self.outcome, self.cached = outcome, cached

    def begin(self) -> None:
        """Say that it begins."""
        self._bus.send(StepBegan(subject=self.subject, title=self.title))

    def end(self, text: str, *, ok: bool) -> None:
        """Say that it has ended.

        Args:
            text: What came of it, or why it failed.
            ok: Whether it went well.
        """
        # An error names its node and step itself.
        said = text.removeprefix(f"{self.subject}: {self.title}: ")
        event = StepEnded(
            subject=self.subject, title=self.title, elapsed=self._elapsed, text=said, ok=ok, cached=self.cached
        )
        if self._log is not None:
            self._log.ended.append(event)
        self._bus.send(event)

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began


@contextmanager
def step(subject: str, title: str) -> Iterator[Step]:
    """Announce a step, its end and its time.

    Args:
        subject: What is worked on.
        title: What is done.

    Yields:
        The step, to report progress and the outcome on.
    """
    go_on()
    current = Step(subject, title)
    current.begin()
    try:
        yield current
    except BaseException as error:
        current.end(str(error) or type(error).__name__, ok=False)
        raise
    current.end(current.outcome, ok=True)


def _stopped(signal: StopSignal | None) -> bool:
    return signal is not None and signal.given


def _go_on(signal: StopSignal | None) -> None:
    if _stopped(signal):
        raise KubeV6Error("stopped", todo="running it again goes on from here")
