"""Building images with the Docker engine, and knowing when one is still what it would be built as.

An image carries the sha256 of everything it was made of as a label, so that a change makes it again and nothing
else does.
"""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import docker
import docker.errors

from configs.errors import KubeV6Error
from configs.words import shortened
from tasks import bounded
from tasks.docker import container_engine
from tasks.steps import Step

INPUTS_LABEL = "kubev6.inputs"
"""Label of every image that is built here, by which it is found again: sha256 of everything that decides what is in it.
"""
STAGE_LABEL = "kubev6.stage"
"""Label that a Dockerfile gives to a stage which is of no use after the build: its argument ``STAGE``."""
BUILD_DEADLINE = 1800
"""Seconds that one image may take."""


def labels(inputs: str) -> dict[str, str]:
    """The labels of an image made from ``inputs`` (a sha256)."""
    return {INPUTS_LABEL: inputs}


def is_current(client: docker.DockerClient, reference: str, inputs: str) -> bool:
    """True when the engine holds ``reference``, made from these very inputs."""
    try:
        found = client.images.get(reference)
    except docker.errors.ImageNotFound:
        return False
    return str(found.labels.get(INPUTS_LABEL, "")) == inputs


def directory_context(directory: Path) -> IO[bytes]:
    """A build context of the files under ``directory``, see :func:`context_of`."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return context_of({str(path.relative_to(directory)): path for path in files})


def context_of(files: Mapping[str, Path | bytes]) -> IO[bytes]:
    """A build context of some files, by the names that they get in it. Who asked for it closes it.

    Times and owners are left out, so that the same content gives the same layers.
    """
    context = tempfile.TemporaryFile()  # noqa: SIM115 - closed after the engine has read it
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, content in sorted(files.items()):
            executable = isinstance(content, Path) and content.stat().st_mode & 0o100
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755 if executable else 0o644
            with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as file:
                entry.size = file.seek(0, os.SEEK_END)
                file.seek(0)
                archive.addfile(entry, file)
    context.seek(0)
    return context


def build(
    client: docker.DockerClient,
    reference: str,
    context: IO[bytes],
    *,
    inputs: str,
    shown: Step,
    target: str = "",
    arguments: Mapping[str, str] | None = None,
    cached: bool = True,
) -> None:
    """Build an image.

    Args:
        client: The engine.
        reference: Repository and tag it gets.
        context: The build context, a tar archive with a Dockerfile.
        inputs: sha256 of everything that decides what is in the image.
        shown: Step that hears how far it is.
        target: Stage of the Dockerfile to stop at; the last one when empty.
        arguments: Build arguments.
        cached: Take the steps that builds before had in common with it. Not for images that are removed again: the
            engine fails a build that looks at a step while that is removed.

    Raises:
        KubeV6Error: The build failed; its last lines are the detail.
    """
    tail: deque[str] = deque(maxlen=60)
    until = time.monotonic() + BUILD_DEADLINE
    extra: dict[str, Any] = {"target": target} if target else {}
    try:
        events = client.api.build(
            fileobj=context,
            custom_context=True,
            tag=reference,
            labels=labels(inputs),
            buildargs=dict(arguments or {}),
            # The machine's own network: its proxy may listen on localhost, and its MTU may be a small one.
            network_mode="host",
            rm=True,
            forcerm=True,
            nocache=not cached,
            decode=True,
            **extra,
        )
        for event in events:
            if "error" in event:
                first = str(event["error"]).strip().splitlines()[0]
                raise KubeV6Error(f"building {reference} failed: {first}", detail="\n".join(tail))
            for line in str(event.get("stream", "")).splitlines():
                if line.strip():
                    tail.append(shortened(line, bounded.LONGEST_LINE))
                    shown.progress(line.strip())
            if time.monotonic() > until:
                raise KubeV6Error(
                    f"building {reference} did not end in {BUILD_DEADLINE} s",
                    todo="see whether the package mirror is slow, and run it again",
                    transient=True,
                    detail="\n".join(tail),
                )
    except container_engine.FAILURES as error:
        raise KubeV6Error(
            f"building {reference}: the Docker engine's answer broke off", transient=True, detail=str(error)
        ) from error


def remove(client: docker.DockerClient, reference: str) -> None:
    """Remove an image that was built, and the stages that led to it.

    What the engine does not let go is left to ``kubev6 cache prune``.

    Args:
        client: The engine.
        reference: What it was built as; the build had it as its argument ``STAGE`` too.
    """
    with suppress(*container_engine.FAILURES):
        for image in client.images.list(filters={"label": f"{STAGE_LABEL}={reference}", "dangling": True}):
            client.images.remove(str(image.id))
    with suppress(*container_engine.FAILURES):
        client.images.remove(reference)
