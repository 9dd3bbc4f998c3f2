"""One at a time, over processes and threads."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from tasks import bounded, steps

LOOK_EVERY = 0.1
"""Seconds between two looks at whether a lock has become free."""


@contextmanager
def exclusive(
    name: Path,
    on_wait: Callable[[], None] = lambda: None,
    *,
    what: str = "",
) -> Iterator[None]:
    """Hold a lock that ends with this process at the latest.

    Args:
        name: The lock's file; made when absent, and left there.
        on_wait: Called when somebody else holds it and this call is about to wait.
        what: What is about to be done, for those who have to wait; see :func:`holder`.

    Raises:
        KubeV6Error: The person has asked everything to stop while it waited.
    """
    with _held(name, fcntl.LOCK_EX, on_wait):
        _say_who(name, what)
        yield


@contextmanager
def shared(name: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock that others may hold like this at the same time, but nobody exclusively.

    Args:
        name: The lock's file; made when absent, and left there.
        on_wait: Called when somebody holds it exclusively and this call is about to wait.

    Raises:
        KubeV6Error: The person has asked everything to stop while it waited.
    """
    with _held(name, fcntl.LOCK_SH, on_wait):
        yield


def holder(name: Path) -> str:
    """Who holds a lock exclusively, or held it last, in words.

    Args:
        name: The lock's file.
    """
    try:
        who = bounded.parsed(bounded.content(name))
        doing = f"{who['what']} (process {who['pid']})" if who["what"] else f"process {who['pid']}"
        return f"{doing} works on it since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another run works on it"


@contextmanager
def _held(name: Path, how: int, on_wait: Callable[[], None]) -> Iterator[None]:
    name.parent.mkdir(parents=True, exist_ok=True)
    waited = False
    while True:
        with name.open("a") as file:
            while not _locked(file, how):
                if not waited:
                    on_wait()
                waited = True
                steps.go_on()
                time.sleep(LOOK_EVERY)
            if not _is_still(name, file):  # it was removed, and is another file by now
                continue
            yield
            return


def _locked(file: IO[str], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(name: Path, file: IO[str]) -> bool:
    """Whether a file that was opened is the one that has this name."""
    try:
        return os.path.samestat(name.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _say_who(name: Path, what: str) -> None:
    # Only a courtesy, which no run fails for.
    with suppress(OSError):
        name.write_text(json.dumps({"pid": os.getpid(), "what": what, "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}))
