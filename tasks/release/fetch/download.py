"""One file over HTTP, whatever its server does in the middle of it.

What has come is kept in the cache directory until the file is whole. A transfer that broke off, in this run or in one
before, goes on where it ended (range requests, RFC 9110 section 14), so no byte is sent twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Protocol

import requests
import urllib3.exceptions
from urllib3.exceptions import NameResolutionError

from configs.errors import KubeV6Error
from tasks import bounded
from tasks.bounded import TooMuchError
from tasks.exclusive import exclusive
from tasks.http_session import Session, UnusableError
from tasks.paths import cache_dir
from tasks.replace import write_whole

CHUNK = 1 << 18
"""Bytes that are in memory at a time."""
TIMEOUT = (15.0, 60.0)
"""Seconds to connect, and of silence in a transfer after which it counts as broken."""
ATTEMPTS = 4
"""How many attempts in a row may bring nothing new."""
PAUSE = 1.0
"""Seconds before the second attempt; twice that before the third, and so on, each with up to half of jitter."""
LONGEST_PAUSE = 60.0
"""Seconds that a server may make us wait (Retry-After)."""
DEADLINE = 6 * 3600.0
"""Seconds for a whole file, whatever trickles in."""
LARGEST = 16 << 30
"""Bytes of a file; a release's largest is a hundredth of that."""
HEAD = 1 << 20
"""Bytes of what a server says before and after them."""
WORDS_EVERY = 0.2
"""Seconds between two words of progress."""
_NUMBER = re.compile("[0-9]{1,18}")
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


class Say(Protocol):
    """Hears how far it is, as :meth:`tasks.steps.Step.progress` does, and may raise to end it."""

    def __call__(self, text: str, done: float = 0, total: float = 0) -> None:
        """Hear the words, and in bytes how much has come and of how much; 0 when that is not known."""


@dataclass(frozen=True, slots=True)
class Obtained:
    """A file that is here whole, by the word of where it came from.

    Attributes:
        path: Where it is.
        downloaded: Whether it is a copy of ours, to be moved away or discarded; else it stays where it is.
        pieced: Whether it came in more than one transfer, so that its parts may be of different files.
    """

    path: Path
    downloaded: bool = False
    pieced: bool = False


class NotThereError(KubeV6Error):
    """There is no such file."""


class _BrokenError(Exception):
    """A transfer that ended early, or an answer that cannot be used: worth another attempt.

    Args:
        seen: What was seen, to be read after the address.
        wait: Seconds that the server asked us to wait.
    """

    def __init__(self, seen: str, *, wait: float = 0.0) -> None:
        super().__init__(seen)
        self.wait = wait


def obtain(where: str, *, name: str, checkable: bool, say: Say, most: int = LARGEST) -> Obtained:
    """A file from an address, going on with what there is of it already, or from a directory, where it stays.

    Args:
        where: An address (http, https) or a path.
        name: What it is, for messages.
        checkable: Whether its checksum is known. Without, parts are put together only when the server says by a
            validator (ETag, Last-Modified) that they are of one file, and a file that may have been cut off unseen
            is refused.
        say: Hears how far it is.
        most: Bytes that it may have.

    Raises:
        NotThereError: There is no such file.
        KubeV6Error: It cannot be had; what has come of it stays for the next time.
    """
    if "://" in where:
        return _download(where, name, checkable, say, most)
    path = Path(where)
    if not path.is_file():
        raise NotThereError(f"{name}: there is no {path}", todo="check the path")
    if not os.access(path, os.R_OK):
        raise KubeV6Error(f"{name}: {path} may not be read by this user", todo="change its mode or owner")
    return Obtained(path)


@contextmanager
def alone(address: str, say: Say) -> Iterator[None]:
    """One process at a time fetches from an address, so that two do not write the same part of a file.

    Args:
        address: The address.
        say: Hears that another one is at it.
    """
    lock = _place(address).with_suffix(".lock")
    with _caching():
        lock.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(lock, on_wait=lambda: say("another run fetches it; waiting")):
        yield


def discard(obtained: Obtained) -> None:
    """Remove what was downloaded, and what is remembered of it. What stays in a directory of the user's is not ours."""
    if obtained.downloaded:
        obtained.path.unlink(missing_ok=True)
        obtained.path.with_suffix(".json").unlink(missing_ok=True)


