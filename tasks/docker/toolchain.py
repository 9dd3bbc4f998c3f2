"""The toolchain image: what compiles a release, and running commands in it.

Nothing is compiled on the machine itself. The image is made from ``build/toolchain``; which packages it came to
hold is written down, so that later runs know the toolchain without asking Docker.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import docker
import docker.errors
from docker.models.containers import Container

from configs.errors import EndedError, KubeV6Error
from tasks import bounded, scope
from tasks.docker import base_image, container_engine
from tasks.docker import build as docker_build
from tasks.exclusive import exclusive
from tasks.paths import RECIPES, cache_dir
from tasks.recipes import directory_digest
from tasks.replace import write_whole
from tasks.ssh.command_log import ran
from tasks.steps import step

RECIPE = RECIPES / "toolchain"
LABEL = "kubev6.toolchain"
KEPT_LINES = 60
"""How many of a command's last lines go with its error."""
PRINTED = 1 << 30
"""Bytes that a command may print: the compilation of Kubernetes, with each package's name, has a thousandth of it."""
log = logging.getLogger("kubev6.docker")


class StatusError(KubeV6Error):
    """A command in a container ended with a status other than 0.

    Args:
        name: What it is.
        status: The status.
        lines: Its last lines.
    """

    def __init__(self, name: str, status: int, lines: Sequence[str]) -> None:
        last = next((line for line in reversed(lines) if line.strip()), "no output")
        super().__init__(
            f"{name}: ended with status {status}: {last.strip()}",
            todo="its last lines are in the run log",
            detail="\n".join(lines),
        )
        self.status = status


class Containers:
    """The containers in which a run has commands under way."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._stopped: set[str] = set()
        self._changing = threading.Lock()

    @contextmanager
    def having(self, identity: str) -> Iterator[None]:
        """Count a container among them, as long as this context lasts."""
        with self._changing:
            self._ids.add(identity)
        try:
            yield
        finally:
            with self._changing:
                self._ids.discard(identity)

    def stopped(self, identity: str) -> bool:
        """Whether a container was stopped here."""
        with self._changing:
            return identity in self._stopped

    def stop(self) -> None:
        """Stop and remove all of them, from another thread."""
        with self._changing:
            ids = tuple(self._ids)
            self._stopped |= self._ids
        client = container_engine.running() if ids else None
        if client is None:
            return
        for identity in ids:
            try:
                _remove(client.containers.get(identity))
            except docker.errors.NotFound:
                continue
            except container_engine.FAILURES as error:
                log.warning("container %s could not be stopped: %s", identity[:12], error)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A toolchain image.

    Attributes:
        image: Docker's reference of it.
        go: Its compiler, for example ``go1.19.8 linux/amd64``.
        packages: Every Debian package in it, ``name=version``, sorted.
    """

    image: str
    go: str
    packages: tuple[str, ...]

    @property
    def identity(self) -> str:
        """sha256 of the package list: the same for the same packages, wherever the image was made."""
        return hashlib.sha256("\n".join(self.packages).encode()).hexdigest()

    @property
    def platform(self) -> str:
        """What it compiles for, for example ``linux/amd64``."""
        return self.go.split()[-1]

    def version_of(self, package: str) -> str:
        """The version of ``package`` in the image. Raises KeyError when it is not in it."""
        return dict(entry.split("=", 1) for entry in self.packages)[package]


def recorded() -> Toolchain | None:
    """The toolchain that was made here last from the recipe as it stands, without asking Docker; else None."""
    return bounded.kept(record_file(), Toolchain, "the image is made again")


def ready() -> Toolchain:
    """The toolchain image, made when Docker does not hold it.

    Raises:
        KubeV6Error: The engine or the package mirror cannot be reached, or a package is missing there.
    """
    client = container_engine.client()
    if (known := recorded()) is not None and holds(client, known.image):
        return known
    # Outside the directory of the records, so that it stays when they are removed.
    with exclusive(cache_dir() / "toolchain.lock", what="toolchain image"):
        if (known := recorded()) is not None and holds(client, known.image):  # the one before us has made it
            return known
        return _make(client)


def reference() -> str:
    """What the image of the recipe as it stands is called."""
    return f"kubev6/toolchain:{directory_digest(RECIPE)[:12]}"


def holds(client: docker.DockerClient, image: str) -> bool:
    """Whether the engine holds an image."""
    try:
        client.images.get(image)
    except docker.errors.ImageNotFound:
        return False
    return True


def _make(client: docker.DockerClient) -> Toolchain:
    with step("build", "toolchain image") as shown:
        inputs, image = directory_digest(RECIPE), reference()
        base = base_image.base_image()
        with docker_build.directory_context(RECIPE) as context:
            docker_build.build(client, image, context, inputs=inputs, arguments={"BASE": base}, shown=shown)
        made = Toolchain(image, *versions_in(image))
        write_whole(record_file(), json.dumps(asdict(made), indent=1))
        shown.ended_as(f"{made.go}, {len(made.packages)} packages")
    return made


