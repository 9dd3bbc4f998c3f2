"""Fetching single commits from a git server into one of our repositories.

A commit is asked for by its id with as little history as is needed. A server that hands out only what its refs point
at is asked for refs, whose history is then deepened until the commit turns up. The user's own git settings count
here (proxies, credentials, ``insteadOf``): they cannot change an id.
"""

from __future__ import annotations

import hashlib
import os
import re
import selectors
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from configs.errors import KubeV6Error
from tasks.release.series.git_command import complaint, end, server_environment, start
from tasks.release.series.git_remote import Place
from tasks.steps import Step

STALL = 120.0
"""Seconds without a word from git after which a server counts as not answering."""
DEEPENING = (2, 16, 128, 1024)
"""How many commits of a ref's history are fetched, one after the other; then all of it."""
FETCHED = "refs/kubev6/fetched"
"""Where refs are kept to what was fetched, so that a later fetch tells the server what is here already."""

_NOT_BY_ID = re.compile(r"(?:not our ref|unadvertised object|couldn't find remote ref) ([0-9a-f]{40})")
_NO_REF = re.compile(r"couldn't find remote ref (\S+)")
_TRANSIENT = re.compile(
    r"Could not resolve|Temporary failure|Connection (?:refused|reset|timed out)|timed out|early EOF|hung up|"
    r"error: 5\d\d|too slow|unexpected disconnect|Couldn't connect|Failed to connect"
)
_NO_LOGIN = re.compile(r"could not read (?:Username|Password)|Authentication failed|Permission denied|error: 40[13]")


def by_id(repository: Path, place: Place, commits: Sequence[str], depth: int, shown: Step) -> tuple[str, ...]:
    """Fetch commits by their full ids.

    Args:
        repository: Our repository.
        place: The server.
        commits: The ids.
        depth: How many commits of history come with each, itself included.
        shown: Where to report progress.

    Returns:
        Those that the server does not hand out this way.

    Raises:
        KubeV6Error: The server does not answer or refuses.
    """
    refused: list[str] = []
    while asked := [commit for commit in commits if commit not in refused]:
        said = _fetch(repository, place, [f"+{commit}:{FETCHED}/{commit}" for commit in asked], depth, shown)
        if said is None:
            break
        named = _NOT_BY_ID.search(said)
        if named is None or named[1] not in asked:
            raise _failed(place, said)
        refused.append(named[1])
    return tuple(refused)


def head(repository: Path, place: Place, ref: str, depth: int, shown: Step) -> str | None:
    """Fetch the head of a ref.

    Args:
        repository: Our repository.
        place: The server.
        ref: A branch, a tag, or a whole name such as ``refs/pull/47621/head``.
        depth: How many commits of its history come along.
        shown: Where to report progress.

    Returns:
        The ref that is kept here for it; None when the server has no such ref.

    Raises:
        KubeV6Error: The server does not answer or refuses.
    """
    kept = _kept(place, ref)
    said = _fetch(repository, place, [f"+{ref}:{kept}"], depth, shown)
    if said is None:
        return kept
    if _NO_REF.search(said):
        return None
    raise _failed(place, said)


def along(repository: Path, place: Place, refs: Iterable[str], found: Callable[[], bool], shown: Step) -> bool:
    """Fetch ever more of the history of some refs until what is looked for is there.

    Args:
        repository: Our repository.
        place: The server.
        refs: The refs; those that it does not have are passed over.
        found: Says whether it is there.
        shown: Where to report progress.

    Returns:
        Whether it was found.

    Raises:
        KubeV6Error: The server does not answer or refuses.
    """
    return _deepen(repository, place, [f"+{ref}:{_kept(place, ref)}" for ref in refs], found, shown)


def along_branches(repository: Path, place: Place, found: Callable[[], bool], shown: Step) -> bool:
    """The same as :func:`along` with every branch of the server, which may be much."""
    return _deepen(repository, place, [f"+refs/heads/*:{_kept(place, 'branches')}/*"], found, shown)


def _deepen(repository: Path, place: Place, specs: Sequence[str], found: Callable[[], bool], shown: Step) -> bool:
    for depth in (*DEEPENING, 0):
        while specs and (said := _fetch(repository, place, specs, depth, shown)) is not None:
            absent = _NO_REF.search(said)
            remaining = [spec for spec in specs if not absent or not spec.startswith(f"+{absent[1]}:")]
            if len(remaining) == len(specs):
                raise _failed(place, said)
            specs = remaining
        if not specs:
            return False
        if found():
            return True
    return False


