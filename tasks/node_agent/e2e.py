"""A program: runs upstream's tests on the control plane, and says what came of each.

They run here as this machine reaches every address of the cluster. They end with their controller: when that is gone,
or their time is up, they are interrupted, and what they have made in the cluster is removed.
"""

import base64
import binascii
import gzip
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import IO, Any, Dict, Iterator, List, Sequence, Tuple

from tasks.node_agent.commands import prepare
from tasks.node_agent.commands import run as run_command
from tasks.node_agent.files import make_directories, partial_path, sha256_of, write_atomically
from tasks.node_agent.junit import reasons_in, reported
from tasks.node_agent.lock import hold
from tasks.node_agent.protocol import Failed, Json, progress
from tasks.node_agent.record import HOME
from tasks.node_agent.resources.binary import download, need_space

DIRECTORY = os.path.join(HOME, "e2e")
RUNNING = "running"
"""In it while tests run: what they left in the cluster is ours when it is still there."""
KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")
END_SECONDS = 90
"""How long tests that are interrupted may clean up."""
LOCK_SECONDS = 240
"""Longer than all that is done in the end of tests whose controller has gone."""
KUBECTL_SECONDS = 60
SECONDS_BETWEEN_WORDS = 5.0
"""How often the controller is told something, which shows whether it is still there."""
LONGEST_WORDS = 1 << 20
"""Bytes of what a test says of its end; each time it names all that have failed."""
LONGEST_NAME = 300
"""Characters of a test's name that are told."""
LOG = 64 << 20
"""Bytes of the end of the log that go to the controller."""
CUT = b"(what was before this is cut off)\n"
BUSY = "other tests are under way on this machine"
TODO_BUSY = "wait for them to end"
TODO_BEGIN = "see what it says, and whether this version of Kubernetes has tests of this kind"


class _GoneError(Exception):
    """The controller is gone."""


