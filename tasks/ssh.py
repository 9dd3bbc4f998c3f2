"""One verified SSH connection to a node: commands, Python programs and forwarded ports over a single transport.

Host keys are always checked against known_hosts files. Everything that waits has a deadline. A failure is a
:class:`configs.errors.NodeError` with the node, the step and what was seen; only what trying again may mend
(refused, reset, timed out, dropped by sshd's MaxStartups) is transient.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko
from paramiko.pkey import UnknownKeyType

from configs.errors import NodeError
from tasks.shell import quote
from tasks.ssh_forward import forwarded_port
from tasks.steps import step as announced_step

STEP = "connect"
CHANNEL_TIMEOUT = 15.0
KEEPALIVE = 15
UNACKNOWLEDGED_MS = 30_000
"""A peer that acknowledges nothing for this long is gone; without it a dead link hangs for a quarter of an hour."""
GRACE = 10.0
"""Seconds given to a node to end a command by itself, at its deadline, before the connection stops waiting."""
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
"""AES-GCM first: one pass for cipher and integrity; measured a third faster here than CTR with a separate MAC."""
KEX_FIRST = ("curve25519-sha256@libssh.org", "ecdh-sha2-nistp256")
WINDOW = 16 * 1024 * 1024
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")

# Without a handler of its own, paramiko's account of a lost connection goes to the terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how a node is reached.

    Attributes:
        node: The node's name, for messages.
        host: Host name, IPv4 or IPv6 address (no brackets).
        port: TCP port of sshd.
        user: Login name. Anyone but root needs the right to use sudo.
        key_file: Private key; None means agent and default keys.
        known_hosts: File with the host's key; None means the user's and the system's own files.
        todo: What to do when no connection comes about, where whoever made the machine knows better than SSH.
    """

    node: str
    host: str
    port: int = 22
    user: str = "root"
    key_file: str | None = None
    known_hosts: str | None = None
    todo: str = field(default="", compare=False)

    @property
    def authority(self) -> str:
        """``[address]:port``, or ``name:port`` for anything that holds no colon."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


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

    def __init__(self, endpoint: Endpoint, transport: paramiko.Transport) -> None:
        self.endpoint = endpoint
        self.node = endpoint.node
        self._transport = transport
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
        started = time.monotonic()
        limit = f"timeout -k 5 {math.ceil(timeout)} "
        status, out, err = self._execute(
            f"{prefix}env LC_ALL=C {limit}{quote(command)}", secret + stdin, step, timeout + GRACE, on_stderr
        )
        result = Result(status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
        name = _name_of(command)
        detail = f"{name}: status {status}\n{result.stdout}{result.stderr}"
        if status in (124, 137) and time.monotonic() - started >= timeout:
            raise NodeError(self.node, step, f"{name} was ended after {timeout:g} s", transient=True, detail=detail)
        if check and status != 0:
            last = _last_line(result.stderr) or _last_line(result.stdout) or "no output"
            raise NodeError(self.node, step, f"{name} ended with status {status}: {last}", detail=detail)
        return result

    def run_python(
        self,
        script: str,
        payload: object,
        *,
        step: str,
        timeout: float,
        progress: Callable[[str], None] | None = None,
    ) -> Any:
        """Run a Python program as root on the node and get its JSON answer.

        The program goes to ``python3 -`` by standard input, with the payload bound to ``PAYLOAD`` before it, and
        prints one JSON document. Lines of standard error of the form ``{"progress": TEXT}`` are handed to
        ``progress``.

        Args:
            script: Source of a self-contained program, see :mod:`tasks.on_node`.
            payload: Anything that JSON can hold.
            step: What is being done, for the error.
            timeout: Seconds.
            progress: Called with each progress text, from another thread.

        Returns:
            The parsed answer.

        Raises:
            NodeError: The program failed, answered something else than JSON, or the node has no Python.
        """
        encoded = base64.b64encode(json.dumps(payload).encode()).decode()
        bound = f"import base64, json\nPAYLOAD = json.loads(base64.b64decode({encoded!r}).decode())\n"
        program = (bound + script).encode()

        def line(text: str) -> None:
            if progress is not None and text.startswith('{"progress"'):
                progress(str(json.loads(text)["progress"]))

        # -I and -S: nothing of the node's own Python set-up takes part, and it starts in half the time.
        command = ["python3", "-IS", "-"]
        result = self.run(command, step=step, stdin=program, timeout=timeout, check=False, on_stderr=line)
        detail = f"{result.stdout}\n{result.stderr}"
        if result.status in (126, 127):
            raise NodeError(
                self.node,
                step,
                "there is no python3, so the node cannot be asked",
                todo="a deploy installs it by the node's package manager; by hand: apt-get install python3",
                detail=detail,
            )
        if result.status != 0:
            last = _last_line(result.stderr) or "no output"
            raise NodeError(self.node, step, f"python3 ended with status {result.status}: {last}", detail=detail)
        try:
            return json.loads(result.stdout)
        except ValueError as error:
            raise NodeError(
                self.node, step, f"the answer is not JSON: {result.stdout[:80]!r}", detail=detail
            ) from error

    def provide_python(self) -> bool:
        """Install Python by the node's own package manager, unless it is there: :meth:`run_python` needs it.

        Returns:
            True when it was installed.

        Raises:
            NodeError: It cannot be had.
        """
        if self.run(["python3", "-IS", "-c", ""], step="find python3", check=False).status not in (126, 127):
            return False
        script = (
            "if command -v apt-get >/dev/null; then export DEBIAN_FRONTEND=noninteractive; "
            "apt-get -o DPkg::Lock::Timeout=300 update && "
            "apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends python3; "
            "elif command -v dnf >/dev/null; then dnf install -y python3; "
            "elif command -v yum >/dev/null; then yum install -y python3; "
            "else echo 'no apt-get, dnf or yum here: install python3 (3.6 or newer) by hand' >&2; exit 1; fi"
        )
        with announced_step(self.node, "install python3"):
            self.run(script, step="install python3", timeout=600)
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

    def close(self) -> None:
        """Close the transport. A command that another thread waits for ends with a NodeError."""
        self._transport.close()

    def _as_root(self, step: str) -> tuple[str, bytes]:
        """What to put before a command, and before its input, to run it as root."""
        if self._sudo is None:
            # SSH_CONNECTION is what sudo drops and what the node needs to keep our own path alive.
            keep = '-- env SSH_CONNECTION="$SSH_CONNECTION" '
            status, _, err = self._execute("sudo -n true", b"", step, CHANNEL_TIMEOUT, None)
            if status == 0:
                self._sudo = (f"sudo -n {keep}", b"")
                return self._sudo
            seen = _last_line(err.decode("utf-8", "replace")) or f"status {status}"
            password = _secret("KUBEV6_SUDO_PASSWORD", self.node, step)
            if password is not None and status != 127:
                # -k: never take a remembered right, or the password would be read by the command instead.
                secret = password.encode() + b"\n"
                status, _, err = self._execute("sudo -k -S -p '' true", secret, step, CHANNEL_TIMEOUT, None)
                if status == 0:
                    self._sudo = (f"sudo -k -S -p '' {keep}", secret)
                    return self._sudo
                seen = _last_line(err.decode("utf-8", "replace")) or f"status {status}"
            raise NodeError(
                self.node,
                step,
                f"{self.endpoint.user} cannot become root by sudo: {seen}",
                todo=f"let {self.endpoint.user} use sudo, log in as root, or give the password in the file "
                "named by KUBEV6_SUDO_PASSWORD_FILE",
            )
        return self._sudo

    def _execute(
        self,
        line: str,
        stdin: bytes,
        step: str,
        timeout: float,
        on_stderr: Callable[[str], None] | None,
    ) -> tuple[int, bytes, bytes]:
        deadline = time.monotonic() + timeout
        try:
            channel = self._transport.open_session(timeout=CHANNEL_TIMEOUT)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost(step, error) from error
        try:
            channel.settimeout(timeout)
            channel.exec_command(line)
            writer = threading.Thread(target=_feed, args=(channel, stdin), daemon=True)
            errors = _ErrorStream(channel, on_stderr)
            reader = threading.Thread(target=errors.drain, daemon=True)
            writer.start()
            reader.start()
            out = bytearray()
            while data := channel.recv(256 * 1024):
                out += data
                channel.settimeout(max(deadline - time.monotonic(), 0.01))
            reader.join(max(deadline - time.monotonic(), 0.01))
            if errors.failure is not None:
                raise errors.failure
            if not channel.status_event.wait(max(deadline - time.monotonic(), 0.01)):
                raise TimeoutError
            status = channel.exit_status
        except TimeoutError as error:
            raise NodeError(self.node, step, f"no end and no answer within {timeout:g} s", transient=True) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost(step, error) from error
        finally:
            channel.close()
        if status == -1 and not self._transport.is_active():
            raise self._lost(step, EOFError())
        return status, bytes(out), bytes(errors.data)

    def _lost(self, step: str, error: Exception) -> NodeError:
        seen = str(error) or "closed by the other side"
        return NodeError(self.node, step, f"the connection to {self.endpoint.authority} broke: {seen}", transient=True)


def connect(endpoint: Endpoint, *, timeout: float = 15) -> Connection:
    """Open, verify and authenticate a connection.

    A password, where one is needed, comes from the environment variable ``KUBEV6_SSH_PASSWORD`` or from the
    file named by ``KUBEV6_SSH_PASSWORD_FILE``; sudo's likewise from ``KUBEV6_SUDO_PASSWORD``.

    Args:
        endpoint: The node.
        timeout: Seconds for each of: TCP connection, banner, key exchange, authentication.

    Returns:
        The connection; a context manager that closes it.

    Raises:
        NodeError: Unreachable, host key unknown or changed, or login refused.
    """
    try:
        transport = _transport(endpoint, timeout)
        try:
            _handshake(endpoint, transport, timeout)
            _authenticate(endpoint, transport)
        except BaseException:
            transport.close()
            raise
    except NodeError as error:
        error.todo = endpoint.todo or error.todo
        raise
    transport.set_keepalive(KEEPALIVE)
    return Connection(endpoint, transport)


def ssh_command(endpoint: Endpoint, command: Sequence[str] = ()) -> list[str]:
    """The words to start the system's own ``ssh`` with, for a person's shell on the node.

    Args:
        endpoint: The node.
        command: What to run there; nothing for an interactive shell.

    Returns:
        Words for ``os.execvp`` or ``subprocess.run``, with the same key and host key check as :func:`connect`.
    """
    words = ["ssh", "-p", str(endpoint.port), "-l", endpoint.user, "-o", "StrictHostKeyChecking=yes"]
    if endpoint.key_file:
        words += ["-i", endpoint.key_file, "-o", "IdentitiesOnly=yes"]
    if endpoint.known_hosts:
        words += ["-o", f"UserKnownHostsFile={endpoint.known_hosts}", "-o", "GlobalKnownHostsFile=none"]
    words.append(endpoint.host)
    if command:
        words += ["--", quote(command)]
    return words


def _transport(endpoint: Endpoint, timeout: float) -> paramiko.Transport:
    try:
        sock = socket.create_connection((endpoint.host, endpoint.port), timeout=timeout)
    except socket.gaierror as error:
        raise NodeError(
            endpoint.node,
            STEP,
            f"the name {endpoint.host} has no address: {error.strerror}",
            todo="correct the node's host in the cluster file, or the resolver",
        ) from error
    except OSError as error:
        seen = "no answer" if isinstance(error, TimeoutError) else (error.strerror or str(error))
        raise NodeError(
            endpoint.node,
            STEP,
            f"cannot reach {endpoint.authority}: {seen}",
            todo="check that the machine is up, its address, and that sshd listens there",
            transient=True,
        ) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
    transport = paramiko.Transport(sock, default_window_size=WINDOW)
    transport.banner_timeout = timeout
    transport.handshake_timeout = timeout
    transport.auth_timeout = timeout
    transport.channel_timeout = CHANNEL_TIMEOUT
    options = transport.get_security_options()
    options.ciphers = [name for name in CIPHERS if name in options.ciphers]
    first = [name for name in KEX_FIRST if name in options.kex]
    options.kex = first + [name for name in options.kex if name not in first]
    return transport


def _handshake(endpoint: Endpoint, transport: paramiko.Transport, timeout: float) -> None:
    """Exchange keys and check the host's key against what is known of it."""
    name = endpoint.host if endpoint.port == 22 else f"[{endpoint.host}]:{endpoint.port}"
    files = _known_hosts_files(endpoint)
    known: dict[str, list[paramiko.PKey]] = {}
    for path in files:
        try:
            keys: Mapping[str, paramiko.PKey] = paramiko.HostKeys(str(path)).lookup(name) or {}
        except OSError as error:
            raise NodeError(endpoint.node, STEP, f"cannot read {path}: {error.strerror}") from error
        for kind in keys:
            known.setdefault(kind, []).append(keys[kind])
    options = transport.get_security_options()
    first = [kind for kind in options.key_types if _key_family(kind) in known]
    options.key_types = first + [kind for kind in options.key_types if kind not in first]
    try:
        transport.start_client(timeout=timeout)
        if not transport.initial_kex_done:  # start_client returns without a word when the time is up
            raise TimeoutError(f"silence for {timeout:g} s")
        key = transport.get_remote_server_key()
    except (paramiko.SSHException, OSError, EOFError) as error:
        incompatible = isinstance(error, paramiko.ssh_exception.IncompatiblePeer)
        seen = str(error) or "closed by the other side"
        raise NodeError(
            endpoint.node,
            STEP,
            f"{endpoint.authority} takes the connection, but no SSH session came of it: {seen}",
            todo="let its sshd offer algorithms of this century"
            if incompatible
            else "look on the machine's console whether it is frozen or overloaded, and whether that port is sshd's",
            transient=not incompatible,
        ) from error
    accepted = known.get(key.get_name(), [])
    if key in accepted:
        return
    where = endpoint.known_hosts or "~/.ssh/known_hosts"
    scan = quote(["ssh-keyscan", "-t", _short_kind(key), "-p", str(endpoint.port), endpoint.host])
    if accepted:
        raise NodeError(
            endpoint.node,
            STEP,
            f"the host key of {endpoint.authority} has changed: "
            f"{accepted[0].fingerprint} is known, {key.fingerprint} was seen",
            todo="if the machine was installed anew, forget the old key with "
            f"`{quote(['ssh-keygen', '-R', name, '-f', where])}` and learn the new one; else somebody answers "
            "in its place",
        )
    raise NodeError(
        endpoint.node,
        STEP,
        f"the host key of {endpoint.authority} is not known: {key.get_name()} {key.fingerprint} was seen",
        todo=f"compare it with the machine's own, then `{scan} >> {where}`",
    )