def _fetch(repository: Path, place: Place, specs: Sequence[str], depth: int, shown: Step) -> str | None:
    """Run git fetch; None when it went well, else what git said. No depth (0) means the whole history."""
    # What a git that was killed left behind; the caller holds the repository's lock.
    own = repository / ".git"
    for lock in (own / "shallow.lock", own / "packed-refs.lock", *(own / FETCHED).rglob("*.lock")):
        lock.unlink(missing_ok=True)
    for unfinished in (repository / ".git" / "objects" / "pack").glob("tmp_*"):
        unfinished.unlink()
    shallow = (repository / ".git" / "shallow").exists()
    limit = [f"--depth={depth}"] if depth else ["--unshallow"] if shallow else []
    settings = {
        # A pack arrives whole or not at all; loose objects would stay behind when a fetch is cut off.
        "fetch.unpackLimit": "1",
        "gc.auto": "0",
        "maintenance.auto": "false",
        "http.lowSpeedLimit": "1000",
        "http.lowSpeedTime": "60",
    }
    words = [
        "git",
        *(word for key, value in settings.items() for word in ("-c", f"{key}={value}")),
        "fetch",
        "--progress",
        "--no-tags",
        "--no-prune",
        "--no-write-fetch-head",
        "--no-recurse-submodules",
        *limit,
        "--",
        place.address,
        *specs,
    ]
    status, said = _watched(repository, words, place, shown)
    if status and limit and "does not support shallow" in said:
        return _fetch(repository, place, specs, 0, shown) if depth else said
    return said if status else None


def _watched(repository: Path, words: Sequence[str], place: Place, shown: Step) -> tuple[int, str]:
    directory = repository / ".git"
    environment = server_environment() | {
        "GIT_DIR": str(directory),
        "GIT_WORK_TREE": str(repository),
        "GIT_INDEX_FILE": str(directory / "index"),
        "GIT_OBJECT_DIRECTORY": str(directory / "objects"),
    }
    said = b""
    heard = time.monotonic()
    with start(words, environment) as process, selectors.DefaultSelector() as ready:
        assert process.stderr is not None
        ready.register(process.stderr, selectors.EVENT_READ)
        try:
            while True:
                if ready.select(timeout=min(1.0, STALL)):
                    chunk = os.read(process.stderr.fileno(), 1 << 16)
                    if not chunk:
                        break
                    said = (said + chunk)[-(1 << 16) :]
                    heard = time.monotonic()
                if time.monotonic() - heard > STALL:
                    raise KubeV6Error(
                        f"{place}: said nothing for {STALL:.0f} s",
                        todo="check that it can be reached from here, or name another place with --source",
                        transient=True,
                    )
                last = _last_line(said)
                shown.progress(last or f"asking {place.remote}", *_counted(last))
            return process.wait(), said.decode(errors="replace")
        finally:
            end(process)


def _last_line(said: bytes) -> str:
    lines = re.split(rb"[\r\n]", said)
    whole = [line for line in lines[:-1] if line.strip()]
    return whole[-1].decode(errors="replace").removeprefix("remote: ").strip() if whole else ""


def _counted(line: str) -> tuple[int, int]:
    """How much of how much is done, by a line of git's such as ``Receiving objects:  45% (450/1000)``."""
    found = re.search(r"% \((\d+)/(\d+)\)", line)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _failed(place: Place, said: str) -> KubeV6Error:
    first = complaint(said) or "git fetch failed"
    if _NO_LOGIN.search(said):
        return KubeV6Error(
            f"{place}: lets nobody in without a login: {first}",
            todo="check its address; give git a credential helper, or ssh-agent a key",
            detail=said,
        )
    return KubeV6Error(
        f"{place}: could not be fetched from: {first}",
        todo="check its address and the network, or name another place with --source, such as a clone or a bundle",
        transient=bool(_TRANSIENT.search(said)),
        detail=said,
    )


def _kept(place: Place, ref: str) -> str:
    return f"{FETCHED}/{hashlib.sha256(f'{place.address} {ref}'.encode()).hexdigest()[:16]}"
