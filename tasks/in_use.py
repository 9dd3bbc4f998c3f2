"""Who uses the data and the cache directory, so that nothing is removed from under a run.

Every run that fills them, or reads what may be removed from them, says so for as long as it does; any number may at
the same time. Whoever wants to remove something of them waits until there is none, and those who come while it is at
work wait for that. Those who come while it still waits do not: a run that has begun may say so again.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from configs.errors import KubeV6Error
from tasks.exclusive import exclusive, holder, shared
from tasks.paths import cache_dir, data_dir

log = logging.getLogger("kubev6.cache")


@contextmanager
def in_use(what: str) -> Iterator[None]:
    """Use the data and the cache directory.

    Args:
        what: What for, for those who have to wait.

    Raises:
        KubeV6Error: One of them cannot be written.
    """
    with ExitStack() as held:
        for lock in _locks():
            _enter(held, lock, shared(lock, on_wait=partial(_say_for_whom, lock)))
        note = cache_dir() / "in-use" / f"{os.getpid()}-{threading.get_ident()}-{id(held)}"
        with suppress(OSError):  # only a courtesy, which no run fails for
            note.parent.mkdir(exist_ok=True)
            note.write_text(what)
        held.callback(_forget, note)
        yield


@contextmanager
def unused(what: str, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Have the data and the cache directory to oneself.

    Args:
        what: What for, for those who have to wait.
        on_wait: Hears who uses them, when this call is about to wait for that.

    Raises:
        KubeV6Error: One of them cannot be written.
    """
    with ExitStack() as held:
        for lock in _locks():
            _enter(held, lock, exclusive(lock, on_wait=lambda: on_wait(users() or "another run"), what=what))
        yield


def users() -> str:
    """Who uses the cache directory, in words; empty when nobody does."""
    found = []
    for note in sorted((cache_dir() / "in-use").glob("*")):
        process = note.name.partition("-")[0]
        with suppress(OSError):
            if Path("/proc", process).exists():
                found.append(f"{note.read_text()} (process {process})")
            else:
                note.unlink()  # of a process that got killed
    return ", ".join(dict.fromkeys(found))


def _locks() -> tuple[Path, Path]:
    """Always in this order. There are two because either directory may be shared without the other."""
    return data_dir() / "in-use.lock", cache_dir() / "in-use.lock"


def _enter(held: ExitStack, lock: Path, context: AbstractContextManager[None]) -> None:
    try:
        held.enter_context(context)
    except OSError as error:
        raise KubeV6Error(
            f"{lock} cannot be written: {error.strerror}",
            todo="make room or mend the rights there, or name other directories by KUBEV6_DATA and KUBEV6_CACHE",
        ) from None


def _say_for_whom(lock: Path) -> None:
    log.warning("%s; waiting for it to end", holder(lock))


def _forget(note: Path) -> None:
    with suppress(OSError):
        note.unlink()
