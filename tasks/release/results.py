"""What was compiled before, under the sha256 of everything that decides its bytes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.paths import cache_dir
from tasks.replace import replace_directory

RECORD = "made.json"


@dataclass(frozen=True, slots=True)
class Compiled:
    """Executables.

    Attributes:
        programs: Path of each by name.
        pause: Version of pause that the tree's kubeadm and kubelet ask for; empty for a program of our own.
    """

    programs: dict[str, Path]
    pause: str = ""


def key_of(*inputs: object) -> str:
    """sha256 of everything that decides the bytes of a result, in canonical JSON."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def find(name: str, key: str) -> Compiled | None:
    """What was compiled last under a name, if that was from these inputs and every byte of it is still there.

    Args:
        name: Of a series, or of a program of our own.
        key: sha256 of the inputs.
    """
    place = _place(name)
    try:
        record = json.loads((place / RECORD).read_bytes())
        if record["key"] != key:
            return None
        for program, sha256 in record["sha256"].items():
            if _digest(place / program) != sha256:
                return None
        (place / RECORD).touch()  # when it was used last
        return Compiled({program: place / program for program in record["sha256"]}, record["pause"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


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
    digests = {program: _digest(made / program) for program in programs}
    (made / RECORD).write_text(json.dumps({"key": key, "pause": pause, "sha256": digests}, indent=1))
    place = _place(name)
    replace_directory(made, place)
    return Compiled({program: place / program for program in programs}, pause)


def _place(name: str) -> Path:
    return cache_dir() / "results" / name


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
