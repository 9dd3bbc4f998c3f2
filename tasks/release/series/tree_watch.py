"""Waiting for files of a working tree to change, by what the system has for that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from watchfiles import Change, watch

from configs.errors import KubeV6Error

SETTLED = 300
"""Milliseconds without another change after which what came is told: an editor, or git, writes several files."""
LONGEST = 3000
"""Milliseconds after which it is told although files still change."""
SECONDS_TO_END = 10.0


@contextmanager
def changes(directory: Path) -> Iterator[Callable[[], None]]:
    """Listen for changes in a working tree for as long as the context lasts.

    What git keeps there and what Kubernetes' makefiles put there is none. Whether what was changed counts is for git to
    say.

    Args:
        directory: Its top directory.

    Yields:
        Waits until something has changed since it was called last, or since the beginning.

    Raises:
        KubeV6Error: The system does not tell of changes; by what waits.
    """
    changed, ended = threading.Event(), threading.Event()
    failed: list[Exception] = []

    def is_change(_: Change, path: str) -> bool:
        return counts(directory, path)

    def listen() -> None:
        try:
            for _ in watch(
                directory,
                watch_filter=is_change,
                debounce=LONGEST,
                step=SETTLED,
                stop_event=ended,
                raise_interrupt=False,
                ignore_permission_denied=True,
            ):
                changed.set()
        except Exception as error:
            failed.append(error)
            changed.set()

    def wait() -> None:
        changed.wait()
        changed.clear()
        if failed:
            raise KubeV6Error(
                f"changes of {directory} cannot be waited for: {failed[0]}",
                todo="where there are too many directories, raise the sysctl fs.inotify.max_user_watches; where the "
                "system tells of none, as on a network's file system, set WATCHFILES_FORCE_POLLING=true",
            ) from failed[0]

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    try:
        yield wait
    finally:
        ended.set()
        listening.join(SECONDS_TO_END)


def counts(directory: Path, path: str) -> bool:
    """Whether a file that has changed may be of the tree. Pure.

    Args:
        directory: The top directory.
        path: The file.
    """
    return not Path(path).is_relative_to(directory / ".git") and not Path(path).is_relative_to(directory / "_output")
