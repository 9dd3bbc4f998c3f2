"""Executables: fetched by the node itself, checked, and only then put in place of the old ones."""

import errno
import hashlib
import os
import time
from typing import IO, Any, Callable, Dict, Iterator, List

from tasks.node_agent.digests import DIGESTS, identity_of, installed_digest
from tasks.node_agent.files import make_directories
from tasks.node_agent.protocol import Failed, Json, progress
from tasks.node_agent.record import Record, read_json, write_json

SPARE = 16 * 1024 * 1024
DOWNLOAD_SECONDS = 30


def fetch_binaries(changes: List[Json], record: Record) -> None:
    """Download all at once, check each, and only then put them in place."""
    import concurrent.futures  # here, because facts are asked for far more often than anything is fetched

    need_space(changes)
    total = sum(change["size"] for change in changes)
    got = {change["subject"]: 0 for change in changes}
    shown = [0.0]

    def tell(path: str, count: int) -> None:
        got[path] = count
        if time.monotonic() - shown[0] > 0.5:
            shown[0] = time.monotonic()
            done = sum(got.values())
            progress("{:.0f} of {:.0f} MB fetched".format(done / 1e6, total / 1e6), done, total)

    partials = {change["subject"]: partial_path(change["subject"]) for change in changes}
    try:
        with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
            jobs = [pool.submit(download, change, partials[change["subject"]], tell) for change in changes]
            for job in jobs:
                job.result()
        for change in changes:
            note_binary(change["subject"], record)
        record.save()
        known = read_json(DIGESTS)
        for change in changes:
            path = change["subject"]
            keep_numbered(path)
            os.replace(partials[path], path)
            known[path] = {"identity": identity_of(path), "sha256": change["sha256"]}
        write_json(DIGESTS, known)
    finally:
        for partial in partials.values():
            if os.path.exists(partial):
                os.unlink(partial)


def partial_path(path: str) -> str:
    return os.path.join(os.path.dirname(path), ".kubev6-{}.partial".format(os.path.basename(path)))


def need_space(changes: List[Json]) -> None:
    needs: Dict[int, List[Any]] = {}
    for change in changes:
        directory = os.path.dirname(change["subject"])
        make_directories(directory)
        entry = needs.setdefault(os.stat(directory).st_dev, [directory, 0])
        entry[1] += change["size"]
    for directory, size in needs.values():
        seen = os.statvfs(directory)
        free = seen.f_bavail * seen.f_frsize
        if free < size + SPARE:
            needed, there = (size + SPARE) / 1e6, free / 1e6
            seen_there = "no space: {} needs {:.0f} MB free and has {:.0f} MB".format(directory, needed, there)
            raise Failed(seen_there, "free some space there")


def download(change: Json, partial: str, tell: Callable[[str, int], None]) -> None:
    """Fetch one executable beside its place. Nothing that has another size or digest is left behind."""
    import http.client
    import urllib.error
    import urllib.request

    url = change["url"]
    digest, count = hashlib.sha256(), 0
    # The registry is on the cluster's own network, where no proxy reaches.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=DOWNLOAD_SECONDS) as source, open(partial, "wb") as file:
            for piece in pieces(source):
                file.write(piece)
                digest.update(piece)
                count += len(piece)
                if count > change["size"]:
                    break
                tell(change["subject"], count)
            file.flush()
            os.fsync(file.fileno())
    except urllib.error.HTTPError as error:
        raise Failed("{}: HTTP {} {}".format(url, error.code, error.reason), transient=error.code >= 500) from None
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        reason = getattr(error, "reason", None) or error
        todo = "check that the registry runs and that this node has a route to it"
        raise Failed("{}: {}".format(url, reason), todo, transient=True) from None
    except OSError as error:
        if error.filename or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise Failed("{}: {}".format(partial, error.strerror)) from None
        raise Failed("{}: {}".format(url, error), transient=True) from None
    if count < change["size"]:
        said = "{}: ended after {} of {} bytes".format(url, count, change["size"])
        raise Failed(said, transient=True)
    if count > change["size"] or digest.hexdigest() != change["sha256"]:
        said = "{}: wrong checksum: sha256 {} was expected, {} came; {} is as it was"
        todo = "start the support node anew and run this again: what the registry has damaged is then sent anew"
        raise Failed(said.format(url, change["sha256"][:12], digest.hexdigest()[:12], change["subject"]), todo)
    os.chmod(partial, 0o755)


def pieces(source: IO[bytes]) -> Iterator[bytes]:
    while True:
        piece = source.read(1 << 18)
        if not piece:
            return
        yield piece


def note_binary(path: str, record: Record) -> None:
    kept = next_kept(path) if os.path.lexists(path) else ""
    record.note("binaries", path, kept)
    if kept:
        record.note("old_binaries", kept, None)


def keep_numbered(path: str) -> None:
    """Keep the old executable as ``cp --backup=t`` does, by a second name, so there is never none."""
    if os.path.islink(path):
        os.symlink(os.readlink(path), next_kept(path))
    elif os.path.lexists(path):
        os.link(path, next_kept(path))


def next_kept(path: str) -> str:
    """The name under which the executable at ``path`` would be kept now."""
    number = 1
    while os.path.lexists("{}.~{}~".format(path, number)):
        number += 1
    return "{}.~{}~".format(path, number)


def restore_binary(path: str, kept: str) -> bool:
    """Put back the executable that was at ``path`` before us; ``kept`` is empty when there was none.

    Returns:
        Whether there was anything to do.
    """
    if not kept:
        if not os.path.lexists(path):
            return False
        os.unlink(path)
    elif os.path.islink(kept):
        os.symlink(os.readlink(kept), partial_path(path))
        os.replace(partial_path(path), path)
    elif os.path.lexists(kept):
        if os.path.lexists(path):
            os.unlink(path)
        os.link(kept, path)
    elif installed_digest(path, read_json(DIGESTS)):
        raise Failed("{}: the executable that was there before is gone ({})".format(path, kept))
    else:
        return False  # the run that was about to replace it did not come to that
    return True
