"""Plain git, for places that are not ours: servers, other people's repositories, bundles.

What is done in our own repositories goes through GitPython, see :mod:`tasks.release.series.repository`.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

from tasks.bounded import Bound, TooMuchError

PROTOCOLS = "file:ftp:ftps:git:http:https:ssh"
"""By which others are asked, where the user has not said so (GIT_ALLOW_PROTOCOL, git(1))."""
SECONDS = 120.0
"""How long an answer may take."""
ANSWER = 256 << 20
"""Bytes that an answer may have: the refs of upstream Kubernetes, with two for each pull request, have a tenth."""
NO_SETTINGS = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "LC_ALL": "C"}
"""Environment in which git knows nothing of this machine's own settings."""
_NOT_ANSWERED = 124
_OF_ANOTHER = (
    "GIT_DIR",
    "GIT_COMMON_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_SHALLOW_FILE",
)
"""What the user's environment may say of a repository, which is none of those here."""


def ask(words: Sequence[str], environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Ask git something that it answers at once.

    Args:
        words: The words behind ``git``.
        environment: Its environment; one in which nothing of the user's own git settings takes part when None.

    Returns:
        Its status, and what it wrote; one that has not ended in time, or writes more than is taken, says so.
    """
    command = ["git", *words]
    with start(command, environment or usual_environment() | NO_SETTINGS) as process:
        try:
            output, said = _heard(process)
        except (subprocess.TimeoutExpired, TooMuchError) as error:
            seen = f"no answer within {SECONDS:.0f} s" if isinstance(error, subprocess.TimeoutExpired) else error
            return subprocess.CompletedProcess(command, _NOT_ANSWERED, "", f"fatal: {seen}")
        finally:
            end(process)
    return subprocess.CompletedProcess(command, process.returncode, os.fsdecode(output), said.decode(errors="replace"))


def _heard(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What a program writes on both its outputs until it ends."""
    until, bound = time.monotonic() + SECONDS, Bound(ANSWER, "its answer")
    heard = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as ready:
        for output in heard:
            ready.register(cast(IO[bytes], output), selectors.EVENT_READ)
        while ready.get_map():
            for key, _ in ready.select(timeout=max(until - time.monotonic(), 0)):
                chunk = os.read(key.fd, 1 << 16)
                bound.count(len(chunk))
                heard[cast(IO[bytes], key.fileobj)] += chunk
                if not chunk:
                    ready.unregister(key.fileobj)
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(process.args, SECONDS)
    process.wait(max(until - time.monotonic(), 0.01))
    return bytes(heard[process.stdout]), bytes(heard[process.stderr])


def start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start git in a session of its own, so that the programs that it starts can be ended together with it."""
    pipe: Any = subprocess.PIPE
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """End what :func:`start` started, unless it has ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def usual_environment() -> dict[str, str]:
    """The environment of a git that nobody can answer a question, and that speaks English."""
    found = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER}
    return found | {"LC_ALL": "C", "LANGUAGE": "C", "GIT_TERMINAL_PROMPT": "0"}


def server_environment() -> dict[str, str]:
    """The same for talking to a server, by what git itself speaks and no other program that an address may name.

    ssh asks nothing either, unless the user has said how it is to be called.
    """
    found = {"GIT_ALLOW_PROTOCOL": PROTOCOLS, **usual_environment()}
    if "GIT_SSH_COMMAND" not in found and not ask(["config", "--get", "core.sshCommand"], found).stdout:
        found["GIT_SSH_COMMAND"] = "ssh -oBatchMode=yes -oConnectTimeout=20"
    return found


def complaint(said: str) -> str:
    """What git complained of, in one line without its prefix; empty when it said nothing."""
    lines = [line.strip() for line in said.replace("\r", "\n").split("\n") if line.strip()]
    telling = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[0] if lines else "")
    first = telling.split(": ", 1)[-1]
    if first.endswith(":"):  # and then goes on in the next line
        first = " ".join([first, *lines[lines.index(telling) + 1 :][:1]])
    return first


def objects_of(path: Path) -> Path | None:
    """Where a repository keeps its objects, also that of a linked working tree; None when it is none.

    Its owner may be somebody else: nothing of it is run, it is only looked at. The directories above do not count.
    """
    words = ["-C", str(path), "-c", "safe.directory=*", "rev-parse", "--path-format=absolute", "--git-path", "objects"]
    answer = ask(words, usual_environment() | NO_SETTINGS | {"GIT_CEILING_DIRECTORIES": str(path.parent)})
    return Path(answer.stdout.rstrip("\n")) if answer.returncode == 0 else None
