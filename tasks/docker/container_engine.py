"""The Docker engine of this machine: connected to, and started first where it does not run.

Everything that kubev6 builds or runs in containers goes through the client made here.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import docker
import docker.errors
import requests

from configs.errors import KubeV6Error, UnansweredError
from tasks import bounded
from tasks.docker.root import by_root, search_path
from tasks.exclusive import exclusive
from tasks.paths import cache_dir, data_dir
from tasks.steps import step

API_TIMEOUT = 600.0
"""Seconds that one answer of the engine may take. Removing a big container or a quiet build step takes minutes."""
START_DEADLINE = 60.0
"""Seconds in which a started engine must answer. It cleans up after a killed predecessor before it does."""
DEFAULT_SOCKET = "/var/run/docker.sock"
FAILURES = (docker.errors.DockerException, requests.RequestException)
"""What the engine's client raises when the engine refuses, or is not there any more."""

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class EnginePaths:
    """Where an engine keeps its socket and the files that a killed one leaves behind.

    Attributes:
        socket: The socket it listens on.
        pid_files: Pid files, each with the name of the process that it stands for.
    """

    socket: Path = Path(DEFAULT_SOCKET)
    pid_files: tuple[tuple[Path, str], ...] = (
        (Path("/var/run/docker.pid"), "dockerd"),
        (Path("/var/run/docker/containerd/containerd.pid"), "containerd"),
    )


def client() -> docker.DockerClient:
    """A client connected to the engine, which is started if it does not run.

    ``DOCKER_HOST`` is respected; an engine that it places elsewhere is never started.

    Returns:
        The client. It may be used by several threads.

    Raises:
        KubeV6Error: Docker is not installed, its socket may not be used, or it cannot be started.
    """
    address = os.environ.get("DOCKER_HOST") or f"unix://{DEFAULT_SOCKET}"
    if address.startswith("unix://"):
        where = Path(address.removeprefix("unix://"))
        if not _answers(where):
            if str(where.resolve()) != str(Path(DEFAULT_SOCKET).resolve()):
                raise KubeV6Error(
                    f"no Docker engine answers at {where}, where DOCKER_HOST places it",
                    todo="start it, or unset DOCKER_HOST",
                )
            with exclusive(cache_dir() / "docker-engine.lock"):
                if not _answers(where):  # the one before us at the lock has started it
                    start()
    try:
        connected = docker.from_env(timeout=int(API_TIMEOUT), max_pool_size=32)
        connected.ping()
    except FAILURES as error:
        seen = f"the Docker engine at {address} does not answer"
        raise UnansweredError(seen, error, todo="see `docker info`") from error
    return connected


def running() -> docker.DockerClient | None:
    """A client connected to the engine if that runs and may be used; it is not started."""
    address = os.environ.get("DOCKER_HOST") or f"unix://{DEFAULT_SOCKET}"
    try:
        if address.startswith("unix://") and not _answers(Path(address.removeprefix("unix://"))):
            return None
        connected = docker.from_env(timeout=int(API_TIMEOUT))
        connected.ping()
    except (KubeV6Error, *FAILURES):
        return None
    return connected


def ask(what: str, action: Callable[[], R], todo: str = "") -> R:
    """Do something with the engine; what it refuses becomes an error that a person can read.

    Args:
        what: What is done, as it follows "Docker could not".
        action: Does it.
        todo: What a person can do when it is refused.

    Returns:
        What the action returned.

    Raises:
        KubeV6Error: The engine refused, or did not answer.
    """
    try:
        return action()
    except docker.errors.APIError as error:
        raise KubeV6Error(
            f"Docker could not {what}: {error.explanation or error}", todo=todo, transient=error.is_server_error()
        ) from error
    except requests.RequestException as error:
        raise UnansweredError(f"Docker did not answer while asked to {what}", error) from error


