"""Pulling an image through the Docker engine, without waiting for a registry that does not answer."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

import urllib3.exceptions

from tasks.docker import container_engine
from tasks.steps import Step

SILENCE = 20.0
"""Seconds without a word from the engine after which a registry counts as one that does not answer."""

DEADLINE = 6 * 3600.0
"""Seconds for a whole image, whatever trickles in."""


def pull(reference: str, shown: Step) -> str:
    """Let the engine pull an image.

    Args:
        reference: Repository and tag.
        shown: Step that hears how far it is.

    Returns:
        Empty when it is there now, else why not, in the engine's words. A registry that is silent for
        :data:`SILENCE` seconds, or has not given all of it in :data:`DEADLINE`, is given up; the
        engine itself would wait for minutes.

    Raises:
        KubeV6Error: There is no engine.
    """
    repository, _, tag = reference.rpartition(":")
    api = container_engine.client().api
    said: queue.Queue[dict[str, Any] | Exception | None] = queue.Queue()

    def listen() -> None:
        try:
            for event in api.pull(repository, tag, stream=True, decode=True):
                said.put(event)
        except (*container_engine.FAILURES, urllib3.exceptions.HTTPError) as error:
            said.put({"error": str(getattr(error, "explanation", "") or error) or type(error).__name__})
        except Exception as error:
            said.put(error)
        finally:
            said.put(None)

    threading.Thread(target=listen, name=f"pull {reference}", daemon=True).start()
    layers, until = _Layers(), time.monotonic() + DEADLINE
    try:
        while (event := said.get(timeout=SILENCE)) is not None:
            if isinstance(event, Exception):
                raise event
            if "error" in event:
                return str(event["error"]).strip().splitlines()[0]
            if time.monotonic() > until:
                return f"it has not come whole in {DEADLINE / 3600:.0f} hours"
            layers.hear(event)
            shown.progress(layers.words, layers.done, layers.total)
    except queue.Empty:
        return f"no answer in {SILENCE:.0f} s"
    return ""


class _Layers:
    """How far the layers of an image are, by what the engine says of each.

    Attributes:
        words: What it said last, or how much has come.
    """

    def __init__(self) -> None:
        self.words = ""
        self._come: dict[str, tuple[int, int]] = {}

    def hear(self, event: dict[str, Any]) -> None:
        """Take one word of the engine's."""
        self.words = str(event.get("status", "")).strip()
        layer, seen = str(event.get("id", "")), event.get("progressDetail") or {}
        if self.words == "Downloading" and seen.get("total"):
            self._come[layer] = (int(seen["current"]), int(seen["total"]))
            self.words = f"{self.done / 1e6:.0f} of {self.total / 1e6:.0f} MB"
        elif layer in self._come and self.words in ("Download complete", "Pull complete"):
            self._come[layer] = (self._come[layer][1],) * 2

    @property
    def done(self) -> int:
        """Bytes that have come."""
        return sum(come for come, _ in self._come.values())

    @property
    def total(self) -> int:
        """Bytes of the layers that the engine has begun to fetch; 0 while it has begun none."""
        return sum(whole for _, whole in self._come.values())
