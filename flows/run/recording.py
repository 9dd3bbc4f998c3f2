"""Writing down a run while it happens, from its events."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from configs.errors import CombinedError, KubeV6Error, NodeError, defect
from configs.schema.cluster import Cluster
from flows.run import record as run_record
from flows.run.record import (
    ChangeOfRun,
    CheckOfRun,
    ErrorOfRun,
    ImageOfRun,
    Outcome,
    ReleaseOfRun,
    RunRecord,
    SeriesOfRun,
    Status,
    StepOfRun,
    TestOfRun,
    Topology,
)
from tasks.disk import writing_data
from tasks.events import (
    Bus,
    ChangeMade,
    ChecksJudged,
    Event,
    ImagesPushed,
    ReleaseChosen,
    SeriesPicked,
    StepBegan,
    StepEnded,
    TestsJudged,
)
from tasks.replace import write_whole
from tasks.secrets import hide

log = logging.getLogger("kubev6.recording")
SECONDS_BETWEEN_WRITES = 5.0
"""How much of a run may be missing from its record when it is killed."""


class Recording:
    """A run under way, written down from its events.

    Args:
        command: What is run.
        about: The cluster, or the name of the release or series.
        log_file: Where its log is; empty where it has none of its own.

    Attributes:
        path: The record's file.
    """

    def __init__(self, command: str, about: Cluster | str, log_file: Path | str) -> None:
        subject = about.name if isinstance(about, Cluster) else about
        self._begun = time.time()
        self._first = RunRecord(
            command=command,
            subject=subject,
            started=datetime.fromtimestamp(self._begun, UTC),
            log=str(log_file),
            topology=Topology.of(about) if isinstance(about, Cluster) else None,
        )
        self._more: dict[str, Any] = {}
        self._steps: list[StepOfRun] = []
        self._running: list[tuple[str, str, float]] = []
        self._changes: list[ChangeOfRun] = []
        self.path = run_record.new_path(command, subject, self._first.started)
        self._written = 0.0
        self._lock = threading.RLock()
        self.write()

    def hear(self, event: Event) -> None:
        """A listener: take one event."""
        with self._lock:
            match event:
                case StepBegan():
                    self._running.append((event.subject, event.title, event.at - self._begun))
                case StepEnded():
                    self._ended(event)
                case ChangeMade():
                    self._changes.append(ChangeOfRun.of(event.change))
                case ReleaseChosen():
                    self._more["release"] = ReleaseOfRun.of(event.manifest, event.why)
                    if (source := event.manifest.source).series:
                        self._more["series"] = SeriesOfRun.of(
                            source.series, source.base, source.commit, source.tree, source.patches
                        )
                case SeriesPicked():
                    self._more["series"] = SeriesOfRun.of(
                        event.name, event.base, event.commit, event.tree, event.patches
                    )
                case ImagesPushed():
                    self._add_images(event)
                case ChecksJudged() if all(check.ok for check in self._more.get("checks", ())):
                    # Behind a proof that fails comes only that of having gone back, which is not what went wrong.
                    checks = (CheckOfRun.model_validate(asdict(check)) for check in event.checks)
                    self._more["checks"] = tuple(
                        check.model_copy(update={"seconds": round(check.seconds, 4)}) for check in checks
                    )

                case TestsJudged():
                    self._more["tests"] = tuple(map(TestOfRun.of, event.tests))

    def keep(self, suffix: str, content: str | bytes) -> None:
        """Keep something beside the record.

        Args:
            suffix: One of :data:`flows.run.record.BESIDE`.
            content: What is kept.

        Raises:
            KubeV6Error: It cannot be written.
        """
        with writing_data():
            write_whole(self.path.with_suffix(suffix), content, mode=0o600)

    def _ended(self, event: StepEnded) -> None:
        # Of several of one name the one that began when this one says it did.
        began = event.at - self._begun - event.elapsed
        mine = [each for each in self._running if each[:2] == (event.subject, event.title)]
        if mine:
            heard = min(mine, key=lambda each: abs(each[2] - began))
            self._running.remove(heard)
            began = heard[2]
        outcome: Outcome = "ended" if event.ok else "failed"
        self._steps.append(_step(event.subject, event.title, began, event.elapsed, outcome, event.text))
        if time.time() - self._written > SECONDS_BETWEEN_WRITES:
            self.write()

    def _add_images(self, event: ImagesPushed) -> None:
        """Add images to those of the record; the same again, as when something is tried again, is no news."""
        images = (
            ImageOfRun(registry=event.registry, name=image.name, tag=event.tag or image.tag, digest=image.digest)
            for image in event.images
        )
        self._more["images"] = tuple(dict.fromkeys((*self._more.get("images", ()), *images)))

    def write(self) -> None:
        """Write down what is known by now. A run does not fail because that cannot be done."""
        with self._lock:
            record = self._so_far()
            self._written = time.time()
            try:
                run_record.write(record, self.path)
            except OSError as error:
                log.warning("%s: the record of this run cannot be written: %s", self.path, error.strerror)
                if record.status != "running":
                    run_record.write_ending(record, self.path)

    def end(self, status: Status, errors: Iterable[BaseException] = ()) -> None:
        """Write down how it ended."""
        with self._lock:
            self._more.update(self._ending(status, errors))
            self.write()

    def if_ended(self, status: Status, errors: Iterable[BaseException] = ()) -> tuple[Path, RunRecord]:
        """The record's file, and what would stand there if the run ended now, and so."""
        with self._lock:
            return self.path, self._so_far().model_copy(update=self._ending(status, errors))

    def _so_far(self) -> RunRecord:
        now = self._now()
        unfinished = [_step(*running, now - running[2], "not ended") for running in self._running]
        steps = map(_rounded, sorted((*self._steps, *unfinished), key=lambda step: step.start))
        return self._first.model_copy(
            update={"seconds": round(now, 3), "steps": tuple(steps), "changes": tuple(self._changes), **self._more}
        )

    def _ending(self, status: Status, errors: Iterable[BaseException]) -> dict[str, Any]:
        if status == "succeeded" and any(not check.ok for check in self._more.get("checks", ())):
            status = "proof failed"
        if status == "succeeded" and any(test.unexpected for test in self._more.get("tests", ())):
            status = "tests failed"
        return {"status": status, "errors": tuple(_told(error, self._first.log) for error in errors)}

    def _now(self) -> float:
        return time.time() - self._begun