class _Told:
    """What the controller has been told of tests that run."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.ended = 0
        self.failed = 0
        self.last = ""

    def hear(self, content: bytes) -> None:
        """Take in what a test that has ended says of that (``ProgressReporter`` of test/e2e)."""
        try:
            word, _, name = str(json.loads(content.decode("utf-8", "replace"))["msg"]).partition(" ")
        except (ValueError, KeyError, TypeError):
            return
        if word in ("PASSED", "FAILED"):
            self.ended += 1
            self.failed += word == "FAILED"
            self.last = name[:LONGEST_NAME]

    def tell(self) -> None:
        """Say how far they are.

        Raises:
            _GoneError: Nobody listens.
        """
        failed = ", {} failed".format(self.failed) if self.failed else ""
        words = "{} of {}{}".format(self.ended, self.total, failed)
        line = {"progress": "{}: {}".format(words, self.last) if self.last else words}  # type: Json
        line.update(done=self.ended, total=self.total)
        try:
            sys.stderr.write(json.dumps(line) + "\n")
            sys.stderr.flush()
        except OSError:
            raise _GoneError from None


class _Server(http.server.HTTPServer):
    """What tests ask here: a page of the internet, where there is none; and whom they tell how far they are."""

    address_family = socket.AF_INET6

    def __init__(self, told: _Told) -> None:
        super().__init__(("::1", 0), _Answer)
        self.told = told
        self.path = "/" + binascii.hexlify(os.urandom(16)).decode()  # known to the tests alone


class _Answer(http.server.BaseHTTPRequestHandler):
    timeout = 10  # for who connects and says nothing

    def do_GET(self) -> None:
        self._answer(b"the internet, as far as there is one in a lab\n")

    def do_POST(self) -> None:
        server: Any = self.server
        length = self.headers.get("Content-Length", "")
        if self.path == server.path and length.isdigit() and int(length) <= LONGEST_WORDS:
            server.told.hear(self.rfile.read(int(length)))
        self._answer(b"")

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def serving(told: _Told) -> Iterator[Tuple[str, str]]:
    """Answer tests, as long as the block runs.

    Yields:
        The address, and that at which they say how far they are.
    """
    server = _Server(told)
    thread = threading.Thread(target=server.serve_forever)
    thread.daemon = True
    thread.start()
    try:
        address = "http://[::1]:{}".format(server.server_address[1])
        yield address, address + server.path
    finally:
        server.shutdown()
        server.server_close()


def provide(programs: Sequence[Json]) -> None:
    """Have the programs, each in a directory that is called after its content; others go."""
    wanted = [os.path.dirname(program["path"]) for program in programs]
    for name in os.listdir(DIRECTORY):
        path = os.path.join(DIRECTORY, name)
        if os.path.isdir(path) and path not in wanted:
            shutil.rmtree(path)
    lacking = [
        program
        for program in programs
        if not os.path.exists(program["path"]) or sha256_of(program["path"]) != program["sha256"]
    ]
    need_space(lacking)
    for program in lacking:
        partial = partial_path(program["path"])
        size = program["size"]

        def tell(_: str, count: int, size: int = size) -> None:
            progress("{:.0f} of {:.0f} MB fetched".format(count / 1e6, size / 1e6))

        try:
            download(program, partial, tell)
            os.replace(partial, program["path"])
        finally:
            if os.path.exists(partial):
                os.unlink(partial)


def run(
    words: Sequence[str], environment: Dict[str, str], log: IO[bytes], lock: IO[str], told: _Told, until: float
) -> bool:
    """Run tests, and say how far they are as they go on.

    They hold the lock too: whoever comes next waits for them also when nobody is left who looks after them.

    Returns:
        Whether they ended by themselves; else their time was up, and they were interrupted.

    Raises:
        _GoneError: The controller is gone; they were interrupted.
    """
    process = subprocess.Popen(
        list(words),
        env=environment,
        cwd=DIRECTORY,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=(lock.fileno(),),
    )
    try:
        while True:
            try:
                process.wait(timeout=SECONDS_BETWEEN_WORDS)
                return True
            except subprocess.TimeoutExpired:
                told.tell()
                if time.monotonic() > until:
                    _interrupt(process)
                    return False
    except BaseException:
        _interrupt(process)
        raise


def _interrupt(process: "subprocess.Popen[bytes]") -> None:
    """End tests. By SIGINT they clean up after themselves."""
    for number, seconds in ((signal.SIGINT, END_SECONDS), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            continue


def kubectl(*words: str) -> str:
    """What kubectl says.

    Raises:
        Failed: It fails, or does not end.
    """
    return run_command([*KUBECTL, *words], timeout=KUBECTL_SECONDS, todo="`kubev6 verify` says what is wrong")


def refuse_others() -> None:
    """Refuse a cluster in which somebody else's tests are under way, as both would fail each other's.

    What an earlier run of ours has left, which was not let to end, is removed.
    """
    if os.path.exists(os.path.join(DIRECTORY, RUNNING)):
        remove_namespaces()
        return
    names = kubectl("get", "namespaces", "-l", "e2e-run", "-o", "name").split()
    if names:
        seen = "the cluster has namespaces of other tests of upstream's: {}".format(", ".join(names[:3]))
        raise Failed(seen, "let those end; or remove what they left: kubectl delete namespaces -l e2e-run")


def remove_namespaces() -> None:
    """Remove from the cluster what tests have left there that were not let to end."""
    kubectl("delete", "namespaces", "-l", "e2e-run", "--ignore-not-found", "--wait=false")


def last_line(path: str) -> str:
    """The last line of a file with anything on it."""
    last = ""
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            last = line.strip() or last
    return last[:LONGEST_NAME]


def log_end(path: str) -> bytes:
    """The log, or its end where it is longer than :data:`LOG`."""
    size = os.path.getsize(path)
    with open(path, "rb") as written:
        written.seek(max(0, size - LOG))
        return (CUT if size > LOG else b"") + written.read()


def judge(
    programs: List[Json],
    passes: List[List[str]],
    environment: Dict[str, str],
    repositories: str,
    own_networks: List[str],
    stands_in: bool,
    chosen: List[str],
    repeat: int,
    seconds: int,
) -> Json:
    """Run tests.

    Args:
        programs: What is run, and where it comes from: ``path``, ``url``, ``sha256``, ``size``, ``certificate``.
        passes: The words of each command, one after the other.
        environment: Variables for them.
        repositories: The content of their list of registries.
        own_networks: Networks and names that are asked as they are, whatever proxy this machine has.
        stands_in: Whether something here stands in for the internet.
        chosen: The names of the tests.
        repeat: How often each is run.
        seconds: How long each command may take.

    Returns:
        ``tests``: see :func:`tasks.node_agent.junit.reported`; ``log``: what they printed, gzipped, in Base64;
        ``late``: whether their time was up before they had ended.

    Raises:
        Failed: They could not be begun.
    """
    make_directories(DIRECTORY, 0o700)
    with open(os.path.join(DIRECTORY, "lock"), "w") as lock:
        try:
            hold(lock, LOCK_SECONDS, "waits for other tests to end", BUSY)
        except Failed as error:
            raise Failed(error.seen, TODO_BUSY) from None
        provide(programs)
        reports = os.path.join(DIRECTORY, "reports")
        shutil.rmtree(reports, ignore_errors=True)
        os.mkdir(reports)
        write_atomically(os.path.join(DIRECTORY, "repositories.yaml"), repositories.encode(), 0o600)
        refuse_others()
        running = os.path.join(DIRECTORY, RUNNING)
        write_atomically(running, b"", 0o600)
        told, path, late = _Told(len(chosen) * repeat), os.path.join(DIRECTORY, "log"), False
        variables = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        variables.update(environment, NO_PROXY=",".join(["::1", "127.0.0.1", "localhost"] + own_networks))
        try:
            with open(path, "wb") as log, serving(told) as (address, progress_at):
                if stands_in:
                    variables["HTTP_PROXY"] = address
                for number, words in enumerate(passes, 1):
                    place = os.path.join(reports, str(number))
                    os.mkdir(place)
                    until = time.monotonic() + seconds
                    late = not run(words + ["--progress-report-url=" + progress_at], variables, log, lock, told, until)
                    if late:
                        break
                    if not os.listdir(place):
                        raise Failed("the tests could not be begun: {}".format(last_line(path)), TODO_BEGIN)
        finally:
            try:
                remove_namespaces()
                os.unlink(running)
            except Failed:
                pass  # the next run does it
        with open(path, encoding="utf-8", errors="replace") as lines:
            reasons = reasons_in(lines)
        tests: List[Json] = []
        for name in sorted(os.listdir(reports)):
            tests += reported(os.path.join(reports, name), chosen, reasons)
        return {"tests": tests, "log": base64.b64encode(gzip.compress(log_end(path))).decode(), "late": late}


def main(**order: Any) -> None:
    """Print what :func:`judge` returns as JSON, or what was ``seen`` that kept it from that."""
    prepare()
    signal.signal(signal.SIGTERM, _ended)  # of timeout(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else what is started ignores it where this does
    try:
        answer = judge(**order)
    except Failed as error:
        answer = {"seen": error.seen, "todo": error.todo, "detail": error.detail, "transient": error.transient}
    print(json.dumps(answer))


def _ended(*_: Any) -> None:
    raise SystemExit(1)


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
