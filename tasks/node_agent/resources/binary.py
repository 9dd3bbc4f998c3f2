"""Executables: fetched by the node itself, checked, and only then put in place of the old ones."""

import errno
import hashlib
import os
import time
from typing import IO, Any, Callable, Dict, Iterator, List, Optional

from tasks.node_agent.files import identity_of, make_directories, partial_path, sha256_of, sync_directory
from tasks.node_agent.protocol import Failed, Json, progress
from tasks.node_agent.record import Record, read_json, write_json
from tasks.node_agent.resources.kind import Kind

SPARE = 16 * 1024 * 1024
DOWNLOAD_SECONDS = 30
DIGESTS = "digests.json"
"""Digests of executables, remembered of those that were installed by us."""


UNKNOWN = "unknown"
"""In place of a digest: versions before this one did not say what they had put there."""


def undo_binary(path: str, noted: Any) -> List[str]:
    """Put back the executable that was at ``path`` before us; ``kept`` is empty when there was none.

    What somebody has made of ours since goes with it.
    """
    entry = noted_binary(noted)
    kept = entry["kept"]
    if not entry["ours"] and not is_ours(path, entry, read_json(DIGESTS)):
        return []  # the run that was about to write it did not come to that
    if not kept:
        if not os.path.lexists(path):
            return []
        os.unlink(path)
    elif os.path.lexists(kept):
        if os.path.islink(path) or not os.path.exists(path) or not os.path.samefile(kept, path):
            name_also(kept, partial_path(path))
            os.replace(partial_path(path), path)
            sync_directory(os.path.dirname(path))
    elif entry["ours"] not in ("", UNKNOWN) or installed_digest(path, read_json(DIGESTS)):
        raise Failed("{}: the executable that was there before is gone ({})".format(path, kept))
    else:
        return []  # the run that was about to replace it did not come to that
    return ["binary {}".format(path)]


def undo_kept_binary(kept: str, _: Any) -> List[str]:
    """Remove the copy that was made of an executable: it has been put back by now."""
    if not os.path.lexists(kept):
        return []
    os.unlink(kept)
    return ["file {}".format(kept)]


class Binaries(Kind):
    """Noted by path with the name under which the old one is kept; that name is noted by itself too."""

    name = "binary"
    at_once = True
    undoes = (("binaries", undo_binary), ("old_binaries", undo_kept_binary))

    def facts(self, query: List[str], records: List[Record], answers: List[str]) -> Dict[str, Optional[str]]:
        """sha256 of each; one that is as it was when we installed it is not read again."""
        known = read_json(DIGESTS)
        return {path: digest_of(path, known) for path in query}

    def added(self, record: Record) -> Dict[str, List[str]]:
        """By path the digests of what is ours: what we have put there, and what a run that died may have.

        None where that is not known, or was not come to.
        """
        noted = {path: noted_binary(each) for path, each in record.stage.get("binaries", {}).items()}
        return {path: [each["ours"], each["next"]] for path, each in noted.items() if each["ours"] not in ("", UNKNOWN)}

    def note(self, change: Json, record: Record) -> None:
        # What it replaces is noted once all have been fetched.
        path = change["subject"]
        record.note_directories(path)
        entry = noted_binary(record.stage.get("binaries", {}).get(path, {}))
        if is_ours(path, entry, read_json(DIGESTS)):
            entry["ours"] = entry["ours"] or entry["next"]
        record.stage.setdefault("binaries", {})[path] = dict(entry, next=change["resource"]["sha256"])

    def make_all(self, changes: List[Json], record: Record) -> None:
        fetch([change["resource"] for change in changes], record)


def fetch(binaries: List[Json], record: Record) -> None:
    """Download all at once, check each, and only then put them in place."""
    import concurrent.futures  # here, because facts are asked for far more often than anything is fetched

    need_space(binaries)
    total = sum(binary["size"] for binary in binaries)
    got = {binary["path"]: 0 for binary in binaries}
    shown = [0.0]

    def tell(path: str, count: int) -> None:
        got[path] = count
        if time.monotonic() - shown[0] > 0.5:
            shown[0] = time.monotonic()
            done = sum(got.values())
            progress("{:.0f} of {:.0f} MB fetched".format(done / 1e6, total / 1e6), done, total)

    try:
        with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
            jobs = [pool.submit(download, binary, partial_path(binary["path"]), tell) for binary in binaries]
            for job in jobs:
                job.result()
        known = read_json(DIGESTS)
        originals = [binary["path"] for binary in binaries if note_replaced(binary["path"], record, known)]
        record.save()
        for binary in binaries:
            path = binary["path"]
            if path in originals:
                name_also(path, record.stage["binaries"][path]["kept"])
            os.replace(partial_path(path), path)
            sync_directory(os.path.dirname(path))
            record.stage["binaries"][path]["ours"] = binary["sha256"]
            known[path] = {"identity": identity_of(path), "sha256": binary["sha256"]}
        write_json(DIGESTS, known)
        drop_superseded(record)
    finally:
        for binary in binaries:
            if os.path.exists(partial_path(binary["path"])):
                os.unlink(partial_path(binary["path"]))


