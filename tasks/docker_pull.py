"""Pulling an image through the Docker engine, without waiting for a registry that does not answer."""

from __future__ import annotations

import queue
import threading
from typing import Any

import docker.errors
import requests

from tasks import container_engine
from tasks.steps import Step

SILENCE = 20.0
"""Seconds without a word from the engine after which a registry counts as one that does not answer."""


def pull(reference: str, shown: Step) -> str:
    """Let the engine pull an image.

    Args:
        reference: Repository and tag.
        shown: Step that hears how far it is.

    Returns:
        Empty when it is there now, else why not, in the engine's words. A registry that is silent for
        :data:`SILENCE` seconds is given up; the engine itself would wait for minutes.
    """
    repository, _, tag = reference.rpartition(":")
    api = container_engine.client().api
    said: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def listen() -> None:
        try:
            for event in api.pull(repository, tag, stream=True, decode=True):
                said.put(event)
        except (docker.errors.DockerException, requests.RequestException) as error:
            said.put({"error": str(getattr(error, "explanation", "") or error)})
        said.put(None)

    threading.Thread(target=listen, name=f"pull {reference}", daemon=True).start()
    try:
        while (event := said.get(timeout=SILENCE)) is not None:
            if "error" in event:
                return str(event["error"]).strip().splitlines()[0]
            shown.progress(" ".join(str(event.get(key, "")) for key in ("status", "progress")).strip())
    except queue.Empty:
        return f"no answer in {SILENCE:.0f} s"
    return ""
