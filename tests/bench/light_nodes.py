"""Many machines on this one: each is a mount namespace with files of its own, and an sshd that only it has.

Their network and kernel are this machine's, so what is measured with them is files and packages.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.ssh.endpoint import Endpoint
from tests.integration.sshd import free_port, make_key

MADE = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /var/lib/misc
for each in /etc /run /var/lib/kubev6; do
    mkdir -p $each /var/lib/misc$each
    if [ $each = /etc ]; then cp -a /etc/. /var/lib/misc/etc; fi
    mount --bind /var/lib/misc$each $each
done
mkdir -p /run/sshd
"$@" &
echo made
cat
kill $!
"""
SETTINGS = """
AddressFamily inet6
ListenAddress ::1
UsePAM no
StrictModes no
PasswordAuthentication no
PidFile none
MaxStartups 100
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True, slots=True)
class LightNode:
    """Such a machine.

    Attributes:
        endpoint: How it is reached.
        holder: The process whose namespace is its.
    """

    endpoint: Endpoint
    holder: int

    def remove(self, paths: Sequence[str]) -> None:
        """Take files away, and what is remembered of them."""
        words = ["nsenter", "-t", str(self.holder), "-m", "--", "rm", "-f", *paths, "/var/lib/kubev6/record.json"]
        subprocess.run(words, check=True)


@contextmanager
def light_nodes(count: int) -> Iterator[tuple[LightNode, ...]]:
    """So many of them, which are gone with the block. Needs root."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    assert program, "install openssh-server"
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        for key in ("host", "user"):
            make_key(directory / key)
        known, host_key = directory / "known_hosts", " ".join((directory / "host.pub").read_text().split()[:2])
        nodes = []
        for number in range(count):
            port = free_port()
            config = directory / f"sshd-{number}"
            keys = f"HostKey {directory}/host\nAuthorizedKeysFile {directory}/user.pub\n"
            config.write_text(f"Port {port}\n{keys}{SETTINGS}")
            with known.open("a") as file:
                file.write(f"[::1]:{port} {host_key}\n")
            words = ["unshare", "--mount", "sh", "-c", MADE, "sh", program, "-D", "-f", str(config)]
            holder = stack.enter_context(
                subprocess.Popen(
                    words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
            )
            assert holder.stdin
            assert holder.stdout
            stack.callback(holder.stdin.close)
            assert holder.stdout.readline() == "made\n", f"{count} such machines could not be made"
            reached = Endpoint(f"node-{number}", "::1", port, "root", str(directory / "user"), str(known))
            nodes.append(LightNode(reached, holder.pid))
        yield tuple(nodes)
