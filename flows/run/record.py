"""The record of one run: what was to be done, what was done and what came of it, as plain data for a report.

One JSON file for each run, readable by nobody else. A record is read again by later versions, so it has types of its
own: they ignore what they do not know, and a topology here has no way to log in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import IPv6Network
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from configs.errors import KubeV6Error
from configs.manifest import Manifest, PatchEntry
from configs.schema.cluster import Cluster
from configs.words import shortened
from tasks import bounded
from tasks.kubernetes.e2e_results import TestResult
from tasks.node.change import Change, described
from tasks.paths import data_dir
from tasks.replace import write_whole

KEPT = 50
"""How many runs are remembered."""

Status = Literal["running", "succeeded", "proof failed", "tests failed", "failed", "stopped"]
JUNIT, E2E_LOG = ".junit.xml", ".e2e.log.gz"
"""What a run of tests has beside its record: what they came to, and what they printed."""
BESIDE = (".html", JUNIT, E2E_LOG)
"""What any run may have there; the first is its report."""
LONGEST_MESSAGE = 2000
"""Characters of what a test says why it failed; its log has all of it."""
Outcome = Literal["ended", "failed", "not ended"]


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class NodeOfRun(_Plain):
    """A machine as a report draws it."""

    name: str
    roles: tuple[str, ...]
    address: str
    pod_subnet: str | None = None


class FabricOfRun(_Plain):
    """The cluster's network."""

    interface: str
    subnet: str


class ServicesOfRun(_Plain):
    """Where Services live."""

    subnet: IPv6Network
    domain: str


class Nat64OfRun(_Plain):
    """The translator; ``address`` is that of one that was there before, outside the cluster."""

    prefix: str
    by: str = "tayga"
    address: str | None = None


class Dns64OfRun(_Plain):
    """The resolver, as :class:`Nat64OfRun`."""

    by: str = "bind"
    address: str | None = None


class Topology(_Plain):
    """A cluster as a report draws it: without any word on how its machines are reached."""

    name: str
    description: str = ""
    fabric: FabricOfRun
    services: ServicesOfRun
    nat64: Nat64OfRun
    dns64: Dns64OfRun = Dns64OfRun()
    nodes: tuple[NodeOfRun, ...]
    lab: dict[str, Any] | None = None

    @classmethod
    def of(cls, cluster: Cluster) -> Self:
        """What a report draws of a cluster."""
        return cls.model_validate(cluster.model_dump(mode="json"))


class PatchOfRun(_Plain):
    """One patch of a series and what became of it; ``pull_request`` is its number upstream."""

    title: str
    author: str
    source: str = ""
    commit: str = ""
    fate: str
    pull_request: int | None = None


class SeriesOfRun(_Plain):
    """A series of patches on its base; ids are those of commits and of a tree."""

    name: str
    base: str = ""
    commit: str = ""
    tree: str = ""
    patches: tuple[PatchOfRun, ...] = ()

    @classmethod
    def of(cls, name: str, base: str, commit: str, tree: str, patches: Iterable[PatchEntry]) -> Self:
        """What a report shows of a series that was picked."""
        told = tuple(PatchOfRun.model_validate(patch.model_dump()) for patch in patches)
        return cls(name=name, base=base, commit=commit, tree=tree, patches=told)


class ReleaseOfRun(_Plain):
    """The release that was made or deployed, and why this one."""

    name: str
    version: str
    why: str = ""
    kind: str = ""
    origin: str = ""
    toolchain: str = ""
    stand_ins: dict[str, str] = {}

    @classmethod
    def of(cls, manifest: Manifest, why: str) -> Self:
        """What a report shows of a release."""
        return cls(
            name=manifest.name,
            version=manifest.version,
            why=why,
            kind=manifest.source.kind,
            origin=manifest.source.origin,
            toolchain=manifest.toolchain,
            stand_ins={image.name: image.stand_in_for for image in manifest.images if image.stand_in_for},
        )


