"""What can be done to a run and to a machine of a lab, and how it is put right again."""

from __future__ import annotations

import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import docker.errors

from configs.schema.loading import load_cluster
from tasks.docker import container_engine
from tasks.lab.machine import container_name
from tasks.release.store import Store


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
