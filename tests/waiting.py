"""Waiting for what comes about by itself, and not longer than it takes."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Come back when a condition holds.

    Args:
        condition: Asked again and again.
        seconds: How long it may take.

    Raises:
        AssertionError: It does not hold in time.
    """
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"it did not come about in {seconds} s"
        time.sleep(0.1)