def _known_hosts_files(endpoint: Endpoint) -> list[Path]:
    if endpoint.known_hosts:
        files = [Path(endpoint.known_hosts)]
    else:
        files = [Path.home() / ".ssh" / "known_hosts", Path("/etc/ssh/ssh_known_hosts")]
    return [path for path in files if path.exists()]


def _key_family(kind: str) -> str:
    """The name under which known_hosts keeps keys that are negotiated as ``kind`` (RFC 8332 for RSA)."""
    return "ssh-rsa" if kind.startswith("rsa-sha2-") else kind


def _short_kind(key: paramiko.PKey) -> str:
    kind = key.get_name()
    return "ed25519" if "ed25519" in kind else "rsa" if "rsa" in kind else "ecdsa"


def _authenticate(endpoint: Endpoint, transport: paramiko.Transport) -> None:
    """Log in with the key, else the agent's keys and the default ones, else the password."""
    tried: list[str] = []
    seen = ""
    for label, key in _keys(endpoint, tried):
        tried.append(label)
        try:
            transport.auth_publickey(endpoint.user, key)
        except paramiko.AuthenticationException:
            if transport.is_active():
                continue
            seen = "the server hung up, as it does when its MaxAuthTries is reached"
            break
        except (paramiko.SSHException, OSError, EOFError) as error:
            seen = str(error)
            break
        if transport.is_authenticated():
            return
    password = _secret("KUBEV6_SSH_PASSWORD", endpoint.node, STEP)
    if password is not None and not seen:
        tried.append("password")
        try:
            transport.auth_password(endpoint.user, password)
        except (paramiko.SSHException, OSError, EOFError) as error:
            seen = "" if isinstance(error, paramiko.AuthenticationException) else str(error)
        if transport.is_authenticated():
            return
    if not transport.is_active() and not seen:
        seen = "closed by the other side"
    raise NodeError(
        endpoint.node,
        STEP,
        f"{endpoint.authority} refused {endpoint.user}: tried {', '.join(tried) or 'nothing, there is no key'}"
        + (f" ({seen})" if seen else ""),
        todo=f"put a public key of yours into {endpoint.user}'s authorized_keys there, name the private key in "
        "the cluster file, or give a password in the file named by KUBEV6_SSH_PASSWORD_FILE",
    )


