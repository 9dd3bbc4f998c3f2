"""One command in one channel: its input fed, both its outputs drained, all by a deadline."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from contextvars import copy_context

import paramiko

from configs.errors import NodeError
from tasks.bounded import TOLD, Bound, TooMuchError
from tasks.secrets import hide
from tasks.ssh.endpoint import Endpoint
from tasks.ssh.transport import CHANNEL_TIMEOUT

PRINTED = 512 << 20
"""Bytes that a command may print: what kubectl lists of fifty pods on each of a thousand machines is half of it."""


def execute(
    endpoint: Endpoint,
    transport: paramiko.Transport,
    line: str,
    stdin: bytes,
    step: str,
    timeout: float,
    on_stderr: Callable[[str], None] | None,
) -> tuple[int, bytes, bytes]:
    """Run one line of the login's shell in a channel of its own and wait for its end.

    Args:
        endpoint: The node.
        transport: Its transport, logged in.
        line: What the shell gets; never holds a secret.
        stdin: Bytes for its standard input, which is closed right after them.
        step: What is being done, for the error.
        timeout: Seconds until nobody waits for it any longer.
        on_stderr: Called with each line of standard error as it comes, from another thread.

    Returns:
        Exit status, standard output and standard error.

    Raises:
        NodeError: It ran out of time, prints more than :data:`PRINTED`, or the connection broke. Nobody listens to it
            any longer then, which ends what prints.
    """
    deadline = time.monotonic() + timeout
    out, bound = bytearray(), _printed()
    try:
        channel = transport.open_session(timeout=CHANNEL_TIMEOUT)
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise _lost(endpoint, step, error) from error
    try:
        channel.settimeout(timeout)
        channel.exec_command(line)
        writer = threading.Thread(target=_feed, args=(channel, stdin), daemon=True)
        errors = _ErrorStream(channel, on_stderr)
        # Who listens to the lines finds the run that the caller is part of.
        reader = threading.Thread(target=copy_context().run, args=(errors.drain,), daemon=True)
        writer.start()
        reader.start()
        while data := channel.recv(256 * 1024):
            bound.count(len(data))
            out += data
            channel.settimeout(max(deadline - time.monotonic(), 0.01))
        reader.join(max(deadline - time.monotonic(), 0.01))
        if errors.failure is not None:
            raise errors.failure
        if not channel.status_event.wait(max(deadline - time.monotonic(), 0.01)):
            raise TimeoutError
        status = channel.exit_status
    except TimeoutError as error:
        raise NodeError(endpoint.node, step, f"no end and no answer within {timeout:g} s", transient=True) from error
    except TooMuchError as error:
        whole, _, _ = bytes((out or errors.data)[:TOLD]).rpartition(
            b"\n"
        )  # of a part of a line no secret could be hidden
        said = hide(whole.decode("utf-8", "replace"))
        todo = "see on the machine what prints so much; what it began with is in the run log"
        raise NodeError(endpoint.node, step, str(error), todo=todo, detail=f"{said}\n(cut off here)") from None
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise _lost(endpoint, step, error) from error
    finally:
        channel.close()
    if status == -1 and not transport.is_active():
        raise _lost(endpoint, step, EOFError())
    return status, bytes(out), bytes(errors.data)


def last_line(text: str) -> str:
    """The last line with anything on it, which is where a command mostly says why it failed.

    Args:
        text: A command's output.

    Returns:
        The line without the white space around it; empty when there is none.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _printed() -> Bound:
    return Bound(PRINTED, "what it prints")


def _lost(endpoint: Endpoint, step: str, error: Exception) -> NodeError:
    seen = str(error) or "closed by the other side"
    return NodeError(endpoint.node, step, f"the connection to {endpoint.authority} broke: {seen}", transient=True)


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
        self._bound = _printed()
        self._start = self._looked_at = 0

    def drain(self) -> None:
        try:
            while data := self._channel.recv_stderr(64 * 1024):
                self._bound.count(len(data))
                self.data += data
                self._hand_on()
        except (OSError, paramiko.SSHException, EOFError):
            return  # a deadline or a broken connection is reported by the reader of standard output
        except BaseException as error:
            # The one who listens wants an end of it: closing the channel wakes the reader of standard output.
            self.failure = error
            self._channel.close()

    def _hand_on(self) -> None:
        while self._on_line is not None and (end := self.data.find(b"\n", self._looked_at)) >= 0:
            self._on_line(self.data[self._start : end].decode("utf-8", "replace"))
            self._start = self._looked_at = end + 1
        self._looked_at = len(self.data)
