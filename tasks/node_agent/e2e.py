"""A program: runs upstream's tests on the control plane, and says what came of each.

They run here as this machine reaches every address of the cluster. They end with their controller: when that is gone,
or their time is up, they are interrupted, and what they have made in the cluster is removed.
"""

import base64
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
from typing import Any, Dict, Iterator, List, Sequence

from tasks.node_agent.files import make_directories, partial_path, sha256_of, write_atomically
from tasks.node_agent.junit import reasons_in, reported
from tasks.node_agent.lock import hold
from tasks.node_agent.protocol import Failed, Json, progress
from tasks.node_agent.record import HOME
from tasks.node_agent.resources.binary import download, need_space

DIRECTORY = os.path.join(HOME, "e2e")
KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")
LOCK_SECONDS = 60
END_SECONDS = 90
"""How long tests that are interrupted may clean up."""
SECONDS_BETWEEN_WORDS = 5.0
"""How often the controller is told something, which shows whether it is still there."""
LONGEST_WORDS = 1 << 20
"""Bytes of what a test says of its end; each time it names all that have failed."""
LOG = 64 << 20
"""Bytes of the end of the log that go to the controller."""


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
            self.last = name

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


class _Answer(http.server.BaseHTTPRequestHandler):
    timeout = 10  # for who connects and says nothing

    def do_GET(self) -> None:
        self._answer(b"the internet, as far as there is one in a lab\n")

    def do_POST(self) -> None:
        server: Any = self.server
        length = self.headers.get("Content-Length", "")
        if length.isdigit() and int(length) <= LONGEST_WORDS:
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
def serving(told: _Told) -> Iterator[str]:
    """Answer tests, as long as the block runs.

    Yields:
        The address.
    """
    server = _Server(told)
    thread = threading.Thread(target=server.serve_forever)
    thread.daemon = True
    thread.start()
    try:
        yield "http://[::1]:{}".format(server.server_address[1])
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


def run(words: Sequence[str], environment: Dict[str, str], log: Any, told: _Told, until: float) -> int:
    """Run tests, and say how far they are as they go on.

    Returns:
        Their exit status.

    Raises:
        _GoneError: The controller is gone; they were interrupted.
        Failed: Their time was up; likewise.
    """
    process = subprocess.Popen(
        list(words),
        env=dict(os.environ, **environment),
        cwd=DIRECTORY,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        while True:
            try:
                return process.wait(SECONDS_BETWEEN_WORDS)
            except subprocess.TimeoutExpired:
                told.tell()
                if time.monotonic() > until:
                    raise Failed("the tests did not end in their time: {}".format(told.last)) from None
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
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue


def remove_namespaces() -> None:
    """Remove from the cluster what tests have left there that were not let to end."""
    words = ["delete", "namespaces", "-l", "e2e-run", "--ignore-not-found", "--wait=false"]
    subprocess.call([*KUBECTL, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)


def main(
    programs: List[Json],
    passes: List[List[str]],
    environment: Dict[str, str],
    repositories: str,
    stands_in_but_for: Any,
    chosen: List[str],
    repeat: int,
    seconds: int,
) -> Json:
    """Run them.

    Args:
        programs: What is run, and where it comes from: ``path``, ``url``, ``sha256``, ``size``, ``certificate``.
        passes: The words of each command, one after the other.
        environment: Variables for them.
        repositories: The content of their list of registries.
        stands_in_but_for: What is asked as it is while something stands in for the internet; None where nothing does.
        chosen: The names of the tests.
        repeat: How often each is run.
        seconds: How long they may take.

    Returns:
        ``tests``: see :func:`tasks.node_agent.junit.reported`; ``log``: all that they printed, gzipped, in Base64.
    """
    make_directories(DIRECTORY, 0o700)
    with open(os.path.join(DIRECTORY, "lock"), "w") as lock:
        hold(lock, LOCK_SECONDS, "waits for other tests to end", "other tests are under way on this machine")
        provide(programs)
        reports = os.path.join(DIRECTORY, "reports")
        shutil.rmtree(reports, ignore_errors=True)
        os.mkdir(reports)
        write_atomically(os.path.join(DIRECTORY, "repositories.yaml"), repositories.encode(), 0o600)
        remove_namespaces()
        until, told = time.monotonic() + seconds, _Told(len(chosen) * repeat)
        path = os.path.join(DIRECTORY, "log")
        try:
            with open(path, "wb") as log, serving(told) as address:
                if stands_in_but_for is not None:
                    real = ",".join(["::1", "127.0.0.1", "localhost"] + list(stands_in_but_for))
                    environment = dict(environment, HTTP_PROXY=address, NO_PROXY=real)
                for number, words in enumerate(passes, 1):
                    os.mkdir(os.path.join(reports, str(number)))
                    run(words + ["--progress-report-url=" + address], environment, log, told, until)
        except BaseException:
            remove_namespaces()
            raise
        with open(path, encoding="utf-8", errors="replace") as lines:
            reasons = reasons_in(lines)
        tests: List[Json] = []
        for number in range(1, len(passes) + 1):
            tests += reported(os.path.join(reports, str(number)), chosen, reasons)
        with open(path, "rb") as written:
            written.seek(max(0, os.path.getsize(path) - LOG))
            return {"tests": tests, "log": base64.b64encode(gzip.compress(written.read())).decode()}


if "PAYLOAD" in globals():
    print(json.dumps(main(**PAYLOAD)))  # type: ignore[name-defined]
