"""One verified SSH connection to a node: commands, Python programs and forwarded ports over a single transport.

Host keys are always checked against known_hosts files. Everything that waits has a deadline. A failure is a
:class:`configs.errors.NodeError` with the node, the step and what was seen; only what trying again may mend
(refused, reset, timed out, dropped by sshd's MaxStartups) is transient.
"""

from __future__ import annotations

import base64
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import paramiko

from configs.errors import NodeError
from configs.render import render
from configs.words import shortened
from tasks import bounded
from tasks.node_agent.protocol import Failed
from tasks.secrets import hide
from tasks.shell import quote
from tasks.ssh.channel import execute, last_line
from tasks.ssh.command_log import ran
from tasks.ssh.endpoint import Endpoint
from tasks.ssh.forward import forwarded_port
from tasks.ssh.host_key import shake_hands
from tasks.ssh.login import log_in
from tasks.ssh.sudo import sudo
from tasks.ssh.transport import opened_transport
from tasks.steps import step as announced_step

KEEPALIVE = 15
GRACE = 10.0
"""Seconds given to a node to end a command by itself, at its deadline, before the connection stops waiting."""

_FAILED = f"{Failed.__module__}.{Failed.__qualname__}: "
"""With what the last line begins of a program that nobody in it has let say why it failed."""
_JUMPS_AT_ONCE = threading.BoundedSemaphore(4)
"""How many logins at jump hosts go on at once.

An sshd drops some beyond ten (MaxStartups of sshd_config(5)), and counts each for a moment after it has let it in.
"""


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended.

    Attributes:
        status: Exit status.
        stdout: What it wrote to standard output, decoded as UTF-8.
        stderr: What it wrote to standard error, decoded as UTF-8.
    """

    status: int
    stdout: str
    stderr: str


class Connection:
    """An authenticated transport to one node. Made by :func:`connect`.

    Commands are run from one thread at a time; a forwarded port may be used beside them.
    """

    def __init__(self, endpoint: Endpoint, transport: paramiko.Transport, way: ExitStack) -> None:
        self.endpoint = endpoint
        self.node = endpoint.node
        self._transport = transport
        self._way = way
        self._sudo: tuple[str, bytes] | None = ("", b"") if endpoint.user == "root" else None

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        command: Sequence[str] | str,
        *,
        step: str,
        stdin: bytes = b"",
        timeout: float = 60,
        check: bool = True,
        root: bool = True,
        on_stderr: Callable[[str], None] | None = None,
    ) -> Result:
        """Run one command and wait for its end.

        Args:
            command: The words of the command, or a script for ``sh -c``. Never holds a secret: the node's
                process list shows it. Secrets go to ``stdin``.
            step: What is being done, for the error.
            stdin: Bytes for its standard input, which is closed right after them.
            timeout: Seconds until it is ended, on the node too.
            check: Whether a status other than 0 is an error.
            root: Whether it runs as root (by sudo, when the login is not root).
            on_stderr: Called with each line of standard error as it comes, from another thread.

        Returns:
            Its exit status and output.

        Raises:
            NodeError: It failed (with ``check``), ran out of time, root is not to be had, or the connection broke.
        """
        prefix, secret = self._as_root(step) if root else ("", b"")
        ran(self.node, command, step=step)
        started = time.monotonic()
        limit = f"timeout -k 5 {math.ceil(timeout)} "
        status, out, err = execute(
            self.endpoint,
            self._transport,
            f"{prefix}env LC_ALL=C {limit}{quote(command)}",
            secret + stdin,
            step,
            timeout + GRACE,
            on_stderr,
        )
        result = Result(status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
        late = status in (124, 137) and time.monotonic() - started >= timeout
        if not late and (not check or status == 0):
            return result
        name = _name_of(command)
        detail = f"{name}: status {status}\n{_told(result)}"
        if late:
            raise NodeError(self.node, step, f"{name} was ended after {timeout:g} s", transient=True, detail=detail)
        last = last_line(result.stderr) or last_line(result.stdout) or "no output"
        raise NodeError(self.node, step, f"{name} ended with status {status}: {_words(last, 2000)}", detail=detail)

    def run_python(
        self,
        script: str,
        payload: object,
        *,
        step: str,
        timeout: float,
        kind: Any = None,
        progress: Callable[..., object] | None = None,
        made: Callable[[int], None] | None = None,
    ) -> Any:
        """Run a Python program as root on the node and get its JSON answer.

        The program goes to ``python3 -`` by standard input, with the payload bound to ``PAYLOAD`` before it, and
        prints one JSON document. Lines of standard error of the form ``{"progress": TEXT}`` (with ``"done"`` and
        ``"total"`` where that is counted), ``{"made": COUNT}`` and ``{"command": TEXT}`` are handed to ``progress``,
        ``made`` and the log of commands as they come, so what is known of a program whose connection breaks is what
        it had done by then.

        Args:
            script: Source of a self-contained program, see :func:`tasks.ssh.program.program`.
            payload: Anything that JSON can hold.
            step: What is being done, for the error.
            timeout: Seconds.
            kind: The form that the answer must have: whatever pydantic takes for one; None for any.
            progress: Called with each progress text, and with how much of how much is done where the program counts
                that, from another thread.
            made: Called with the number of changes that are made so far, from another thread.

        Returns:
            The answer, in its form.

        Raises:
            NodeError: The program failed, answered something else than JSON of that form, or the node has no Python.
        """
        encoded = base64.b64encode(json.dumps(payload).encode()).decode()
        bound = f"import base64, json\nPAYLOAD = json.loads(base64.b64decode({encoded!r}).decode())\n"
        program = (bound + script).encode()

        # -I and -S: nothing of the node's own Python set-up takes part, and it starts in half the time.
        command = ["python3", "-IS", "-"]
        result = self.run(
            command,
            step=step,
            stdin=program,
            timeout=timeout,
            check=False,
            on_stderr=self._hearing(step, progress, made),
        )
        self._refuse_failed(result, step)
        return self._parsed(result.stdout, step, kind)

    def read_python(
        self, script: str, *, step: str, timeout: float, progress: Callable[..., object] | None = None
    ) -> bytes:
        """Run a Python program as root on the node and get the bytes that it prints, of which nothing is ever told.

        Args:
            script: Source of a self-contained program, see :func:`tasks.ssh.program.program`.
            step: What is being done, for the error.
            timeout: Seconds.
            progress: As for :meth:`run_python`.

        Raises:
            NodeError: The program failed, ran out of time, or the node has no Python.
        """
        hear = self._hearing(step, progress, None)
        prefix, secret = self._as_root(step)
        command = f"{prefix}env LC_ALL=C timeout -k 5 {math.ceil(timeout)} python3 -IS -"
        ran(self.node, "python3 -IS -", step=step)
        program = f"PAYLOAD = {{}}\n{script}".encode()
        status, out, err = execute(
            self.endpoint, self._transport, command, secret + program, step, timeout + GRACE, hear
        )
        if status in (124, 137):
            raise NodeError(self.node, step, f"python3 was ended after {timeout:g} s", transient=True)
        self._refuse_failed(Result(status, "", err.decode("utf-8", "replace")), step)
        return out

    def run_json(self, command: Sequence[str] | str, *, step: str, timeout: float = 60, kind: Any = None) -> Any:
        """Run a command that answers in JSON, and give its answer; the arguments are those of the methods above."""
        return self._parsed(self.run(command, step=step, timeout=timeout).stdout, step, kind)

    def _hearing(
        self, step: str, progress: Callable[..., object] | None, made: Callable[[int], None] | None
    ) -> Callable[[str], None]:
        """What listens to the lines that a program says of its work."""

        def line(text: str) -> None:
            hear: Callable[[], object]
            try:
                if progress is not None and text.startswith('{"progress"'):
                    told = bounded.parsed(text)
                    numbers = (float(told["done"]), float(told["total"])) if "total" in told else ()
                    hear = partial(progress, str(told["progress"]), *numbers)
                elif made is not None and text.startswith('{"made"'):
                    hear = partial(made, int(bounded.parsed(text)["made"]))
                elif text.startswith('{"command"'):
                    hear = partial(ran, self.node, str(bounded.parsed(text)["command"]), step=step)
                else:
                    return
            except (ValueError, KeyError, TypeError):
                seen = f"what python3 says of its work is not as it should be: {_words(text)!r}"
                raise NodeError(self.node, step, seen, todo="see what else prints there") from None
            hear()

        return line

    def _refuse_failed(self, result: Result, step: str) -> None:
        """Raise what a Python program that failed says, or that there is no Python."""
        if result.status in (126, 127):
            raise NodeError(
                self.node,
                step,
                "there is no python3, so the node cannot be asked",
                todo="a deploy installs it by the node's package manager; by hand: apt-get install python3",
                detail=_told(result),
            )
        if result.status != 0:
            last = last_line(result.stderr) or "no output"
            # A program that says why it cannot go on is no broken one.
            seen = _words(last.removeprefix(_FAILED), 2000)
            seen = seen if last.startswith(_FAILED) else f"python3 ended with status {result.status}: {seen}"
            raise NodeError(self.node, step, seen, detail=_told(result))

    def _parsed(self, text: str, step: str, kind: Any) -> Any:
        try:
            value = bounded.parsed(text)
        except ValueError as error:
            seen = f"the answer is not JSON ({error}): {_words(text)!r}"
            raise NodeError(self.node, step, seen, detail=bounded.tail(hide(text))) from None
        try:
            return value if kind is None else bounded.shaped(value, kind, "the answer")
        except ValueError as error:
            raise NodeError(self.node, step, str(error), detail=bounded.tail(hide(text))) from None

    def provide_python(self, repositories: str = "") -> bool:
        """Install Python by the node's own package manager, unless it is there: :meth:`run_python` needs it.

        Args:
            repositories: Where yum finds packages besides the places that the node names, as a file of its; those of
                CentOS 7 are gone. Nothing of it stays on the node.

        Returns:
            True when it was installed.

        Raises:
            NodeError: It cannot be had.
        """
        if self.run(["python3", "-IS", "-c", ""], step="find python3", check=False).status not in (126, 127):
            return False
        with announced_step(self.node, "install python3"):
            self.run(render("install-python.sh"), step="install python3", stdin=repositories.encode(), timeout=600)
        return True

    def forward(self, host: str, port: int) -> AbstractContextManager[int]:
        """A port on 127.0.0.1 whose connections the node makes to ``host`` and ``port``.

        Args:
            host: Host name or address as the node sees it (no brackets).
            port: TCP port there.

        Returns:
            A context manager that yields the local port and closes it, with all its connections, at the end.
        """
        return forwarded_port(self._transport, self.node, host, port)

    @contextmanager
    def closed_when_silent(self, seconds: float) -> Iterator[None]:
        """While the block runs, close the connection when the other side has answered nothing for some seconds.

        sshd answers a global request that it does not know with a failure (RFC 4254, 4).
        """
        ended, heard = threading.Event(), [time.monotonic()]

        def ask() -> None:
            while not ended.wait(seconds / 4) and self.is_open:
                self._transport.global_request("keepalive@openssh.com", wait=True)
                heard.append(time.monotonic())

        def listen() -> None:
            while not ended.wait(1):
                if time.monotonic() - heard[-1] > seconds:
                    self._transport.close()
                    return

        for work in (ask, listen):
            threading.Thread(target=work, daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    @property
    def is_open(self) -> bool:
        """Whether it holds, as far as is known without asking the other side."""
        return bool(self._transport.is_active())

    def close(self) -> None:
        """Close it, and what it goes through. A command that another thread waits for ends with a NodeError."""
        self._way.close()

    def _as_root(self, step: str) -> tuple[str, bytes]:
        """What to put before a command, and before its input, to run it as root."""
        if self._sudo is None:
            self._sudo = sudo(self.endpoint, self._transport, step)
        return self._sudo


def connect(endpoint: Endpoint, *, timeout: float = 15) -> Connection:
    """Open, verify and authenticate a connection, and before it one to each jump host on the way.

    A password, where one is needed, comes from the environment variable ``KUBEV6_SSH_PASSWORD`` or from the
    file named by ``KUBEV6_SSH_PASSWORD_FILE``; sudo's likewise from ``KUBEV6_SUDO_PASSWORD``, and the passphrase of a
    key from ``KUBEV6_SSH_KEY_PASSPHRASE``, see :mod:`tasks.secrets`.

    Args:
        endpoint: The node.
        timeout: Seconds for each of: TCP connection, banner, key exchange, authentication; of every machine for which
            the user's SSH configuration names no other.

    Returns:
        The connection; a context manager that closes it.

    Raises:
        NodeError: Unreachable, host key unknown or changed, or login refused, there or at a jump host.
        ConfigError: The file of a password or a passphrase cannot be used.
    """
    with ExitStack() as way:
        transport = _opened(endpoint, timeout, way)
        return Connection(endpoint, transport, way.pop_all())


def _opened(endpoint: Endpoint, timeout: float, way: ExitStack) -> paramiko.Transport:
    """A transport that is logged in; it and those that it goes through are closed with ``way``."""
    through = _opened(endpoint.via, timeout, way) if endpoint.via else None
    limit = endpoint.settings.connect_timeout or timeout
    try:
        with _JUMPS_AT_ONCE if endpoint.jump else nullcontext():
            transport = opened_transport(endpoint, limit, through)
            way.callback(transport.close)
            shake_hands(endpoint, transport, limit)
            log_in(endpoint, transport)
    except NodeError as error:
        if endpoint.jump:
            seen = f"jump host {endpoint.jump}: {error.seen}"
            raise NodeError(
                error.node, error.step, seen, todo=error.todo, transient=error.transient, detail=error.detail
            ) from error
        error.todo = endpoint.todo or error.todo
        raise
    transport.set_keepalive(KEEPALIVE)
    return transport


def _told(result: Result) -> str:
    """What a command has printed, for the log."""
    return "\n".join(bounded.tail(hide(text)) for text in (result.stdout, result.stderr))


def _words(text: str, most: int = 80) -> str:
    """The beginning of what a node has said, for a line."""
    return shortened(hide(text), most)


def _name_of(command: Sequence[str] | str) -> str:
    """The command's first word: its arguments may be long, or nobody's business."""
    words = command.split() if isinstance(command, str) else command
    return words[0] if words else "the command"
