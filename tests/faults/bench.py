"""A lab on which things go wrong: brought to where a scenario begins, run, proved again, and looked at for leaks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from configs.schema.loading import CONFIGS, load_cluster
from tasks.docker import container_engine
from tasks.lab import lab
from tasks.lab import record as lab_record
from tasks.lab.machine import container_name
from tests.checkout import REPO
from tests.faults.faults import on
from tests.faults.scenarios import CONTROL_PLANE, SUPPORT, WORKER, Before, Moment
from tests.waiting import eventually

RUN_MINUTES = 10
"""What ends later than this hangs."""
SECONDS_TO_GO = 60
"""In which what a killed run has started notices that it is gone, and Kubernetes has deleted what it was told to."""
_PROOFS = "kubectl --kubeconfig /etc/kubernetes/admin.conf get namespaces -o name | grep kubev6-proof || true"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended.

    Attributes:
        status: Its exit status.
        told: Its events.
        printed: What it printed for people.
        seconds: How long it took.
        struck: Whether the moment came.
    """

    status: int
    told: list[dict[str, object]]
    printed: str
    seconds: float
    struck: bool

    @property
    def errors(self) -> list[str]:
        """What it said as errors, without where its log is."""
        texts = [str(each["text"]) for each in self.told if (each["event"], each["level"]) == ("message", "error")]
        return [re.sub(r" \(log: [^)]*\)", "", text) for text in texts]

    @property
    def proof(self) -> str:
        """What the proof came to; empty when there was none."""
        ended = [str(each["text"]) for each in self.told if (each["event"], each.get("title")) == ("ended", "proof")]
        return ended[-1] if ended else ""


@dataclass
class Bench:
    """A lab of one worker, and the directories that are its own.

    Attributes:
        name: The lab's name.
        directory: Where its data, its temporary files and its cluster file are.
        proved: Whether the cluster is known to be in order.
    """

    name: str
    directory: Path
    proved: bool = False
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Make directories and file."""
        self.temporary.mkdir()
        self.environment = {**os.environ, "KUBEV6_DATA": str(self.directory), "TMPDIR": str(self.temporary)}
        shipped = (CONFIGS / "clusters" / "lab.yaml").read_text()
        self.file.write_text(
            re.sub("(?m)^workers: 2", "workers: 1", shipped.replace("name: lab\n", f"name: {self.name}\n"))
        )

    @property
    def file(self) -> Path:
        """The cluster file."""
        return self.directory / "lab.yaml"

    @property
    def temporary(self) -> Path:
        """Where the runs have their temporary files."""
        return self.directory / "tmp"

    def run(
        self, *words: str, at: Moment | None = None, strike: Callable[[subprocess.Popen[str]], None] | None = None
    ) -> Ran:
        """A command as a person would run it, and what is done to it or its machines when its moment comes.

        Args:
            words: The command's words, without the cluster.
            at: The moment.
            strike: What is done then.

        Raises:
            AssertionError: It hangs.
        """
        words = (*words, "--log-json", "--cluster", str(self.file))
        began, told, struck = time.monotonic(), list[dict[str, object]](), False
        with tempfile.TemporaryFile("w+") as printed:
            run = subprocess.Popen(
                [sys.executable, "-m", "kubev6", *words],
                cwd=REPO,
                env=self.environment,
                stdout=printed,
                stderr=subprocess.PIPE,
                text=True,
            )
            hanging = threading.Timer(RUN_MINUTES * 60, run.kill)
            hanging.start()
            assert run.stderr is not None
            for line in run.stderr:
                told.append(_event(line))
                if at and strike and not struck and at.is_it(told[-1]):
                    struck = True
                    time.sleep(at.seconds)  # a time by itself is what is asked for here
                    strike(run)
            status = run.wait()
            assert hanging.is_alive(), f"{' '.join(words)} did not end in {RUN_MINUTES} minutes: {told[-5:]}"
            hanging.cancel()
            printed.seek(0)
            return Ran(status, told, printed.read(), time.monotonic() - began, struck)

    def prepare(self, before: Before) -> None:
        """Bring the lab to where a scenario begins."""
        if before == "nothing":
            lab.down(self.name)
        elif before == "machines" and self.name not in lab_record.names():
            assert self.run("lab", "up").status == 0
        else:
            if not self.proved:
                self.prove()
            reset = {"machines": [], "worker": [WORKER], "support": [SUPPORT]}
            if before in reset:
                done = self.run("reset", "--yes", *reset[before])
                assert done.status == 0, done.errors
        self.proved = before == "cluster"

    def prove(self) -> float:
        """Deploy as a person would after something went wrong.

        Returns:
            Seconds to a proved cluster.

        Raises:
            AssertionError: It does not come to one.
        """
        done = self.run("deploy", "--prebuilt")
        assert done.status == 0, done.errors
        assert re.fullmatch(r"\d+ checks, all ok", done.proof)
        self.proved = True
        return done.seconds

    def assert_no_leak(self) -> None:
        """Nothing is there that a proved cluster does not need, here and on the machines."""
        nodes = [node.name for node in load_cluster(self.file).nodes]
        client = container_engine.client()
        mine: dict[str, str | list[str] | bool] = {"label": f"{lab_record.LAB_LABEL}={self.name}"}
        containers = {str(each.name) for each in client.containers.list(all=True, filters=mine)}
        assert containers == {container_name(self.name, node) for node in ("", *nodes)}
        assert len(client.networks.list(filters=mine)) == 2
        assert len(client.volumes.list(filters=mine)) == len(nodes)
        eventually(lambda: not self.processes(), SECONDS_TO_GO)
        assert [path.name for path in self.temporary.iterdir()] == []
        eventually(lambda: on(self.name, CONTROL_PLANE, _PROOFS) == "", SECONDS_TO_GO)
        for node in nodes:
            assert on(self.name, node, "pgrep -af '[p]ython3 -IS' || true") == "", node
            assert (
                on(self.name, node, "find /tmp -mindepth 1 -maxdepth 1 ! -name 'systemd-*' ! -name '.*-unix'") == ""
            ), node

    def processes(self) -> list[str]:
        """The command lines of the processes on this machine that runs of this lab have left."""
        mine, found = f"KUBEV6_DATA={self.directory}".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mine in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
        return found


def _event(line: str) -> dict[str, object]:
    """A line of ``--log-json``; whatever else is said there is an error."""
    try:
        event: dict[str, object] = json.loads(line)
    except ValueError:
        return {"event": "message", "level": "error", "text": line.rstrip()}
    return event
