"""The files of backups on this machine: how they are called and written, which is the newest, and how old ones go."""

from __future__ import annotations

import hashlib
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from configs.errors import ConfigError, KubeV6Error
from configs.manifest import SHA256
from tasks import bounded
from tasks.disk import writing
from tasks.paths import data_dir, expanded
from tasks.replace import write_whole

ENDING = ".kubev6.age"
LARGEST = 8 << 30
"""Bytes of a backup: as much as etcd's own database may have."""
MODE = 0o600
log = logging.getLogger("kubev6.backup")


class Made(BaseModel):
    """A backup that was made from here.

    Attributes:
        path: Its file.
        sha256: Its checksum.
        made: UTC time of making, ISO 8601.
        named: Whether its name was chosen here, and not by a person.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str = Field(pattern=SHA256)
    made: str
    named: bool


class MadeHere(BaseModel):
    """All backups of a cluster that were made from here and not removed since, the oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backups: tuple[Made, ...] = ()


def directory(name: str) -> Path:
    """Where backups of a cluster are put when nobody says otherwise. It outlives the machines of a lab.

    Args:
        name: The cluster's name.
    """
    return data_dir() / "backups" / name


def place(name: str, to: str) -> tuple[Path, bool]:
    """Where a backup goes, and whether the name of its file is chosen here.

    Args:
        name: The cluster's name.
        to: A directory or a file; empty for the directory of the cluster's backups.

    Raises:
        ConfigError: There is such a file already, or no such directory.
    """
    where = Path(expanded(to)) if to else directory(name)
    if not to or where.is_dir():
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"[:-3]
        return where / f"{name}-{stamp}Z{ENDING}", True
    if where.exists():
        raise ConfigError(f"--to: there is a file {where} already", todo="name another one, or a directory")
    if not where.parent.is_dir() or to.endswith("/"):
        missing = where if to.endswith("/") else where.parent
        raise ConfigError(f"--to: there is no directory {missing}", todo="make it, or name another one")
    return where, False


def write(path: Path, content: bytes) -> str:
    """Write a backup, whole or not at all, and read it again.

    Args:
        path: Its file.
        content: What it has.

    Returns:
        Its SHA-256, hexadecimal.

    Raises:
        KubeV6Error: It cannot be written, or what is read there is something else.
    """
    with writing(f"the backup {path}", "KUBEV6_DATA"):
        write_whole(path, content, mode=MODE)
        path.chmod(MODE)
    wanted = hashlib.sha256(content).hexdigest()
    if _checksum(path) != wanted:
        raise KubeV6Error(f"{path}: what is read there is not what was written", todo="see what is wrong with the disk")
    return wanted


def remember(name: str, made: Made) -> None:
    """Write down that a backup was made from here.

    Args:
        name: The cluster's name.
        made: The backup.
    """
    _write(name, (*made_here(name), made))


def made_here(name: str) -> tuple[Made, ...]:
    """The backups of a cluster that were made from here, the oldest first; those that are gone by now are left out.

    Args:
        name: The cluster's name.
    """
    known = bounded.kept(_list(name), MadeHere, "older backups stay where they are") or MadeHere()
    return tuple(each for each in known.backups if Path(each.path).is_file())


def prune(name: str, where: Path, keep: int) -> tuple[Path, ...]:
    """Remove the oldest backups of a cluster in a directory: those that were made from here and are as they were then.

    Args:
        name: The cluster's name.
        where: The directory.
        keep: How many stay.

    Returns:
        Those that were removed.

    Raises:
        KubeV6Error: One cannot be removed.
    """
    known = made_here(name)
    here = [each for each in known if each.named and Path(each.path).parent == where.absolute()]
    gone = []
    for each in here[:-keep]:
        path = Path(each.path)
        if _checksum(path) != each.sha256:
            log.warning("%s is not as it was made, and stays", path)
            continue
        with writing(f"the backup {path}", "KUBEV6_DATA"):
            path.unlink()
        gone.append(path)
    if gone:
        _write(name, tuple(each for each in known if Path(each.path) not in gone))
    return tuple(gone)


def newest(name: str) -> Path:
    """The newest backup of a cluster that was made from here.

    Args:
        name: The cluster's name.

    Raises:
        ConfigError: There is none.
    """
    if known := made_here(name):
        return Path(known[-1].path)
    raise ConfigError(f"no backup of {name} was made from here, or all are gone", todo="name the file of one")


def content(path: Path) -> bytes:
    """What stands in the file of a backup.

    Raises:
        ConfigError: It cannot be read, or is larger than any.
    """
    try:
        return bounded.content(path, LARGEST)
    except bounded.TooMuchError as error:
        raise ConfigError(f"{path} is no backup: {error}", todo="name another file") from None
    except OSError as error:
        raise ConfigError(f"cannot read the backup {path}: {error.strerror}", todo="check its path") from None


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # what is on the disk, and not in the cache
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def _list(name: str) -> Path:
    return directory(name) / "backups.json"


def _write(name: str, backups: tuple[Made, ...]) -> None:
    path = _list(name)
    with writing(f"the list of backups {path}", "KUBEV6_DATA"):
        write_whole(path, MadeHere(backups=backups).model_dump_json(indent=1) + "\n", mode=MODE)