def start() -> None:
    """Start the engine of this machine: by systemd, else by its service script, else as a plain process.

    Raises:
        KubeV6Error: It is not installed or cannot be started; the end of its log is the detail.
    """
    if shutil.which("dockerd", path=search_path()) is None:
        raise KubeV6Error("Docker is not installed on this machine", todo="apt-get install docker.io")
    with step("docker", "start the engine") as shown:
        if Path("/run/systemd/system").is_dir():
            shown.progress("by systemd")
            started = _as_root(["systemctl", "start", "docker.service"])
            if started.returncode != 0 or not _wait_for(EnginePaths().socket):
                raise KubeV6Error(
                    "systemd could not start docker.service",
                    todo="see `journalctl -u docker.service`",
                    detail=started.stdout + _journal(),
                )
            shown.ended_as("by systemd")
            return
        clear_stale_pid_files(EnginePaths())
        if EnginePaths().pid_files[0][0].exists():
            # Somebody else is starting it just now.
            if not _wait_for(EnginePaths().socket):
                raise KubeV6Error(
                    "a dockerd runs on this machine, but does not answer at its socket",
                    todo=f"end it and run this again; its process id is in {EnginePaths().pid_files[0][0]}",
                )
            return
        if Path("/etc/init.d/docker").exists() and shutil.which("service", path=search_path()):
            shown.progress("by its service script")
            # In a container or a minimal virtual machine the script may fail at its own ulimit lines.
            if _as_root(["service", "docker", "start"]).returncode == 0 and _wait_for(EnginePaths().socket, 15):
                shown.ended_as("by its service script")
                return
        shown.progress("as a plain process")
        start_process(EnginePaths())
        shown.ended_as("as a plain process")


def start_process(paths: EnginePaths, command: Sequence[str] = ("dockerd",)) -> None:
    """Run ``dockerd`` detached from this process and its terminal, and wait until it answers.

    Args:
        paths: Where its socket will be, and its pid files.
        command: The command, with more arguments for an engine that is not the machine's own.

    Raises:
        KubeV6Error: It ended, or did not answer in time.
    """
    clear_stale_pid_files(paths)
    log = data_dir() / "logs" / "dockerd.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            by_root(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PATH": search_path()},
        )
    if _wait_for(paths.socket, process=process):
        return
    ended = process.poll()
    seen = f"ended with status {ended}" if ended is not None else f"did not answer in {START_DEADLINE:.0f} s"
    if ended is None:
        process.terminate()
    raise KubeV6Error(f"dockerd {seen}", todo=f"see {log}", detail=_tail(log))


def clear_stale_pid_files(paths: EnginePaths) -> list[Path]:
    """Remove the pid files of a killed engine.

    A new engine refuses to start while any process has the number in its pid file, and numbers are soon given
    to other processes.

    Returns:
        The files that were removed.
    """
    removed = []
    for file, program in paths.pid_files:
        try:
            pid = file.read_text().strip()
        except FileNotFoundError:
            continue
        except PermissionError:
            pid = _as_root(["cat", str(file)]).stdout.strip()
        if not pid or _program_of(pid) != program:
            _as_root(["rm", "-f", str(file)])
            removed.append(file)
    return removed


def _program_of(pid: str) -> str:
    """The name of a process; empty when there is none, or when only its exit status is left."""
    process = Path("/proc", pid)
    with suppress(OSError):
        return process.joinpath("comm").read_text().strip() if process.joinpath("cmdline").read_bytes() else ""
    return ""


def _answers(where: Path) -> bool:
    """True when an engine answers at the socket. One that is starting listens, but does not answer yet.

    Raises:
        KubeV6Error: This user may not use the socket.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(10)
        try:
            probe.connect(str(where))
            probe.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in probe.recv(64)
        except PermissionError:
            user = os.environ.get("USER", "$USER")
            raise KubeV6Error(
                f"this user may not use the Docker engine's socket {where}",
                todo=f"run `sudo usermod -aG docker {user}` and log in again",
            ) from None
        except OSError:
            return False


def _wait_for(where: Path, deadline: float = START_DEADLINE, process: subprocess.Popen[bytes] | None = None) -> bool:
    """Wait until the socket is listened on, the deadline (seconds) has passed, or ``process`` has ended."""
    until = time.monotonic() + deadline
    while not _answers(where):
        if time.monotonic() > until:
            return False
        if process is None:
            time.sleep(0.1)
            continue
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            return _answers(where)
    return True


def _as_root(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            by_root(command),
            check=False,
            text=True,
            stdin=subprocess.DEVNULL if os.geteuid() == 0 else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=START_DEADLINE,
            env={**os.environ, "PATH": search_path()},
        )
    except subprocess.TimeoutExpired as error:
        seen = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else str(error.stdout or "")
        return subprocess.CompletedProcess(command, 124, seen, "")


def _journal() -> str:
    if shutil.which("journalctl") is None:
        return ""
    return _as_root(["journalctl", "--no-pager", "--lines=30", "--unit=docker.service"]).stdout


def _tail(log: Path, lines: int = 30) -> str:
    with suppress(OSError), log.open("rb") as file:
        return "\n".join(bounded.end_of(file).splitlines()[-lines:])
    return ""