class ImageOfRun(_Plain):
    """An image that a registry holds since this run, or held already.

    Attributes:
        registry: The registry's address, as those reach it who take images from there.
        name: The image's repository.
        tag: Its tag, the day's where it was pushed under one.
        digest: ``sha256:...`` of its manifest.
    """

    registry: str
    name: str
    tag: str
    digest: str


class ErrorOfRun(_Plain):
    """What went wrong, in one line, and what to do about it; ``node`` and ``step`` where it was one machine's."""

    message: str
    todo: str = ""
    node: str = ""
    step: str = ""


class StepOfRun(_Plain):
    """One step. ``start`` counts from the beginning of the run, in seconds; ``text`` is what came of it."""

    subject: str
    title: str
    start: float
    seconds: float
    outcome: Outcome
    text: str = ""


class ChangeOfRun(_Plain):
    """One thing that was changed, as :class:`tasks.node.change.Change` says it.

    ``node`` is the machine, or the cluster or registry; ``stage`` is empty for what is no part of a machine's state, as
    a join. ``text`` is all that records have which were written before changes had a kind.
    """

    node: str
    stage: str = ""
    kind: str = ""
    subject: str = ""
    action: str = ""
    before: str = ""
    after: str = ""
    text: str = ""

    @classmethod
    def of(cls, change: Change) -> Self:
        """What a record keeps of a change. A byte of a name that is no UTF-8 is spelled out: JSON has none."""
        said = {name: getattr(change, name) for name in cls.model_fields if hasattr(change, name)}
        return cls(**{name: text.encode(errors="backslashreplace").decode() for name, text in said.items()})

    @property
    def words(self) -> str:
        """One line for a person, without the machine."""
        return self.text or described(self.action, self.kind, self.subject, self.before, self.after)


class CheckOfRun(_Plain):
    """One line of the proof."""

    name: str
    source: str
    target: str
    ok: bool
    seen: str
    seconds: float = 0.0
    warns: bool = False


class TestOfRun(_Plain):
    """One of upstream's tests; ``known`` says why it is known to fail, ``words`` what it came to.

    ``unexpected`` ones failed, passed although they are known to fail, or were not run.
    """

    __test__ = False  # to pytest

    name: str
    outcome: str
    words: str
    seconds: float = 0.0
    message: str = ""
    known: str = ""
    unexpected: bool = False

    @classmethod
    def of(cls, test: TestResult) -> Self:
        """What a record keeps of a test."""
        return cls(
            name=test.name,
            outcome=test.outcome,
            words=test.words,
            seconds=round(test.seconds, 1),
            message=shortened(test.message, LONGEST_MESSAGE),
            known=test.known,
            unexpected=test.unexpected,
        )


class RunRecord(_Plain):
    """A run.

    Attributes:
        command: What was asked for, for example ``deploy``.
        subject: What it was about: the name of a cluster, a release or a series.
        started: When.
        seconds: How long it took, so far if it has not ended.
        status: How it ended; ``running`` also when nobody was left to write down the end.
        log: Path of its log.
        topology: The cluster, where it was about one.
        release: The release, as soon as one was chosen.
        series: The patches, where there are any.
        images: What registries hold of the release.
        errors: What went wrong.
        steps: What was done, in the order of its beginnings.
        changes: What was changed.
        checks: The proof.
        tests: Upstream's tests.
    """

    command: str
    subject: str
    started: datetime
    seconds: float = 0.0
    status: Status = "running"
    log: str = ""
    topology: Topology | None = None
    release: ReleaseOfRun | None = None
    series: SeriesOfRun | None = None
    images: tuple[ImageOfRun, ...] = ()
    errors: tuple[ErrorOfRun, ...] = ()
    steps: tuple[StepOfRun, ...] = ()
    changes: tuple[ChangeOfRun, ...] = ()
    checks: tuple[CheckOfRun, ...] = ()
    tests: tuple[TestOfRun, ...] = ()


def runs_dir() -> Path:
    """Where the records are, and the reports beside them."""
    return data_dir() / "runs"