def versions_in(image: str) -> tuple[str, tuple[str, ...]]:
    """The Go of an image, such as ``go1.19.8 linux/amd64``, and its Debian packages, ``name=version``, sorted.

    Raises:
        KubeV6Error: It does not run, or has no Go.
    """
    lines: list[str] = []
    run(
        image,
        ["sh", "-c", "go version; dpkg-query --show --showformat '${Package}=${Version}\\n' | sort"],
        name="toolchain versions",
        deadline=60,
        on_line=lines.append,
    )
    return " ".join(lines[0].split()[2:]), tuple(lines[1:])


def run(
    image: str,
    command: Sequence[str],
    *,
    name: str,
    deadline: float,
    sole: str = "",
    mounts: Mapping[Path, str] | None = None,
    read_only: Mapping[Path, str] | None = None,
    environment: Mapping[str, str] | None = None,
    as_caller: bool = False,
    network: bool = False,
    on_line: Callable[[str], object] | None = None,
) -> None:
    """Run one command in a container that is gone afterwards, whatever happens.

    Args:
        image: Reference of the image.
        command: The command and its arguments.
        name: What it is, for errors, for example ``"compile"``.
        deadline: Seconds until it is stopped.
        sole: Name of the container, when there may be only one at a time. The caller holds a lock on what it works
            on, so one of that name that is there already was left behind by a process that got killed.
        mounts: Directories of this machine and where the command sees them.
        read_only: The same, but it cannot write there.
        environment: Variables for the command.
        as_caller: Run with the caller's user and group id instead of root, so that files are the caller's own.
        network: Give it this machine's network, whose proxy may listen on localhost; without, it has none.
        on_line: Hears every line of its output and its errors.

    Raises:
        StatusError: It failed; its last lines are the detail.
        KubeV6Error: It took too long, or the engine failed.
    """
    ran("container", command, step=name)
    client = container_engine.client()
    volumes = {str(path): {"bind": inside, "mode": "rw"} for path, inside in (mounts or {}).items()}
    volumes |= {str(path): {"bind": inside, "mode": "ro"} for path, inside in (read_only or {}).items()}
    tail: deque[str] = deque(maxlen=KEPT_LINES)
    try:
        if sole:
            for left_behind in client.containers.list(all=True, ignore_removed=True, filters={"name": f"^/{sole}$"}):
                _remove(left_behind)
        container = client.containers.create(
            image,
            list(command),
            name=sole or None,
            labels={LABEL: name},
            volumes=volumes,
            environment={"HOME": "/tmp", **(environment or {})},
            user=f"{os.getuid()}:{os.getgid()}" if as_caller else "0:0",
            network_mode="host" if network else "none",
        )
    except container_engine.FAILURES as error:
        raise KubeV6Error(f"{name}: the Docker engine made no container of {image}: {error}") from None
    late = threading.Event()

    def stop() -> None:
        late.set()
        _remove(container)

    timer = threading.Timer(deadline, stop)
    timer.daemon = True
    containers = scope.find(Containers) or Containers()
    try:
        with containers.having(str(container.id)):
            output = container.attach(stdout=True, stderr=True, stream=True, logs=True)
            container.start()
            timer.start()
            for line in bounded.lines(output, PRINTED):
                tail.append(line)
                if on_line:
                    on_line(line)
            status = int(container.wait(timeout=60)["StatusCode"])
    except bounded.TooMuchError as error:
        todo = "its last lines are in the run log"
        raise KubeV6Error(f"{name}: {error}", todo=todo, detail="\n".join(tail)) from None
    except container_engine.FAILURES as error:
        if not late.is_set() and not containers.stopped(str(container.id)):
            raise KubeV6Error(f"{name}: its container went away: {error}", detail="\n".join(tail)) from None
        status = 137
    finally:
        timer.cancel()
        _remove(container)
    if late.is_set():
        raise KubeV6Error(f"{name}: was stopped after {deadline:.0f} s", detail="\n".join(tail))
    if status and containers.stopped(str(container.id)):
        raise EndedError(name)
    if status:
        raise StatusError(name, status, tuple(tail))


def _remove(container: Container) -> None:
    """Remove a container, or say that it stays: what came before matters more than that."""
    try:
        container.remove(force=True, v=True)
    except container_engine.FAILURES as error:
        # Else it is gone already, or being removed by another thread.
        if not isinstance(error, docker.errors.APIError) or error.status_code not in (404, 409):
            log.warning("container %s could not be removed: %s", container.short_id, error)


def record_file() -> Path:
    """Where it is written down what the toolchain of the recipe as it stands came to hold."""
    return cache_dir() / "toolchain" / f"{directory_digest(RECIPE)}.json"
