"""A machine that is nothing but namespaces of this one: a kernel's network of its own, and its own copy of what is
changed. It has an interface ``eth1`` and no systemd, and starts in a moment.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from configs.errors import NodeError
from tasks.ssh.connection import Connection, Result
from tasks.ssh.endpoint import Endpoint

MADE = """
set -e
mount --make-rprivate /
for each in /var/lib /run; do mount -t tmpfs tmpfs $each; done
cp -a /etc /run/etc && mount --bind /run/etc /etc
mount -t sysfs sysfs /sys
rm -rf /etc/netplan /etc/network /etc/systemd/network /etc/sysctl.d/* /etc/ufw
ip link set lo up
ip link add eth1 type veth peer name beyond1
ip link set eth1 up && ip link set beyond1 up
echo made
cat
"""


class MachineInNamespaces(Connection):
    """A connection to such a machine that needs no SSH. ``came_by`` is what sshd would say of it (sshd(8))."""

    def __init__(self, holder: int) -> None:
        self.node, self.endpoint = "kube-worker-1", Endpoint("kube-worker-1", "::1")
        self.came_by = ""
        self.holder = holder

    def command(self, *words: str) -> list[str]:
        """The words that run a command there."""
        return ["nsenter", "-t", str(self.holder), "-m", "-n", "--", *words]

    def said(self, script: str) -> str:
        """What a script prints there."""
        return self.run(script, step="test").stdout.strip()

    def run(
        self,
        command: Sequence[str] | str,
        *,
        step: str,
        stdin: bytes = b"",
        timeout: float = 60,
        check: bool = True,
        root: bool = True,  # noqa: ARG002 - it is
        on_stderr: Callable[[str], None] | None = None,
    ) -> Result:
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        own = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SSH_CONNECTION": self.came_by}
        done = subprocess.run(self.command(*words), input=stdin, capture_output=True, timeout=timeout, env=own)
        out, err = done.stdout.decode(), done.stderr.decode()
        for line in err.splitlines() if on_stderr else ():
            on_stderr(line)  # type: ignore[misc]
        if check and done.returncode:
            raise NodeError(self.node, step, f"{words[0]} ended with status {done.returncode}: {err}")
        return Result(done.returncode, out, err)


@contextmanager
def machine_in_namespaces() -> Iterator[MachineInNamespaces]:
    """Such a machine, which is gone with the block. Needs root."""
    if os.geteuid() != 0:
        pytest.skip("namespaces of its own are root's")
    words = ["unshare", "--mount", "--net", "sh", "-c", MADE]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdin
        try:
            assert holder.stdout.readline() == "made\n"
            yield MachineInNamespaces(holder.pid)
        finally:
            holder.stdin.close()