def new_path(command: str, subject: str, started: datetime) -> Path:
    """A file of its own for a run that begins; it is there afterwards, empty, so that no other run takes it."""
    directory = runs_dir()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = f"{started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{command}-{re.sub('[^A-Za-z0-9.-]', '-', subject)}"
    number = 1
    while True:
        path = directory / (f"{name}.json" if number == 1 else f"{name}-{number}.json")
        try:
            path.touch(mode=0o600, exist_ok=False)
            return path
        except FileExistsError:
            number += 1


def write(record: RunRecord, path: Path) -> None:
    """Write a record whole or not at all."""
    write_whole(path, record.model_dump_json(exclude_defaults=True), mode=0o600)


def write_ending(record: RunRecord, path: Path) -> None:
    """Write of a record how the run ended into the place of what is there, which is all that a full disk has room for.

    Nothing is done where even that cannot be written.
    """
    ending = record.model_copy(
        update={"steps": (), "changes": (), "checks": (), "tests": (), "images": (), "series": None}
    )
    with suppress(OSError):
        path.write_text(ending.model_dump_json(exclude_defaults=True), encoding="utf-8")


def forget_old_runs() -> None:
    """Remove all but the newest :data:`KEPT` records, and what lies beside those that go."""
    for path in _paths()[KEPT:]:
        path.unlink(missing_ok=True)
        for suffix in BESIDE:
            path.with_suffix(suffix).unlink(missing_ok=True)


def read(path: Path) -> RunRecord:
    """Read one record.

    Raises:
        KubeV6Error: It cannot be read.
    """
    try:
        return bounded.read(path, RunRecord)
    except OSError as error:
        raise KubeV6Error(f"{path}: cannot be read: {error.strerror}", todo=_LIST) from None
    except ValueError as error:
        raise KubeV6Error(f"{path}: is no record of a run: {error}", todo=f"remove it; {_LIST}") from None


def runs() -> tuple[tuple[Path, RunRecord], ...]:
    """Every run that can be read, the newest first."""
    found = []
    for path in _paths():
        try:
            found.append((path, read(path)))
        except KubeV6Error:  # one that has just begun, or that a full disk cut off
            continue
    return tuple(found)


def clusters() -> frozenset[str]:
    """Names of the clusters that runs were about."""
    return frozenset(record.topology.name for _, record in runs() if record.topology)


def latest(cluster: str) -> tuple[Path, RunRecord]:
    """The newest run that was about a cluster.

    Raises:
        KubeV6Error: There is none.
    """
    for path, record in runs():
        if record.topology and record.topology.name == cluster:
            return path, record
    raise KubeV6Error(f"no run of cluster {cluster} is recorded in {runs_dir()}", todo=f"deploy records one; {_LIST}")


def find(named: str) -> tuple[Path, RunRecord]:
    """One run by its name.

    Args:
        named: The path of a record, or its name as ``kubev6 report --list`` prints it, or the beginning of one.

    Raises:
        KubeV6Error: There is no such run, or more than one.
    """
    path = Path(named)
    if path.suffix == ".json" and (len(path.parts) > 1 or path.exists()):
        return path, read(path)
    wanted = named.removesuffix(".json")
    names = [path.stem for path in _paths()]
    matching = [wanted] if wanted in names else [name for name in names if name.startswith(wanted)]
    if len(matching) != 1:
        seen = f"{len(matching)} runs begin with {named!r}" if matching else f"there is no run {named!r}"
        raise KubeV6Error(f"{seen} in {runs_dir()}", todo=_LIST)
    path = runs_dir() / f"{matching[0]}.json"
    return path, read(path)


_LIST = "`kubev6 report --list` lists the runs there are"


def _paths() -> list[Path]:
    """All records, the newest first. Names begin with the time, and a number at the end counts those of one second."""
    return sorted(runs_dir().glob("[0-9]*Z-*.json"), key=lambda path: path.stem, reverse=True)