@contextmanager
def recorded(bus: Bus, command: str, about: Cluster | str, log_file: Path | str = "") -> Iterator[Recording]:
    """Record everything that happens in this context as one run.

    Args:
        bus: Tells the events of the run.
        command: What is run, for example ``deploy``.
        about: The cluster, or the name of the release or series.
        log_file: The log of the run; empty where it has none of its own.

    Raises:
        KubeV6Error: The record cannot be written.
    """
    try:
        recording = Recording(command, about, log_file)
    except OSError as error:
        raise KubeV6Error(
            f"{run_record.runs_dir()}: the record of this run cannot be written: {error.strerror}",
            todo="make room or mend the rights there, or name another directory by KUBEV6_DATA",
        ) from None
    try:
        with bus.heard_by(recording.hear):
            yield recording
    except BaseException as error:
        recording.end(*how_it_ends(error))
        raise
    else:
        recording.end(*how_it_ends(None))
    finally:
        run_record.forget_old_runs()


def how_it_ends(error: BaseException | None) -> tuple[Status, tuple[BaseException, ...]]:
    """How a run ends by an error, or well."""
    if error is None:
        return "succeeded", ()
    if not isinstance(error, Exception):  # Ctrl-C, and the signals of those who cancel a run
        return "stopped", ()
    return "failed", error.errors if isinstance(error, CombinedError) else (error,)


def _step(subject: str, title: str, start: float, seconds: float, outcome: Outcome, text: str = "") -> StepOfRun:
    return StepOfRun(subject=subject, title=title, start=start, seconds=seconds, outcome=outcome, text=text)


def _rounded(step: StepOfRun) -> StepOfRun:
    """A step with its times in whole milliseconds."""
    return step.model_copy(update={"start": round(step.start, 3), "seconds": round(step.seconds, 3)})


def _told(error: BaseException, log_file: str) -> ErrorOfRun:
    if isinstance(error, KubeV6Error):
        at = {"node": error.node, "step": error.step} if isinstance(error, NodeError) else {}
        return ErrorOfRun(message=hide(error.message), todo=hide(error.todo), **at)
    where = log_file or "that of this run in Prefect"
    return ErrorOfRun(message=hide(defect(error)), todo=f"the log tells where it is: {where}")
