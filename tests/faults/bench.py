"""A lab on which things go wrong: brought to where a scenario begins, run, proved again, and looked at for leaks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path

from configs.schema.loading import CONFIGS, load_cluster
from tasks.docker import container_engine
from tasks.lab import lab
from tasks.lab import record as lab_record
from tasks.lab.machine import container_name
from tasks.paths import data_dir
from tasks.release.registry import STORAGE
from tasks.release.store import Store
from tests.another_build import SHIPPED, another_build
from tests.checkout import REPO
from tests.faults.faults import on
from tests.faults.scenario import CONTROL_PLANE, SUPPORT, WORKER, Before, Build, Command, Moment
from tests.waiting import eventually

RUN_MINUTES = 10
"""What ends later than this hangs."""
SECONDS_TO_GO = 60
"""In which what a killed run has started notices that it is gone, and Kubernetes has deleted what it was told to."""
COUNT = """
echo processes $(ls -d /proc/[0-9]* | wc -l)
echo handles $(ls /proc/[0-9]*/fd 2>/dev/null | grep -c '^[0-9]')
echo interfaces $(ls /sys/class/net | wc -l)
echo mounts $(wc -l </proc/mounts)
echo MB $(du -smx /etc /root /tmp /usr/bin /var/lib 2>/dev/null | awk '{sum += $1} END {print sum}')
"""
"""Run on a machine: how much of everything there is."""
MORE = {"processes": 5, "handles": 100, "MB": 200}
"""How much more there may be of what also changes by itself: connections, and etcd's files of 64 MB."""
BAD_KUBELET = b"""#!/bin/sh
[ -x /var/kubev6-fault ] || {
    whole=$(mktemp -p /var)
    tail -c +513 "$0" >$whole
    chmod 755 $whole
    mv $whole /var/kubev6-fault
}
exec /var/kubev6-fault "$@" --cluster-dns=fd00::dead
""".ljust(512, b"\n")
"""Before a kubelet: it tells pods of a resolver that is none."""
DEAD_KUBELET = b"#!/bin/sh\nexit 126\n"
"""Before a kubelet: it does not start."""
_PROOFS = (
    "kubectl --cache-dir /run/kubectl --kubeconfig /etc/kubernetes/admin.conf get namespaces -o name"
    " | grep kubev6-proof || true"
)


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
    def warnings(self) -> list[str]:
        """What it warned of."""
        return [str(each["text"]) for each in self.told if (each["event"], each["level"]) == ("message", "warning")]

    @property
    def proved(self) -> bool:
        """Whether it came to a proved cluster."""
        return self.status == 0 and bool(re.fullmatch(r"\d+ checks, all ok", self.proof))

    @property
    def progress(self) -> str:
        """What it said of how far it was, a line each."""
        return "\n".join(str(each["text"]) for each in self.told if each["event"] == "progress")

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
        server: What a process needs that uses Prefect's server which all runs share, but for those that are killed:
            each of these has one of its own, as a run has when none is kept.
        is_at: Where the lab is known to be, of where a scenario may begin: ``cluster`` when that is in order.
        build: Which build the cluster runs, or is to run when it comes up.
        former: Which one it ran before.
    """

    name: str
    directory: Path
    server: Mapping[str, str]
    is_at: Before | None = None
    build: Build = ""
    former: Build = ""
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Make directories and file. What the user has in the store is not copied, and is not written to."""
        self.temporary.mkdir()
        shutil.copytree(data_dir() / "releases" / SHIPPED, self.directory / "releases" / SHIPPED, symlinks=True)
        (self.directory / "blobs" / "sha256").mkdir(parents=True)
        for blob in (data_dir() / "blobs" / "sha256").resolve().iterdir():
            (self.directory / "blobs" / "sha256" / blob.name).symlink_to(blob)
        self.environment = {**os.environ, "KUBEV6_DATA": str(self.directory), "TMPDIR": str(self.temporary)}
        self.write_file(workers=1)

    def beside(self, name: str) -> Bench:
        """Another lab of the same user's, whose machines are not there yet."""
        other = copy(self)
        other.name, other.is_at = name, "nothing"
        other.write_file(workers=1)
        return other

    def write_file(self, *, workers: int) -> None:
        """Write the cluster file: that of the lab, with as many workers."""
        shipped = (CONFIGS / "clusters" / "lab.yaml").read_text().replace("name: lab\n", f"name: {self.name}\n")
        self.file.write_text(re.sub("(?m)^workers: 2", f"workers: {workers}", shipped))

    @property
    def file(self) -> Path:
        """The cluster file."""
        return self.directory / f"{self.name}.yaml"

    @property
    def temporary(self) -> Path:
        """Where the runs have their temporary files."""
        return self.directory / "tmp"

    def run(
        self,
        *words: str,
        at: Moment | None = None,
        strike: Callable[[subprocess.Popen[str]], None] | None = None,
        own_server: bool = False,
    ) -> Ran:
        """A command as a person would run it, and what is done to it or its machines when its moment comes.

        Args:
            words: The command's words, without the cluster.
            at: The moment.
            strike: What is done then.
            own_server: Whether it has a Prefect server of its own.

        Raises:
            AssertionError: It hangs.
        """
        words = (*words, "--log-json", "--cluster", str(self.file))
        began, told, seen, struck = time.monotonic(), list[dict[str, object]](), 0, False
        with tempfile.TemporaryFile("w+") as printed:
            run = subprocess.Popen(
                [sys.executable, "-m", "kubev6", *words],
                cwd=REPO,
                env=self.environment | ({} if own_server else dict(self.server)),
                stdout=printed,
                stderr=subprocess.PIPE,
                text=True,
            )
            hanging = threading.Timer(RUN_MINUTES * 60, run.kill)
            hanging.start()
            assert run.stderr is not None
            for line in run.stderr:
                told.append(_event(line))
                seen += bool(at and at.is_it(told[-1]))
                if at and strike and not struck and seen == at.number:
                    struck = True
                    time.sleep(at.seconds)  # a time by itself is what is asked for here
                    strike(run)
            status = run.wait()
            assert hanging.is_alive(), f"{' '.join(words)} did not end in {RUN_MINUTES} minutes: {told[-5:]}"
            hanging.cancel()
            printed.seek(0)
            return Ran(status, told, printed.read(), time.monotonic() - began, struck)

    def words(self, command: Command, to: Build = "") -> tuple[str, ...]:
        """What a person types.

        Args:
            command: The command.
            to: For a deploy, which build it is to bring, or away from which; empty for the one that runs.
        """
        match command:
            case "deploy":
                return ("deploy", "--prebuilt", *self._release(self._other(to) if to else self.build))
            case "reset":
                return ("reset", "--yes")
            case "reset of the worker":
                return ("reset", "--yes", WORKER)
            case "certs renew":
                return ("certs", "renew", "--yes")
            case "rollback":
                return ("rollback",)

    def take(self, build: Build) -> None:
        """Have the next deploy bring another build: this one, or where that runs the shipped one."""
        self.former, self.build = self.build, self._other(build)

    def go_back(self) -> None:
        """The cluster runs what it ran before."""
        self.build, self.former = self.former, ""

    def _other(self, build: Build) -> Build:
        return build if self.build != build else ""

    def _release(self, build: Build) -> tuple[str, ...]:
        """The file of a build, which is made when it is not there."""
        if not build:
            return ()
        name = f"kubev6-test-{build.replace(' ', '-')}"
        file, store = self.directory / f"{name}.yaml", Store(self.directory)
        if not file.exists():
            shipped = store.current(SHIPPED)
            assert shipped is not None
            kubelet = store.blob(shipped.binary("kubelet").sha256).read_bytes()
            binaries = {
                "kubelet": kubelet + b"\n",
                "bad kubelet": BAD_KUBELET + kubelet,
                "dead kubelet": DEAD_KUBELET + kubelet,
            }
            another_build(
                store,
                shipped,
                self.directory,
                name,
                images={"kube-scheduler": "kube-scheduler"} if build == "scheduler" else {},
                binaries={"kubelet": binaries[build]} if build in binaries else {},
            )
        return (str(file),)

    def prepare(self, before: Before) -> None:
        """Bring the lab to where a scenario begins."""
        is_at, self.is_at = self.is_at, None
        if before == is_at:
            return
        if before == "upgraded":
            if is_at != "cluster":
                self.prove()
            self.take("kubelet")
            self.prove()
        elif before == "nothing":
            lab.down(self.name)
        elif before == "machines":
            there = self.name in lab_record.names()
            done = self.run(*(self.words("reset") if there else ["lab", "up"]))
            assert done.status == 0, done.errors
        else:
            if before == "two workers":
                self.write_file(workers=2)
            if is_at != "cluster" or before == "two workers":
                self.prove()
            self.write_file(workers=1)
            reset = {"worker": WORKER, "support": SUPPORT, "empty registry": SUPPORT}
            if before in reset:
                done = self.run("reset", "--yes", reset[before])
                assert done.status == 0, done.errors
            if before == "empty registry":
                on(self.name, SUPPORT, f"rm -rf {STORAGE}/docker")
        self.is_at = None

    def prove(self, command: Command = "deploy") -> float:
        """Do what a person does after something went wrong.

        Args:
            command: What is run.

        Returns:
            Seconds to a proved cluster.

        Raises:
            AssertionError: It does not come to one.
        """
        done = self.run(*self.words(command))
        assert done.proved, done.errors
        self.is_at = "cluster"
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

    def counts(self) -> dict[str, int]:
        """How much of everything there is, here and on the machines, by what it is."""
        client = container_engine.client()
        mine: dict[str, str | list[str] | bool] = {"label": f"{lab_record.LAB_LABEL}={self.name}"}
        kept = [path for path in self.directory.rglob("*") if path.is_file() and not path.is_symlink()]
        found = {
            "containers": len(client.containers.list(all=True, filters=mine)),
            "networks": len(client.networks.list(filters=mine)),
            "volumes": len(client.volumes.list(filters=mine)),
            "processes here": len(self.processes()),
            "MB here": sum(path.stat().st_size for path in kept if "logs" not in path.parts) >> 20,
        }
        for node in load_cluster(self.file).nodes:
            for line in on(self.name, node.name, COUNT).splitlines():
                what, number = line.rsplit(" ", 1)
                found[f"{what} of {node.name}"] = int(number)
        return found

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


def grown(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """What there is more of than before, and more than it changes by itself."""
    return [
        f"{what}: {before[what]}, then {number}"
        for what, number in after.items()
        if number > before[what] + MORE.get(what.partition(" ")[0], 0)
    ]


def _event(line: str) -> dict[str, object]:
    """A line of ``--log-json``; whatever else is said there is an error."""
    try:
        event: dict[str, object] = json.loads(line)
    except ValueError:
        return {"event": "message", "level": "error", "text": line.rstrip()}
    return event