def need_space(binaries: List[Json]) -> None:
    """Make the directories of some executables, and see that they fit.

    Raises:
        Failed: One of their filesystems would keep less than :data:`SPARE` bytes.
    """
    needs: Dict[int, List[Any]] = {}
    for binary in binaries:
        directory = os.path.dirname(binary["path"])
        make_directories(directory)
        entry = needs.setdefault(os.stat(directory).st_dev, [directory, 0])
        entry[1] += binary["size"]
    for directory, size in needs.values():
        seen = os.statvfs(directory)
        free = seen.f_bavail * seen.f_frsize
        if free < size + SPARE:
            needed, there = (size + SPARE) / 1e6, free / 1e6
            seen_there = "no space: {} needs {:.0f} MB free and has {:.0f} MB".format(directory, needed, there)
            raise Failed(seen_there, "free some space there")


def download(binary: Json, partial: str, tell: Callable[[str, int], None]) -> None:
    """Fetch one executable beside its place. Nothing that has another size or digest is left behind."""
    import http.client
    import ssl
    import urllib.error
    import urllib.request

    url = binary["url"]
    digest, count = hashlib.sha256(), 0
    # The registry is on the cluster's own network, where no proxy reaches.
    handlers = [urllib.request.ProxyHandler({})]  # type: List[urllib.request.BaseHandler]
    if binary["certificate"]:
        context = ssl.create_default_context(cafile=binary["certificate"])
        handlers.append(urllib.request.HTTPSHandler(context=context))
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(url, timeout=DOWNLOAD_SECONDS) as source, open(partial, "wb") as file:
            for piece in pieces(source):
                file.write(piece)
                digest.update(piece)
                count += len(piece)
                if count > binary["size"]:
                    break
                tell(binary["path"], count)
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
    if count < binary["size"]:
        said = "{}: ended after {} of {} bytes".format(url, count, binary["size"])
        raise Failed(said, transient=True)
    if count > binary["size"] or digest.hexdigest() != binary["sha256"]:
        said = "{}: wrong checksum: sha256 {} was expected, {} came; {} is as it was"
        todo = "start the support node again and run this again: what the registry has damaged is then sent again"
        raise Failed(said.format(url, binary["sha256"][:12], digest.hexdigest()[:12], binary["path"]), todo)
    os.chmod(partial, 0o755)


def pieces(source: IO[bytes]) -> Iterator[bytes]:
    """What can be read, 256 KiB at a time."""
    while True:
        piece = source.read(1 << 18)
        if not piece:
            return
        yield piece


def noted_binary(noted: Any) -> Json:
    """A note of an executable.

    It says where what was there before is ``kept``, and the digests of what we have put there (``ours``) and were about
    to (``next``). The version before this one wrote but the first.
    """
    if isinstance(noted, str):
        return {"kept": noted, "ours": UNKNOWN, "next": ""}
    return dict({"kept": "", "ours": "", "next": ""}, **noted)


def is_ours(path: str, entry: Json, known: Json) -> bool:
    """Whether an executable is one that we have put there."""
    if os.path.islink(path):
        return False
    return bool(installed_digest(path, known)) or digest_of(path, known) in (entry["ours"], entry["next"])


def note_replaced(path: str, record: Record, known: Json) -> bool:
    """Note under which name the executable that is replaced is kept; says whether it is an original.

    Only that is kept, and once: neither what is ours nor what somebody has made of it since, or put in its place, be it
    a damaged disk. Unlike a file of configuration, an executable says nothing that a person may want to have back.
    """
    entry = record.stage["binaries"][path]
    if not os.path.lexists(path) or is_ours(path, entry, known) or entry["ours"]:
        return False
    entry["kept"] = next_kept(path)
    record.note("old_binaries", entry["kept"], None)
    return True


def name_also(path: str, name: str) -> None:
    """Give an executable a second name, so that there is never none."""
    if os.path.islink(path):
        os.symlink(os.readlink(path), name)
    else:
        os.link(path, name)
    sync_directory(os.path.dirname(name))


def drop_superseded(record: Record) -> None:
    """Remove the copies that are no originals: versions before this one kept whatever they replaced."""
    kept = [noted_binary(noted)["kept"] for noted in record.stage["binaries"].values()]
    for path in [path for path in record.stage.get("old_binaries", {}) if path not in kept]:
        undo_kept_binary(path, None)
        record.forget("old_binaries", path)


def next_kept(path: str) -> str:
    """The name under which the executable at ``path`` would be kept now."""
    number = 1
    while os.path.lexists("{}.~{}~".format(path, number)):
        number += 1
    return "{}.~{}~".format(path, number)


def digest_of(path: str, known: Json) -> Optional[str]:
    """sha256 of an executable; None where none can be read."""
    try:
        return installed_digest(path, known) or sha256_of(path)
    except OSError:
        return None


def installed_digest(path: str, known: Json) -> str:
    """sha256 of an executable that is as we installed it, from what is known of those; empty for any other."""
    entry = known.get(path)
    if not entry or "sha256" not in entry or not os.path.exists(path):
        return ""
    return str(entry["sha256"]) if entry.get("identity") == identity_of(path) else ""