def _keys(endpoint: Endpoint, tried: list[str]) -> Iterator[tuple[str, paramiko.PKey]]:
    if endpoint.key_file:
        path = Path(endpoint.key_file).expanduser()
        try:
            key = paramiko.PKey.from_path(path)
        except (paramiko.PasswordRequiredException, TypeError) as error:  # TypeError: OpenSSL's word for the same
            raise NodeError(
                endpoint.node,
                STEP,
                f"the key {path} is locked by a passphrase",
                todo="add it to an SSH agent (`ssh-add`) and leave it out of the cluster file",
            ) from error
        except (OSError, ValueError, paramiko.SSHException, UnknownKeyType) as error:
            raise NodeError(
                endpoint.node,
                STEP,
                f"cannot use the key {path}: {getattr(error, 'strerror', None) or 'no private key is in it'}",
                todo="name a private key in OpenSSH format",
                detail=str(error),
            ) from error
        yield f"key {path}", key
        return
    agent = paramiko.Agent()
    try:
        for agent_key in agent.get_keys():
            yield f"agent key {agent_key.fingerprint[:15]}", agent_key
    finally:
        agent.close()
    for name in DEFAULT_KEYS:
        path = Path.home() / ".ssh" / name
        if not path.exists():
            continue
        try:
            key = paramiko.PKey.from_path(path)
        except (OSError, ValueError, TypeError, paramiko.SSHException, UnknownKeyType):
            tried.append(f"key {path} (locked or not readable)")
            continue
        yield f"key {path}", key


