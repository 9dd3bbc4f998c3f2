"""The changes of a run: every one that was made, also those of an attempt that failed later and was tried again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

log = logging.getLogger("kubev6.flows")

# Not a parameter of tasks: those are plain values. Prefect's threads inherit the context of the flow.
_made: ContextVar[list[str]] = ContextVar("changes")


@contextmanager
def noted_changes() -> Iterator[list[str]]:
    """The list of a run's changes, one line each, which :func:`note` adds to."""
    made: list[str] = []
    token = _made.set(made)
    try:
        yield made
    finally:
        _made.reset(token)


def note(change: str, *, stage: str = "") -> None:
    """Say that a change was made.

    Args:
        change: One line: on what, and which.
        stage: The stage of a node that it is part of, if it is.
    """
    log.info("changed: %s", change, extra={"change": change, "stage": stage})
    add(change)


def any_made() -> bool:
    """Whether this run has changed anything so far."""
    return bool(_made.get(None))


def add(change: str) -> None:
    """Count a change to those of the run, where its list is: not in other processes that work for it."""
    made = _made.get(None)
    if made is not None:
        made.append(change)
