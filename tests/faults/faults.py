"""What can be done to a run and to a machine of a lab, and how it is put right again."""

from __future__ import annotations

import signal
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import docker.errors

from configs.errors import NodeError
from configs.schema.loading import load_cluster
from tasks.docker import container_engine
from tasks.lab import lab as machines
from tasks.lab.machine import container_name
from tasks.lab.record import LAB_LABEL, NODE_LABEL
from tasks.release.store import Store
from tasks.ssh.connection import connect
from tests.waiting import eventually

AGENTS = "pkill -KILL -f '[p]ython3 -IS' || true"
"""Kills all that runs are doing on a machine."""
ARMED = """
for _ in $(seq 600); do [ -e /var/lib/kubev6/rollback/waiting ] && exit; sleep 0.05; done
echo the switch is not armed; exit 1
"""
"""Waits until a machine will put its network back."""
SESSIONS = f"""
( {ARMED} )
for each in $(pgrep -f '[p]ython3 -IS'); do grep -q rollback/program.py /proc/$each/cmdline || kill -KILL $each; done
pkill -KILL -f '^sshd: root'
"""
APPLIED = """
for _ in $(seq 600); do
    python3 -c 'import json, os
seen = json.load(open("/var/lib/kubev6/rollback/state.json"))["by"]
try: there = open("/proc/%d/stat" % seen[0]).read().rpartition(")")[2].split()
except OSError: there = ["Z"]
raise SystemExit(there[0] != "Z" and int(there[19]) == seen[1])' && exit
    sleep 0.1
done
echo the changes take too long; exit 1
"""
"""Waits until what changes a machine's network has ended."""
PUT_BACK = "grep -q put_back /var/lib/kubev6/rollback/state.json && ! ls /etc/systemd/network/*kubev6* 2>/dev/null"
BACK_SECONDS = 60 + 30
"""The minute after which a machine puts its network back, and the time that this takes."""
CUT = """python3 -c '
import fcntl, os, struct
fcntl.ioctl(os.open("/etc", os.O_RDONLY), 0x8004587D, struct.pack("I", 2))'
"""
"""What the kernel has not written to the disk by then never gets there, nor does any later write: ext4's shutdown
without its log (EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH)."""
ON_DISK = """
for _ in $(seq 600); do grep -q ' /var/lib ext4 ' /proc/mounts && break; sleep 0.1; done
grep -q ' /var/lib ext4 ' /proc/mounts
"""
"""Waits until a machine that was started has its disk."""
READABLE = f"""{ON_DISK}
[ ! -e /var/lib/kubev6/record.json ] || python3 -m json.tool /var/lib/kubev6/record.json >/dev/null
"""
"""Reads the record, when there is one."""


class Fault(Protocol):
    """Something that goes wrong."""

    def strike(self, lab: str, run: subprocess.Popen[str] | None) -> None:
        """Let it go wrong.

        Args:
            lab: The name of the lab.
            run: The run that is going on; None before one begins.
        """

    def mend(self, lab: str) -> None:
        """Put right what does not become right by itself."""


@dataclass(frozen=True, slots=True)
class Killed:
    """The run is gone at once, as by the kernel when memory is short."""

    def strike(self, lab: str, run: subprocess.Popen[str] | None) -> None:  # noqa: ARG002
        """Kill the run; what it has started is left to itself."""
        assert run is not None
        run.kill()

    def mend(self, lab: str) -> None:
        """Nothing: to run it again has to be enough."""


@dataclass(frozen=True, slots=True)
class KilledWithAgents(Killed):
    """The run is gone at once, and with it all that it runs on the machines."""

    def strike(self, lab: str, run: subprocess.Popen[str] | None) -> None:
        """Kill the run, and then what it is doing."""
        Killed.strike(self, lab, run)
        found = container_engine.client().containers.list(filters={"label": f"{LAB_LABEL}={lab}"})
        for machine in [each.labels[NODE_LABEL] for each in found if NODE_LABEL in each.labels]:
            on(lab, machine, AGENTS)


@dataclass(frozen=True, slots=True)
class KilledUnconfirmed(Killed):
    """The run is gone when it has changed a machine's network, and has not told it yet that it is reached.

    Attributes:
        machine: Its node's name.
    """

    machine: str

    def strike(self, lab: str, run: subprocess.Popen[str] | None) -> None:
        """Hold the run when the machine's switch is armed, and kill it when the changes are made."""
        assert run is not None
        on(lab, self.machine, ARMED)
        run.send_signal(signal.SIGSTOP)
        on(lab, self.machine, APPLIED)
        Killed.strike(self, lab, run)

    def mend(self, lab: str) -> None:
        """Nothing: the machine does it by itself, and is reached then."""

        eventually(lambda: is_reached(lab, self.machine, PUT_BACK), BACK_SECONDS)