def _secret(variable: str, node: str, step: str) -> str | None:
    """A password from the environment, or from the file that the environment names; None when neither is set."""
    if value := os.environ.get(variable):
        return value
    if path := os.environ.get(f"{variable}_FILE"):
        try:
            return Path(path).expanduser().read_text().rstrip("\r\n")
        except OSError as error:
            raise NodeError(node, step, f"cannot read {path} ({variable}_FILE): {error.strerror}") from error
    return None


def _feed(channel: paramiko.Channel, data: bytes) -> None:
    # The command may end, or close its input, before it has read everything: its status tells, not we.
    with contextlib.suppress(OSError, paramiko.SSHException, EOFError):
        channel.sendall(data)
        channel.shutdown_write()


class _ErrorStream:
    """Standard error: drained beside standard output, each whole line handed on as it comes."""

    def __init__(self, channel: paramiko.Channel, on_line: Callable[[str], None] | None) -> None:
        self.data = bytearray()
        self.failure: BaseException | None = None
        self._channel = channel
        self._on_line = on_line
        self._start = 0

    def drain(self) -> None:
        try:
            while data := self._channel.recv_stderr(64 * 1024):
                self.data += data
                self._hand_on()
        except (OSError, paramiko.SSHException, EOFError):
            return  # a deadline or a broken connection is reported by the reader of standard output
        except BaseException as error:
            # The one who listens wants an end of it: closing the channel wakes the reader of standard output.
            self.failure = error
            self._channel.close()

    def _hand_on(self) -> None:
        while self._on_line is not None and (end := self.data.find(b"\n", self._start)) >= 0:
            self._on_line(self.data[self._start : end].decode("utf-8", "replace"))
            self._start = end + 1


def _name_of(command: Sequence[str] | str) -> str:
    """The command's first word: its arguments may be long, or nobody's business."""
    words = command.split() if isinstance(command, str) else command
    return words[0] if words else "the command"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