def _download(url: str, name: str, checkable: bool, say: Say, most: int) -> Obtained:
    with _caching():
        partial = _Partial.of(url)
        furthest, failed = partial.size(), 0
        until = time.monotonic() + DEADLINE
        while not partial.whole():
            try:
                _transfer(url, name, partial, checkable, say, until, most)
                break
            except (_BrokenError, TimeoutError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
                reached = partial.size()
                if time.monotonic() > until:
                    raise _late(name, url, reached) from None
                failed = 0 if reached > furthest else failed + 1
                furthest = max(furthest, reached)
                _give_up_or_wait(error, url, name, partial, failed, say)
            except TooMuchError:
                partial.begin()
                raise KubeV6Error(f"{name}: {TooMuchError(most, url)}", todo="check the address") from None
        return Obtained(partial.content, downloaded=True, pieced=partial.pieced)


@dataclass(frozen=True, slots=True)
class _About:
    """What is written down of what has come, see :class:`_Partial`."""

    validator: str
    total: int | None
    pieced: bool


@dataclass(slots=True)
class _Partial:
    """What has come of a file so far, and what its server said of it.

    Attributes:
        content: The bytes, from the first on.
        validator: ETag or Last-Modified of the file that they are of; empty when the server gave none.
        total: Size of the whole file in bytes; None when the server did not say.
        pieced: Whether they came in more than one transfer.
    """

    content: Path
    validator: str = ""
    total: int | None = None
    pieced: bool = False

    @classmethod
    def of(cls, url: str) -> _Partial:
        """The one of an address, as an earlier attempt or run has left it."""
        found = cls(_place(url))
        if about := bounded.kept(found._about, _About, "the file is downloaded from its beginning"):
            found.validator, found.total, found.pieced = about.validator, about.total, about.pieced
        else:
            found.content.unlink(missing_ok=True)  # nothing is known of the bytes, so they are of no use
        return found

    @property
    def _about(self) -> Path:
        return self.content.with_suffix(".json")

    def size(self) -> int:
        return self.content.stat().st_size if self.content.exists() else 0

    def whole(self) -> bool:
        return self.total is not None and self.size() == self.total

    def begin(self, validator: str = "", total: int | None = None) -> None:
        """Drop what there is; a file of which this is known follows from its first byte on."""
        self.content.unlink(missing_ok=True)
        self.validator, self.total, self.pieced = validator, total, False
        self._write_about()

    def go_on(self, total: int | None) -> None:
        """More of the same file follows."""
        self.total, self.pieced = total if self.total is None else self.total, True
        self._write_about()

    def _write_about(self) -> None:
        about = _About(self.validator, self.total, self.pieced)
        write_whole(self._about, json.dumps(asdict(about)))


@contextmanager
def _caching() -> Iterator[None]:
    """What the disk refuses in this context is one line."""
    try:
        yield
    except OSError as error:
        raise KubeV6Error(
            f"the cache {cache_dir()} cannot be written: {error.strerror}",
            todo="make room, or set KUBEV6_CACHE to a directory on a larger disk",
        ) from None


def _place(url: str) -> Path:
    return cache_dir() / "partial" / hashlib.sha256(url.encode()).hexdigest()


def _transfer(url: str, name: str, partial: _Partial, checkable: bool, say: Say, until: float, most: int) -> None:
    """One request, from where the file stands, to its end."""
    headers = {"Accept-Encoding": "identity"}  # the bytes that have the checksum
    if partial.size() and (partial.validator or checkable):
        headers["Range"] = f"bytes={partial.size()}-"
        if partial.validator:
            headers["If-Range"] = partial.validator
    session = Session(seconds=max(until - time.monotonic(), 1), most=most + HEAD)
    with session, session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 200:  # whole: first time, no ranges here, or it is another file by now
            partial.begin(_validator(response), _length(response))
        elif response.status_code == 206:
            _go_on(partial, response, checkable)
        elif response.status_code == 416 and _range(response)[1] == partial.size() and partial.total is None:
            partial.go_on(partial.size())
            return
        elif response.status_code == 416:
            partial.begin()
            raise _BrokenError("has fewer bytes than it said")
        else:
            raise _refused(response, url, name)
        _receive(response, partial, say, until, most)
        size = partial.size()
        if partial.total is not None and size != partial.total:
            total = partial.total
            if size > total:
                partial.begin()
            raise _BrokenError(f"broke off after {size} of {total} bytes")
        if partial.total is None and not _is_chunked(response) and not checkable:
            partial.begin()
            raise KubeV6Error(
                f"{name}: {url} comes without a length, so nobody can tell whether it is whole",
                todo="give its sha256 in the release file",
            )
        partial.total = size


def _receive(response: requests.Response, partial: _Partial, say: Say, until: float, most: int) -> None:
    done, said = partial.size(), 0.0
    with partial.content.open("ab") as file:
        # What one read of the connection gives is on the disk before the next one, so that nothing that came is lost.
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            file.write(chunk)
            file.flush()
            done += len(chunk)
            if max(done, partial.total or 0) > most:
                raise TooMuchError(most)
            if time.monotonic() > until:
                raise TimeoutError
            if time.monotonic() - said >= WORDS_EVERY:
                said = time.monotonic()
                if partial.total:
                    say(f"{done / 1e6:.0f} of {partial.total / 1e6:.0f} MB", done, partial.total)
                else:
                    say(f"{done / 1e6:.0f} MB", done)


def _late(name: str, url: str, done: int) -> KubeV6Error:
    return KubeV6Error(
        f"{name}: {url} has not come whole within {DEADLINE / 3600:.0f} hours; its first {done} bytes are kept",
        todo="try again, or fetch it from somewhere nearer",
    )


def _go_on(partial: _Partial, response: requests.Response, checkable: bool) -> None:
    """Take a partial answer as the continuation that was asked for, if it is that."""
    start, total = _range(response)
    validator = _validator(response)
    another = (partial.validator and validator != partial.validator and (validator or not checkable)) or (
        total is not None and partial.total is not None and total != partial.total
    )
    if another or start != partial.size():
        partial.begin()
        raise _BrokenError("changed while it was downloaded" if another else "gave another part than was asked for")
    partial.go_on(total)


def _range(response: requests.Response) -> tuple[int | None, int | None]:
    """First byte and whole size that a Content-Range names, each None where it does not."""
    found = re.fullmatch(
        r"bytes (?:([0-9]{1,18})-[0-9]+|\*)/([0-9]{1,18}|\*)", response.headers.get("Content-Range", "")
    )
    if not found:
        return None, None
    start, total = found.groups()
    return int(start) if start else None, int(total) if total != "*" else None


def _validator(response: requests.Response) -> str:
    """What tells this file from another at the same address; a weak ETag does not (RFC 9110, section 13.1.5)."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")


def _length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if _NUMBER.fullmatch(text) and not _is_chunked(response) else None


def _is_chunked(response: requests.Response) -> bool:
    """Whether the transfer marks its own end, so that one that breaks off is noticed."""
    return response.headers.get("Transfer-Encoding", "").lower() == "chunked"


def _refused(response: requests.Response, url: str, name: str) -> Exception:
    answer = f"answered {response.status_code} {response.reason}".rstrip()
    if response.status_code in TRANSIENT_STATUSES:
        return _BrokenError(answer, wait=_retry_after(response))
    kind = NotThereError if response.status_code in (404, 410) else KubeV6Error
    return kind(f"{name}: {url} {answer}", todo="check the address in the release file")


def _retry_after(response: requests.Response) -> float:
    """Seconds that the server wants us to wait: a number or a date (RFC 9110, section 10.2.3)."""
    text = response.headers.get("Retry-After", "").strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _give_up_or_wait(error: Exception, url: str, name: str, partial: _Partial, failed: int, say: Say) -> None:
    """Wait before the next attempt, after ``failed`` ones in a row that brought nothing new.

    Raises:
        KubeV6Error: There is none: it was the last, cannot help, or would come too late.
    """
    wait = error.wait if isinstance(error, _BrokenError) else 0.0
    hopeless = _hopeless(error)
    if hopeless or failed >= ATTEMPTS or wait > LONGEST_PAUSE:
        kept = f"; its first {partial.size()} bytes are kept" if partial.size() else ""
        asked = f" and wants to be left alone for {wait:.0f} s" if wait > LONGEST_PAUSE else ""
        raise KubeV6Error(
            f"{name}: {url} {_seen(error)}{asked}{kept}",
            todo="check the network" if not isinstance(error, _BrokenError) else "try again later",
            transient=not hopeless,
            detail=str(error),
        ) from None
    wait = max(wait, PAUSE * 2 ** max(failed - 1, 0) * random.uniform(1.0, 1.5))
    until = time.monotonic() + wait
    while (left := until - time.monotonic()) > 0:
        say(f"{_seen(error)}; again in {left:.0f} s")
        time.sleep(min(left, WORDS_EVERY))


def _seen(error: Exception) -> str:
    if isinstance(error, _BrokenError | UnusableError):
        return str(error)
    if isinstance(error, requests.exceptions.ReadTimeout | urllib3.exceptions.ReadTimeoutError):
        return f"cannot be downloaded: no word for {TIMEOUT[1]:.0f} s"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "broke off"
    return f"cannot be downloaded: no answer ({type(error).__name__})"


def _hopeless(error: Exception) -> bool:
    """Whether another attempt would see the same: an address that is wrong, or no network to resolve its name on."""
    wrong = (
        UnusableError
        | requests.exceptions.SSLError
        | requests.exceptions.TooManyRedirects
        | requests.exceptions.InvalidURL
    )
    reason: Any = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(error, wrong) or isinstance(reason, NameResolutionError)
