"""Writing down a run while it happens.

Steps and changes are heard from the log, so what does the work knows nothing of it; what a flow has chosen and
proved, it says to :func:`note_release` and its like, which do nothing when no run is being recorded.
"""

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

from configs.errors import CombinedError, KubeV6Error, NodeError
from configs.manifest import ImageEntry, Manifest, PatchEntry
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
    Topology,
)
from flows.run.redaction import hide_in
from tasks.kubernetes.checks import Check
from tasks.secrets import hide

log = logging.getLogger("kubev6.recording")
SECONDS_BETWEEN_WRITES = 5.0
"""How much of a run may be missing from its record when it is killed."""


class Recording(logging.Handler):
    """A run under way. It hears its steps and its changes, which :mod:`tasks.steps` and :mod:`tasks.changes` log.

    Args:
        command: What is run.
        about: The cluster, or the name of the release or series.
        log_file: Where its log is; empty where it has none of its own.
    """

    def __init__(self, command: str, about: Cluster | str, log_file: Path | str) -> None:
        super().__init__(logging.INFO)
        hide_in(self)
        subject = about.name if isinstance(about, Cluster) else about
        self._begun = time.monotonic()
        self._first = RunRecord(
            command=command,
            subject=subject,
            started=datetime.now(UTC),
            log=str(log_file),
            topology=Topology.of(about) if isinstance(about, Cluster) else None,
        )
        self._more: dict[str, Any] = {}
        self._steps: list[StepOfRun] = []
        self._running: list[tuple[str, str, float]] = []
        self._changes: list[ChangeOfRun] = []
        self._path = run_record.new_path(command, subject, self._first.started)
        self._written = 0.0
        self.write()

    def emit(self, record: logging.LogRecord) -> None:
        """Take one log record. Calls are one at a time: :meth:`logging.Handler.handle` holds the handler's lock."""
        # Given by tasks.steps and tasks.changes as extra attributes of the record.
        fields = vars(record)
        if "change" in fields:
            on, _, text = fields["change"].partition(": ")
            self._changes.append(ChangeOfRun(node=on, stage=fields["stage"], text=text))
        elif record.name == "kubev6.steps":
            self._heard(fields["event"], fields["subject"], fields["title"], fields["elapsed"], fields["text"])

    def _heard(self, event: str, subject: str, title: str, elapsed: float, text: str) -> None:
        now = self._now()
        if event == "started":
            self._running.append((subject, title, now))
        elif event in ("ended", "failed"):
            # Of several of one name the one that began when this one says it did.
            began = now - elapsed
            mine = [each for each in self._running if each[:2] == (subject, title)]
            if mine:
                heard = min(mine, key=lambda each: abs(each[2] - began))
                self._running.remove(heard)
                began = heard[2]
            self._steps.append(_step(subject, title, began, elapsed, "ended" if event == "ended" else "failed", text))
            if time.monotonic() - self._written > SECONDS_BETWEEN_WRITES:
                self.write()

    def note(self, **what: Any) -> None:
        """Set attributes of the record."""
        with self.lock or threading.RLock():
            self._more.update(what)

    def note_images(self, images: Iterable[ImageOfRun]) -> None:
        """Add images to those of the record; the same again, as when something is tried again, is no news."""
        with self.lock or threading.RLock():
            self._more["images"] = tuple(dict.fromkeys((*self._more.get("images", ()), *images)))

    def write(self) -> None:
        """Write down what is known by now. A run does not fail because that cannot be done."""
        with self.lock or threading.RLock():
            record = self._so_far()
            self._written = time.monotonic()
            try:
                run_record.write(record, self._path)
            except OSError as error:
                log.warning("%s: the record of this run cannot be written: %s", self._path, error.strerror)
                if record.status != "running":
                    run_record.write_ending(record, self._path)

    def end(self, status: Status, errors: Iterable[BaseException] = ()) -> None:
        """Write down how it ended."""
        self.note(**self._ending(status, errors))
        self.write()

    def if_ended(self, status: Status, errors: Iterable[BaseException] = ()) -> tuple[Path, RunRecord]:
        """The record's file, and what would stand there if the run ended now, and so."""
        with self.lock or threading.RLock():
            return self._path, self._so_far().model_copy(update=self._ending(status, errors))

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
        return {"status": status, "errors": tuple(_told(error, self._first.log) for error in errors)}

    def _now(self) -> float:
        return time.monotonic() - self._begun


# One for the process, as there is one run at a time in it; its threads all work on that run.
_current: Recording | None = None


@contextmanager
def recording(command: str, about: Cluster | str, log_file: Path | str = "") -> Iterator[None]:
    """Record everything that happens in this context as one run.

    Inside another recording it adds nothing: the command line records a flow with what comes before it, and a flow
    that a server starts records itself.

    Args:
        command: What is run, for example ``deploy``.
        about: The cluster, or the name of the release or series.
        log_file: The log of the run; empty where it has none of its own.
    """
    global _current
    if _current is not None:
        yield
        return
    try:
        current = Recording(command, about, log_file)
    except OSError as error:
        raise KubeV6Error(
            f"{run_record.runs_dir()}: the record of this run cannot be written: {error.strerror}",
            todo="make room or mend the rights there, or name another directory by KUBEV6_DATA",
        ) from None
    logger = logging.getLogger("kubev6")
    logger.addHandler(current)
    _current = current
    try:
        yield
    except BaseException as error:
        current.end(*_how(error))
        raise
    else:
        current.end(*_how(None))
    finally:
        _current = None
        logger.removeHandler(current)
        run_record.forget_old_runs()


def under_way() -> bool:
    """Whether a run is being recorded."""
    return _current is not None


def if_ended(error: BaseException | None) -> tuple[Path, RunRecord] | None:
    """The record of the run that is under way as if it ended now, with its file; None when none is recorded.

    Args:
        error: What it would end by, if it is not well.
    """
    return None if _current is None else _current.if_ended(*_how(error))


def note_release(manifest: Manifest, why: str) -> None:
    """Say which release this run is about, and why this one."""
    source = manifest.source
    if _current is not None:
        _current.note(release=ReleaseOfRun.of(manifest, why))
        if source.series:
            note_series(source.series, source.base, source.commit, source.tree, source.patches)


def note_series(name: str, base: str, commit: str, tree: str, patches: Iterable[PatchEntry]) -> None:
    """Say what became of a series of patches."""
    if _current is not None:
        _current.note(series=SeriesOfRun.of(name, base, commit, tree, patches))


def note_images(registry: str, images: Iterable[ImageEntry], tag: str = "") -> None:
    """Say which images a registry holds.

    Args:
        registry: Its address.
        images: The images.
        tag: Under which tag, where that is not their own.
    """
    if _current is not None:
        _current.note_images(
            ImageOfRun(registry=registry, name=image.name, tag=tag or image.tag, digest=image.digest)
            for image in images
        )


def note_checks(checks: Iterable[Check]) -> None:
    """Say what the proof came to."""
    if _current is not None:
        told = (CheckOfRun.model_validate(asdict(check)) for check in checks)
        _current.note(checks=tuple(each.model_copy(update={"seconds": round(each.seconds, 4)}) for each in told))


def end_now() -> None:
    """Write down that the run was stopped, when the process is about to end without another word."""
    if _current is not None:
        _current.end("stopped")


def _how(error: BaseException | None) -> tuple[Status, tuple[BaseException, ...]]:
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
    message = hide(f"a defect of kubev6: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
    return ErrorOfRun(message=message, todo=f"the log tells where it is: {log_file or 'that of this run in Prefect'}")
