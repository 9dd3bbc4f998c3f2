"""What was compiled before, under the sha256 of everything that decides its bytes."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks import bounded
from tasks.paths import cache_dir
from tasks.replace import replace_directory

RECORD = "made.json"
log = logging.getLogger("kubev6.compile")


@dataclass(frozen=True, slots=True)
class Compiled:
    """Executables.

    Attributes:
        programs: Path of each by name.
        pause: Version of pause that the tree's kubeadm and kubelet ask for; empty for a program of our own.
    """

    programs: dict[str, Path]
    pause: str = ""


@dataclass(frozen=True, slots=True)
class _Record:
    """What was compiled: the key of its inputs, and the sha256 of each program."""

    key: str
    pause: str
    sha256: dict[str, str]


def key_of(*inputs: object) -> str:
    """sha256 of everything that decides the bytes of a result, in canonical JSON."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def tests_of(series: str) -> str:
    """The name under which upstream's tests of a series are kept."""
    return f"{series}.e2e"


def find(name: str, key: str) -> Compiled | None:
    """What was compiled last under a name, if that was from these inputs and every byte of it is still there.

    Args:
        name: Of a series, or of a program of our own.
        key: sha256 of the inputs.
    """
    place = _place(name)
    record = bounded.kept(place / RECORD, _Record, "it is compiled again")
    if record is None or record.key != key:
        return None
    for program, sha256 in record.sha256.items():
        if fault := _fault(place / program, sha256):
            log.warning("%s: %s; it is compiled again", place / program, fault)
            return None
    with suppress(OSError):
        (place / RECORD).touch()  # when it was used last
    return Compiled({program: place / program for program in record.sha256}, record.pause)


@contextmanager
def unfinished(name: str) -> Iterator[Path]:
    """An empty directory to compile into; gone afterwards unless it was kept by :func:`keep`."""
    made = _place(name).with_name(f".{name}.unfinished")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def keep(name: str, key: str, made: Path, programs: Sequence[str], *, pause: str = "") -> Compiled:
    """Keep what was compiled, in the place of what was compiled last under this name.

    Args:
        name: Of a series, or of a program of our own.
        key: sha256 of the inputs.
        made: The directory with the executables.
        programs: Their names.
        pause: See :class:`Compiled`.
    """
    record = _Record(key, pause, {program: _digest(made / program) for program in programs})
    (made / RECORD).write_text(json.dumps(asdict(record), indent=1))
    place = _place(name)
    replace_directory(made, place)
    return Compiled({program: place / program for program in programs}, pause)


def _fault(path: Path, sha256: str) -> str:
    try:
        return "" if _digest(path) == sha256 else "has other bytes than were compiled"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _place(name: str) -> Path:
    return cache_dir() / "results" / name


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
