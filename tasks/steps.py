"""How a task says what it is doing.

A step is one visible piece of work on one subject (a node, an image, a series). Its start, progress and end
are records of the logger ``kubev6.steps``, so the terminal, the run log and the table of times all hear the
same thing, and a task knows nothing about any of them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from configs.errors import KubeV6Error

log = logging.getLogger("kubev6.steps")
_stopping = threading.Event()


def stop() -> None:
    """End every step of this process: each raises when it next starts or reports progress.

    A thread cannot be interrupted from outside, but all long work reports progress.
    """
    _stopping.set()


def begin_anew() -> None:
    """Take :func:`stop` back, in a process that works for another run now."""
    _stopping.clear()


def stopped() -> bool:
    """Whether :func:`stop` has been called."""
    return _stopping.is_set()


def go_on() -> None:
    """Called by whatever waits without a step.

    Raises:
        KubeV6Error: The person has asked everything to :func:`stop`.
    """
    if stopped():
        raise KubeV6Error("stopped", todo="running it again goes on from here")


class Step:
    """A step under way.

    Attributes:
        subject: What is worked on, for example a node's name or ``"build"``.
        title: What is done, for example ``"network"`` or ``"compile"``.
        outcome: What came of it, shown at the end; set by :meth:`ended_as`.
    """

    def __init__(self, subject: str, title: str) -> None:
        self.subject = subject
        self.title = title
        self.outcome = ""
        self.started = time.monotonic()

    def progress(self, text: str, done: float = 0, total: float = 0) -> None:
        """Say how far it is, in a few words. May be called often: showing it is the terminal's business.

        Args:
            text: The words.
            done: How much is done, in any unit (bytes, packages); 0 when that is not counted.
            total: How much there is to do, in the same unit; 0 when that is not known.

        Raises:
            KubeV6Error: The person has asked everything to :func:`stop`.
        """
        go_on()
        self._emit("progress", text, done, total)

    def ended_as(self, outcome: str) -> None:
        """Set the words shown when the step ends, for example ``"12 changes"``."""
        self.outcome = outcome

    def _emit(self, event: str, text: str, done: float = 0, total: float = 0) -> None:
        level = logging.ERROR if event == "failed" else logging.DEBUG if event == "progress" else logging.INFO
        extra = {
            "event": event,
            "subject": self.subject,
            "title": self.title,
            "text": text,
            "elapsed": time.monotonic() - self.started,
            "done": done,
            "total": total,
        }
        # An error names its node and step itself.
        said = text.removeprefix(f"{self.subject}: {self.title}: ")
        log.log(level, "%s: %s: %s%s", self.subject, self.title, event, f": {said}" if said else "", extra=extra)


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
    current._emit("started", "")
    try:
        yield current
    except BaseException as error:
        current._emit("failed", str(error) or type(error).__name__)
        raise
    current._emit("ended", current.outcome)
