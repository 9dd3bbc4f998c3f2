"""Two recorded runs side by side, as one value. Pure.

A part of a record, such as its release, is compared where both runs have it. That only one has it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Literal, TypeVar

from flows.run.record import CheckOfRun, RunRecord, Status
from flows.run.run_outcome import run_outcome
from kubev6.report.comparison import checks, parts, patches, times

_BADNESS: Mapping[Status, int] = {
    "succeeded": 0,
    "proof failed": 1,
    "tests failed": 1,
    "failed": 2,
    "stopped": 2,
    "running": 2,
}
"""A run that was stopped, or that nobody saw the end of, has proved as little as one that failed."""

Side = Literal["first", "second"]
Part = TypeVar("Part")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class RunInShort:
    """One of the two runs.

    Attributes:
        name: What it is called in a list of runs, or its file.
        command: What was asked for.
        subject: What it was about.
        began: When, in UTC, ISO 8601.
        seconds: How long it took.
        status: How it ended.
        ended: The same as a word for a person.
        changes: How many things it changed.
        checks: How many checks its proof has.
        hold: How many of them hold.
    """

    name: str
    command: str
    subject: str
    began: str
    seconds: float
    status: Status
    ended: str
    changes: int
    checks: int
    hold: int


@dataclass(frozen=True, slots=True)
class Errors:
    """What went wrong, one line for each: in both runs, or in one of them only."""

    both: tuple[str, ...]
    first: tuple[str, ...]
    second: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        first: What was.
        second: What is.
        worse: What got worse, in words; empty when nothing did.
        notes: What has to be known of the two to read this.
        same: The parts that are the same in both.
        only_in: The parts that only one of the two has, and which.
        checks: The proof, and upstream's tests.
        slower_by: By how many seconds the second run took longer; negative where it took less.
        times: Each kind of step, the largest difference first.
        release: What differs in the release.
        series: What differs in the series of patches: its name, base and result.
        patches: The patches that differ.
        images: The images that differ.
        topology: What differs in the cluster's networks and servers.
        nodes: The machines that differ.
        errors: What went wrong.
    """

    first: RunInShort
    second: RunInShort
    worse: tuple[str, ...]
    notes: tuple[str, ...]
    same: tuple[str, ...]
    only_in: dict[str, Side]
    checks: checks.Checks
    slower_by: float
    times: tuple[times.Time, ...]
    release: tuple[parts.Difference, ...]
    series: tuple[parts.Difference, ...]
    patches: tuple[patches.PatchPair, ...]
    images: tuple[parts.ImagePair, ...]
    topology: tuple[parts.Difference, ...]
    nodes: tuple[parts.Difference, ...]
    errors: Errors


def compare(first: RunRecord, second: RunRecord, names: tuple[str, str]) -> Comparison:
    """Compare two runs.

    Args:
        first: What was.
        second: What is.
        names: What the two are called.
    """
    before, after = _judged(first), _judged(second)
    proof = checks.compare_checks(before, after)
    release = _where_both(parts.compare_releases, first.release, second.release)
    series = _where_both(parts.compare_series, first.series, second.series)
    changed_patches = _where_both(patches.compare_patches, first.series, second.series)
    images = _where_both(parts.compare_images, first.images, second.images)
    topology = _where_both(parts.compare_topologies, first.topology, second.topology)
    nodes = _where_both(parts.compare_nodes, first.topology, second.topology)
    told = {
        "checks": (before, after, proof != checks.Checks()),
        "release": (first.release, second.release, release),
        "patches": (first.series, second.series, series or changed_patches),
        "images": (first.images, second.images, images),
        "topology": (first.topology, second.topology, topology or nodes),
    }
    only_in: dict[str, Side] = {
        name: "first" if one else "second" for name, (one, other, _) in told.items() if bool(one) != bool(other)
    }
    return Comparison(
        first=_in_short(first, names[0]),
        second=_in_short(second, names[1]),
        worse=(*checks.worse(proof, asked_before=bool(before)), *_worse_end(first, second)),
        notes=tuple(_notes(first, second)),
        same=tuple(name for name, (one, other, differs) in told.items() if one and other and not differs),
        only_in=only_in,
        checks=proof,
        slower_by=round(second.seconds - first.seconds, 3),
        times=times.compare_times(first.steps, second.steps),
        release=release,
        series=series,
        patches=changed_patches,
        images=images,
        topology=topology,
        nodes=nodes,
        errors=_errors(first, second),
    )


def _judged(record: RunRecord) -> tuple[CheckOfRun, ...]:
    """The checks of a run's proof, and those of upstream's tests that were run."""
    tests = (
        CheckOfRun(name=test.name, source="", target="", ok=not test.unexpected, seen=test.words, seconds=test.seconds)
        for test in record.tests
        if test.outcome != "skipped"
    )
    return (*record.checks, *tests)


def _where_both(
    compared: Callable[[Part, Part], tuple[Found, ...]], first: Part | None, second: Part | None
) -> tuple[Found, ...]:
    return compared(first, second) if first and second else ()


def _in_short(record: RunRecord, name: str) -> RunInShort:
    return RunInShort(
        name=name,
        command=record.command,
        subject=record.subject,
        began=record.started.astimezone(UTC).isoformat(timespec="seconds"),
        seconds=record.seconds,
        status=record.status,
        ended=run_outcome(record).word,
        changes=len(record.changes),
        checks=len(record.checks),
        hold=sum(check.ok for check in record.checks),
    )


def _worse_end(first: RunRecord, second: RunRecord) -> Iterator[str]:
    if _BADNESS[second.status] > _BADNESS[first.status]:
        yield f"the run went from {run_outcome(first).word} to {run_outcome(second).word}"


def _notes(first: RunRecord, second: RunRecord) -> Iterator[str]:
    if first.topology and second.topology and first.topology.name != second.topology.name:
        names = f"{first.topology.name} and {second.topology.name}"
        yield f"the runs are about different clusters, {names}: machines and checks are compared by name"
    for side, record in (("first", first), ("second", second)):
        if record.status == "running":
            yield f"the {side} run had not ended when its record was written: what it lacks may still come"
    if second.started.astimezone(UTC) < first.started.astimezone(UTC):
        yield "the second run is the older one"


def _errors(first: RunRecord, second: RunRecord) -> Errors:
    before, after = (dict.fromkeys(error.message for error in record.errors) for record in (first, second))
    return Errors(
        both=tuple(message for message in after if message in before),
        first=tuple(message for message in before if message not in after),
        second=tuple(message for message in after if message not in before),
    )
