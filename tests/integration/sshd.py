"""A real sshd of the test's own, on the loopback addresses of this machine."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.ssh.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Sshd:
    """A running sshd.

    Attributes:
        port: On 127.0.0.1 and ::1.
        directory: Holds its keys: ``host``, ``user`` (which may log in), ``stranger`` (which may not).
    """

    port: int
    directory: Path

    def endpoint(self, host: str = "127.0.0.1", key: str = "user", known: str = "known_hosts") -> Endpoint:
        """How to reach it."""
        return Endpoint("node-1", host, self.port, "root", str(self.directory / key), str(self.directory / known))


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def make_key(path: Path) -> None:
    """A new ed25519 key pair."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=30)


@contextlib.contextmanager
def running_sshd(*settings: str) -> Iterator[Sshd]:
    """Start an sshd with further lines of sshd_config(5), and end it."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    assert program, "install openssh-server: these tests talk to a real sshd"
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it refuses to start without, and only its service makes it
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for key in ("host", "user", "stranger"):
            make_key(directory / key)
        shutil.copy(directory / "user.pub", directory / "authorized_keys")
        port = free_port()
        kind, key = (directory / "host.pub").read_text().split()[:2]
        hosts = (f"[127.0.0.1]:{port}", f"[::1]:{port}")
        (directory / "known_hosts").write_text("".join(f"{host} {kind} {key}\n" for host in hosts))
        config = [
            f"Port {port}",
            "ListenAddress 127.0.0.1",
            "ListenAddress ::1",
            f"HostKey {directory}/host",
            f"AuthorizedKeysFile {directory}/authorized_keys",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "PermitRootLogin yes",
            "PidFile none",
            *settings,
        ]
        (directory / "config").write_text("\n".join(config) + "\n")
        process = subprocess.Popen(
            [program, "-D", "-e", "-f", str(directory / "config")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(directory / "log").open("wb"),
        )
        try:
            _wait_until_listening(process, port)
            yield Sshd(port, directory)
        finally:
            process.terminate()
            process.wait(10)


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        assert process.poll() is None, "sshd ended at once"
        try:
            socket.create_connection(("::1", port), timeout=1).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "sshd does not listen"
            time.sleep(0.02)
        else:
            return
