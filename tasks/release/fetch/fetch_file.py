"""One file of a release: from its publisher or a mirror into the store, checked."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from configs.errors import KubeV6Error
from configs.schema.release import CniPlugins, Download
from tasks.release.fetch import checksums, cni
from tasks.release.fetch.download import NotThereError, Obtained, Say, alone, discard, obtain
from tasks.release.fetch.mirror import Mirror, origin, path_of_file
from tasks.release.fetch.program import HEAD, instead_of_a_program
from tasks.release.store import ChecksumError, Store
from tasks.steps import step

log = logging.getLogger("kubev6.fetch")
PUBLISHED_BYTES = 1 << 20
"""How long the file may be in which a publisher gives a checksum; one of a thousand files has a tenth of it."""


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file that is in the store.

    Attributes:
        sha256: Its checksum, by which the store has it.
        size: In bytes.
        checked: What it was checked against.
    """

    sha256: str
    size: int
    checked: str


def fetch_file(
    wanted: Download, *, name: str, store: Store, mirror: Mirror | None = None, force: bool = False
) -> FetchedFile:
    """Fetch one file into the store, unless it is there.

    Args:
        wanted: Its address and checksum.
        name: What it is, for messages.
        store: Where it is kept.
        mirror: Where the address is read from; None for its publisher.
        force: Fetch it although it is there.

    Raises:
        KubeV6Error: It cannot be had, or has another checksum than it must have; or nobody gives its checksum, and it
            is not even of the kind that is wanted.
    """
    if not force and (held := held_file(wanted, store)):
        return held
    with step(name, "download") as shown, alone(wanted.url, shown.progress):
        if not force and (held := held_file(wanted, store)):  # the one before us has fetched it
            shown.ended_as("fetched by another run", cached=True)
            return held
        known, checked = _known(wanted, name, store, mirror, shown.progress)
        where, source = mirror.file(wanted.url) if mirror else wanted.url, origin(path_of_file(wanted.url), mirror)
        try:
            if known and not force and not store.drop_damaged(known):  # it came when its checksum was not known yet
                sha256, size, source = known, store.blob(known).stat().st_size, "the store"
            else:
                sha256, size = _into_store(wanted, where, name, store, known, shown.progress)
        except NotThereError as error:
            raise _lacking(error, wanted, wanted.url, mirror) from None
        except ChecksumError as error:
            raise _another(wanted, f"{name}: {where}", error, checked, store) from None
        if not size:
            raise KubeV6Error(f"{name}: {where} is empty", todo="correct its address")
        checksums.remember(store, wanted.url, sha256, size, checked)
        shown.ended_as(f"{size / 1e6:.1f} MB from {source}, {checked}")
        return FetchedFile(sha256, size, checked)


def held_file(wanted: Download, store: Store) -> FetchedFile | None:
    """What the store has of a file. It is read: what is damaged there is removed, so that it is fetched again."""
    record = checksums.find(store, wanted.url)
    if wanted.sha256:
        sha256, checked = wanted.sha256, checksums.GIVEN
    elif record is None or (wanted.sha256_url and record.checked != checksums.PUBLISHED):
        return None
    else:
        sha256, checked = record.sha256, checksums.PUBLISHED if wanted.sha256_url else checksums.SAME
    if store.drop_damaged(sha256):
        return None
    return FetchedFile(sha256, store.blob(sha256).stat().st_size, checked)


def _known(wanted: Download, name: str, store: Store, mirror: Mirror | None, say: Say) -> tuple[str | None, str]:
    """The sha256 that a file must have, if that can be known, and who says so."""
    if wanted.sha256:
        return wanted.sha256, checksums.GIVEN
    if wanted.sha256_url:
        return _published(wanted, wanted.sha256_url, name, mirror, say), checksums.PUBLISHED
    record = checksums.find(store, wanted.url)
    return (record.sha256, checksums.SAME) if record else (None, checksums.FIRST)


def _published(wanted: Download, sha256_url: str, name: str, mirror: Mirror | None, say: Say) -> str:
    """The sha256 of a file in the words of its publisher."""
    where = mirror.file(sha256_url) if mirror else sha256_url
    try:
        with alone(sha256_url, say):  # several files may have theirs in one place
            come = obtain(where, name=f"{name}: its checksum", checkable=False, say=say, most=PUBLISHED_BYTES)
            with come.path.open("rb") as file:
                text = file.read(PUBLISHED_BYTES).decode(errors="replace")
            discard(come)
    except NotThereError as error:
        raise _lacking(error, wanted, sha256_url, mirror) from None
    file_name = wanted.url.rpartition("/")[2]
    sha256 = checksums.published_in(text, file_name)
    if sha256 is None:
        raise KubeV6Error(
            f"{name}: {where} gives no sha256 of {file_name}; it begins with {text[:40]!r}",
            todo="correct sha256_url in the release file",
        )
    return sha256


def _into_store(wanted: Download, where: str, name: str, store: Store, known: str | None, say: Say) -> tuple[str, int]:
    """A file into the store. Returns its sha256 and size.

    Raises:
        ChecksumError: It has another checksum than the known one.
        KubeV6Error: None is known, and it is something else than is wanted.
    """
    come = obtain(where, name=name, checkable=known is not None, say=say)
    if known is None:
        try:
            _refuse_other(wanted, come.path, f"{name}: {where}")
        except KubeV6Error:
            discard(come)
            raise
    if come.pieced:
        try:
            return _keep(come, store, known)
        except ChecksumError:
            log.warning("%s: the parts of %s do not make up the file; all of it is downloaded again", name, where)
        come = obtain(where, name=name, checkable=known is not None, say=say)
    return _keep(come, store, known)


def _refuse_other(wanted: Download, path: Path, what: str) -> None:
    """Refuse what cannot be the file: the checksum of the first one that comes holds from then on."""
    if isinstance(wanted, CniPlugins):
        cni.refuse_other(path, name=what)
        return
    with path.open("rb") as file:
        seen = instead_of_a_program(file.read(HEAD))
    if seen:
        raise KubeV6Error(
            f"{what} is {seen}, and no program for x86-64",
            todo="correct its address, or see what answers there in its place, such as a proxy or a login page",
        )


def _keep(come: Obtained, store: Store, known: str | None) -> tuple[str, int]:
    keep = store.take_file if come.downloaded else store.add_file
    try:
        kept = keep(come.path, expected=known)
    except ChecksumError:
        discard(come)
        raise
    discard(come)
    return kept


def _lacking(error: NotThereError, wanted: Download, url: str, mirror: Mirror | None) -> KubeV6Error:
    """What is said of an address that gives nothing; a directory tells at once whether it lacks the other one too."""
    if mirror is None:
        return error
    others = [each for each in (wanted.url, wanted.sha256_url) if each and mirror.is_directory]
    missing = [each for each in others if not Path(mirror.file(each)).is_file()]
    return mirror.lacks([path_of_file(each) for each in missing or [url]])


def _another(wanted: Download, what: str, error: ChecksumError, checked: str, store: Store) -> KubeV6Error:
    """What is said of a file that has another checksum than it must have."""
    if checked == checksums.SAME and (record := checksums.find(store, wanted.url)):
        return checksums.not_as_recorded(what, error.seen, record, store)
    who = wanted.sha256_url if checked == checksums.PUBLISHED else "the release file"
    return KubeV6Error(
        f"{what}: wrong checksum: its {error.size} bytes have the sha256 {error.seen}, {who} says {error.wanted}",
        todo="do not use it; ask its publisher, or correct the release file",
    )
