"""Removing what nothing needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import docker.errors

from tasks import steps
from tasks.cache.plan import Fate, Kept
from tasks.docker import container_engine
from tasks.replace import remove


@dataclass(frozen=True, slots=True)
class Pruned:
    """What came of it.

    Attributes:
        gone: What is gone.
        failed: What could not be removed, and why, in words.
    """

    gone: tuple[Fate, ...]
    failed: tuple[str, ...]


def prune(fates: Sequence[Fate], say: Callable[[Fate], None]) -> Pruned:
    """Remove what is to go. What cannot be removed stays, with all that hangs on it, and the rest goes on.

    The caller has the directories to itself, see :func:`tasks.in_use.unused`.

    Args:
        fates: What becomes of each thing.
        say: Hears of each that is gone.
    """
    gone: list[Fate] = []
    failed: list[str] = []
    staying: set[str] = set()
    # What refers to others goes before these.
    for fate in sorted((fate for fate in fates if fate.goes), key=lambda fate: bool(fate.kept.of)):
        steps.go_on()
        if staying.intersection(fate.kept.of):
            continue
        if refused := _remove(fate.kept):
            failed.append(f"{fate.kept.kind} {fate.kept.name}: {refused}")
            staying.add(fate.kept.name)
            continue
        gone.append(fate)
        say(fate)
    return Pruned(tuple(gone), tuple(failed))


def _remove(kept: Kept) -> str:
    """Remove a thing. Says why that could not be done; nothing when it is gone."""
    refused = ""
    for path in kept.paths:
        try:
            remove(path)
        except OSError as error:
            refused = f"{error.filename or path} cannot be removed: {error.strerror}"
    client = container_engine.running() if kept.images else None
    if client is None:
        return refused or ("the Docker engine does not run" if kept.images else "")
    for image in kept.images:
        try:
            client.api.remove_image(image)
        except docker.errors.ImageNotFound:
            continue  # it went with the one that was built upon it
        except container_engine.FAILURES as error:
            refused = f"the Docker engine says: {getattr(error, 'explanation', '') or error}"
    return refused