@dataclass(frozen=True, slots=True)
class AgentKilled:
    """What runs on a machine by SSH is gone while its network is changed, and every connection to it.

    Attributes:
        machine: Its node's name.
    """

    machine: str

    def strike(self, lab: str, run: subprocess.Popen[str] | None) -> None:  # noqa: ARG002
        """Kill them when the machine's switch is armed, but for that."""
        on(lab, self.machine, SESSIONS)

    def mend(self, lab: str) -> None:
        """Nothing: to run it again has to be enough."""


@dataclass(frozen=True, slots=True)
class PowerCut:
    """A machine on a disk (:mod:`tests.faults.disk`) without power: what was not on the disk then is lost.

    Attributes:
        machine: Its node's name.
    """

    machine: str

    def strike(self, lab: str, run: subprocess.Popen[str] | None) -> None:  # noqa: ARG002
        """Let nothing more get to the disk, and end the machine."""
        container = container_engine.client().containers.get(container_name(lab, self.machine))
        on(lab, self.machine, CUT)
        container.kill()
        container.wait()

    def mend(self, lab: str) -> None:
        """Switch it on; what it knows of itself can be read."""
        container_engine.client().containers.get(container_name(lab, self.machine)).start()
        on(lab, self.machine, READABLE)


@dataclass(frozen=True, slots=True)
class Power:
    """A machine as a whole: a verb of the engine, such as ``kill``, ``pause`` or ``restart``.

    Attributes:
        machine: Its node's name.
        verb: What is done to it.
        back: What puts it right; empty when the next run has to.
    """

    machine: str
    verb: str
    back: str = ""

    def strike(self, lab: str, run: subprocess.Popen[str] | None) -> None:  # noqa: ARG002
        """Do it."""
        self._do(lab, self.verb)

    def mend(self, lab: str) -> None:
        """Undo it."""
        if self.back:
            self._do(lab, self.back)

    def _do(self, lab: str, verb: str) -> None:
        getattr(container_engine.client().containers.get(container_name(lab, self.machine)), verb)()


@dataclass(frozen=True, slots=True)
class Paused:
    """A machine does not answer for some time, and then goes on as if nothing had been.

    Attributes:
        machine: Its node's name.
        seconds: How long.
    """

    machine: str
    seconds: float

    def strike(self, lab: str, run: subprocess.Popen[str] | None) -> None:  # noqa: ARG002
        """Pause it, and come back at once."""
        container_engine.client().containers.get(container_name(lab, self.machine)).pause()
        threading.Timer(self.seconds, self.mend, [lab]).start()

    def mend(self, lab: str) -> None:
        """Let it go on, if it does not yet."""
        with suppress(docker.errors.APIError):
            container_engine.client().containers.get(container_name(lab, self.machine)).unpause()


@dataclass(frozen=True, slots=True)
class Script:
    """Something on a machine, done by the engine and not over the network that may be hit by it.

    Attributes:
        machine: Its node's name.
        script: What goes wrong, as lines of shell.
        back: What puts it right; empty when the next run has to.
    """

    machine: str
    script: str
    back: str = ""

    def strike(self, lab: str, run: subprocess.Popen[str] | None) -> None:  # noqa: ARG002
        """Run the script."""
        on(lab, self.machine, self.script)

    def mend(self, lab: str) -> None:
        """Run the other script."""
        if self.back:
            on(lab, self.machine, self.back)


@dataclass(frozen=True, slots=True)
class Altered:
    """Some bytes of an executable of the release, in the store of the runs.

    Attributes:
        binary: Its name.
        offset: From which byte on.
        content: What is there.
    """

    binary: str
    offset: int
    content: bytes

    def strike(self, lab: str, run: subprocess.Popen[str] | None) -> None:  # noqa: ARG002
        """Put others in its place; what was there is kept beside."""
        whole = bytearray(self._blob.read_bytes())
        whole[self.offset : self.offset + len(self.content)] = self.content
        self._blob.rename(self._kept)
        self._blob.write_bytes(whole)

    def mend(self, lab: str) -> None:  # noqa: ARG002
        """Put back what was there, as another fetch does."""
        self._kept.rename(self._blob)

    @property
    def _blob(self) -> Path:
        store = Store()
        release = store.current(load_cluster("lab").release)
        assert release is not None
        return store.blob(release.binary(self.binary).sha256)

    @property
    def _kept(self) -> Path:
        return Store().root / "kept-whole"


def is_reached(lab: str, machine: str, script: str) -> bool:
    """Whether a machine lets us in by SSH, and a script says there that all is well."""
    with suppress(NodeError), connect(machines.endpoints(lab)[machine]) as ssh:
        return ssh.run(script, step="test", check=False).status == 0
    return False


def on(lab: str, machine: str, script: str) -> str:
    """What a script says on a machine that is asked through the engine.

    Raises:
        AssertionError: It failed.
    """
    container = container_engine.client().containers.get(container_name(lab, machine))
    done = container.exec_run(["sh", "-ec", script])
    said = cast(bytes, done.output).decode(errors="replace")
    assert done.exit_code == 0, said
    return said
