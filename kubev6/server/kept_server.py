"""The Prefect server that is kept, with the pool, the deployments and the worker that make deployments run.

Its database and logs are in the data directory, the same as those of the servers that live for one run. What was
started is written down with its process id and start time, so that it is found again, and nothing else is ever ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import yaml
from pydantic import BaseModel

from configs.errors import KubeV6Error
from configs.schema.reading import checked, read_yaml
from kubev6.server import deployment_parameters, environment, login, lost_runs, pages, worker_runs
from kubev6.server.api import ask, wants_login
from kubev6.server.temporary_server import answers
from tasks import bounded
from tasks.exclusive import exclusive
from tasks.paths import cache_dir, data_dir, working_dir
from tasks.process import Process, start_time
from tasks.replace import write_whole
from tasks.steps import step

PORT = 4266
"""Where pyproject.toml says that the `prefect` command finds it."""
DEPLOYMENTS = Path(__file__).with_name("prefect.yaml").resolve()
"""In a checkout a link to the one there."""
POOL = "kubev6"
JOB_TEMPLATE = {
    "job_configuration": {"stream_output": True},  # Prefect takes none that is empty
    "variables": {"type": "object", "properties": {}, "additionalProperties": False},
}
"""Of the pool: who asks for a run gives its parameters, and no command, environment or directory of its own."""
START_SECONDS = 90.0
STOP_SECONDS = 15.0
SECONDS_BETWEEN_LOOKS = 10.0
SPACE = 200 * 10**6
"""Bytes of free disk without which no server is started: its database would be cut off in the middle."""
MEND = "make room or mend the rights there, or name another directory by KUBEV6_DATA"


@dataclass(frozen=True, slots=True)
class Kept:
    """What `kubev6 server up` has started.

    Attributes:
        port: Where the server listens, on this machine only.
        server: The server's process.
        worker: The worker's process; None when it was not started.
    """

    port: int
    server: Process
    worker: Process | None

    @property
    def url(self) -> str:
        """Its API."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def page(self) -> str:
        """Its page for people."""
        return f"http://127.0.0.1:{self.port}"


def read() -> Kept | None:
    """What was started last, whether or not it still runs; None when nothing was."""
    return bounded.kept(_record(), Kept, "a server that runs is not known, and ended by its process id")


def running() -> Kept | None:
    """The kept server, if it is there and well."""
    kept = read()
    return kept if kept and kept.server.alive and answers(kept.url) else None


def check_version(kept: Kept) -> None:
    """Refuse a server of another version of Prefect than ours.

    Raises:
        KubeV6Error: It is another one.
    """
    theirs = ask(kept.url, "/admin/version")
    if theirs != version("prefect"):
        raise KubeV6Error(
            f"the kept server at {kept.page} is Prefect {theirs}, and installed here is {version('prefect')}",
            todo="run `kubev6 server down` and `kubev6 server up`",
        )


def use() -> IO[str]:
    """Say that this process uses the server: `kubev6 server down` does not pull it away.

    Returns:
        A file that says so for as long as it is open.
    """
    file = _users().open("a")
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def up(port: int) -> Kept:
    """Start the server, make pool and deployments what prefect.yaml says, and start a worker; whatever is there stays.

    Args:
        port: Where the server is to listen.

    Raises:
        KubeV6Error: The port is taken, the data directory cannot be written, or something does not start; its log is
            named.
    """
    with _data_directory(), exclusive(data_dir() / "server.lock"):
        kept = running()
        if kept is not None and not wants_login(kept.url):
            with _unused(kept):
                _end_all(kept)
            kept = None
        if kept is None:
            _need_space()
            kept = _start_server(port, read())
        elif kept.port != port:
            seen = f"the server runs at port {kept.port} already"
            raise KubeV6Error(seen, todo=f"run `kubev6 server down` first, or leave --port {port} away")
        check_version(kept)
        with step("server", "deployments") as shown:
            parameters = deployment_parameters.saved(kept.url)
            pool = {"base_job_template": JOB_TEMPLATE}
            if ask(kept.url, f"/work_pools/{POOL}") is None:
                ask(kept.url, "/work_pools/", {"name": POOL, "type": "process", **pool})
            else:  # which may have a limit that a person gave it
                ask(kept.url, f"/work_pools/{POOL}", pool, method="PATCH")
            _deploy(kept)
            wanted = {each.name: each.parameters for each in _wanted()}
            deployment_parameters.give_back(kept.url, parameters, wanted)
            shown.ended_as("as in prefect.yaml")
        lost_runs.end_all(kept.url)
        if kept.worker is None or not kept.worker.alive:
            kept = _start_worker(kept)
        return kept


def down() -> bool:
    """End what the worker runs, the worker and the server. What they did stays in the database.

    Returns:
        Whether any of them ran.

    Raises:
        KubeV6Error: Another process here uses the server.
    """
    with _data_directory(), _unused():
        return end()


def end() -> bool:
    """The same, whoever uses the server: a local run does what is left of it without one.

    Returns:
        Whether any of them ran.
    """
    with _data_directory(), exclusive(data_dir() / "server.lock"):
        kept = read()
        return kept is not None and _end_all(kept)


@dataclass(frozen=True, slots=True)
class Status:
    """How it stands with the kept server.

    Attributes:
        lines: For a person.
        well: Whether runs can be asked for.
    """

    lines: tuple[str, ...]
    well: bool


def status() -> Status:
    """What runs, and what does not."""
    kept = read()
    if kept is None:
        return Status(("no server is kept; `kubev6 server up` starts one",), False)
    mend = "; `kubev6 server up` mends that"
    answering = kept.server.alive and answers(kept.url)
    open_to_all = answering and not wants_login(kept.url)
    server = "answers" if answering else "does not answer" if kept.server.alive else "is gone"
    server += (
        f", and obeys everybody here, as an older kubev6 started it{mend}" if open_to_all else mend * (not answering)
    )
    lines = [f"server  {kept.page}  process {kept.server.pid}  {server}; log {log_of('server')}"]
    outside = _outside_the_pool(kept) if answering else ()
    if answering:
        pool = f"is there, without {', '.join(outside)}{mend}" if outside else "is there"
        lines.append(f"pool    {POOL}  {pool}")
    working = kept.worker is not None and kept.worker.alive
    worker = f"process {kept.worker.pid}  {'runs' if working else 'is gone'}" if kept.worker else "was not started"
    lines.append(f"worker  {worker}{mend * (not working)}; log {log_of('worker')}")
    runs = len({run for _, run in worker_runs.processes(kept.url)})
    lost = len(lost_runs.find(kept.url)) if answering else 0
    lines.append(f"runs    {runs} under way{f', and {lost} that nobody will end{mend}' if lost else ''}")
    return Status(tuple(lines), answering and not open_to_all and not outside and working and not lost)


def watch(kept: Kept) -> None:
    """Come back when the server or the worker is gone, and have the runs ended meanwhile whose process is gone."""
    look = 0.0
    while kept.server.alive and kept.worker is not None and kept.worker.alive:
        if time.monotonic() > look:
            with suppress(KubeV6Error):  # the server has much to do
                lost_runs.end_all(kept.url)
            look = time.monotonic() + SECONDS_BETWEEN_LOOKS
        time.sleep(1)


def how_to_use(kept: Kept) -> str:
    """What a person can do next, in any directory."""
    # pipx puts our own program alone on the PATH, and not those of the packages that we use.
    prefect = "prefect" if shutil.which("prefect") else Path(sys.executable).with_name("prefect")
    # Another server than that of the usual port is not for everybody who works in the checkout.
    found = kept.port == PORT and login.give_to_checkout()
    run = f"  {prefect} deployment run kubev6/build-and-deploy --watch"
    steps = [*[f"  . {shlex.quote(str(login.file()))}"] * (not found), run]
    page = f"Prefect is at {kept.page}; `kubev6 server login` prints what its page asks for."
    return "\n".join([f"{page} Next:", "", *steps, ""])


def password() -> str:
    """What the server's page asks for.

    Raises:
        KubeV6Error: No server is kept, or it asks for nothing.
    """
    kept = running()
    if kept is None or not (found := login.of(kept.url)):
        raise KubeV6Error("no server that asks for a login is kept", todo="run `kubev6 server up`")
    return found


def log_of(name: str) -> Path:
    """The log of ``server`` or ``worker``."""
    return data_dir() / "logs" / f"prefect-{name}.log"


def _start_server(port: int, before: Kept | None) -> Kept:
    with step("server", "start") as shown:
        if before is not None:
            _end(before.server)  # alive perhaps, but it does not answer
        if taken := _taken(port):
            todo = "choose another with --port"
            raise KubeV6Error(f"port {port} of this machine is taken{taken}", todo=todo)
        worker = before.worker if before is not None and before.worker is not None and before.worker.alive else None
        known = before is not None and before.port == port and login.of(before.url)
        if worker is not None and before is not None and not known:
            worker_runs.end_all(before.url, worker.pid)
            _end(worker)
            worker = None
        api = f"http://127.0.0.1:{port}/api"
        if not known:
            login.write(api)
        words = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
        own = {**environment.protected(login.of(api), port), "PREFECT_UI_STATIC_DIRECTORY": str(pages.directory())}
        process = _begin("server", words, {**_environment(api), **own})
        kept = Kept(port, process, worker)
        write_whole(_record(), json.dumps(asdict(kept)))
        _wait(lambda: answers(kept.url), process, "server")
        pages.close()
        shown.ended_as(kept.page)
        return kept


def _start_worker(kept: Kept) -> Kept:
    with step("worker", "start") as shown:
        name = f"kubev6-{socket.gethostname()}"
        words = ["worker", "start", "--pool", POOL, "--type", "process", "--name", name, "--install-policy", "never"]
        process = _begin("worker", words, _environment(kept.url))
        kept = replace(kept, worker=process)
        write_whole(_record(), json.dumps(asdict(kept)))
        _wait(lambda: "started!" in log_of("worker").read_text(errors="replace"), process, "worker")
        shown.ended_as(name)
        return kept


def _begin(name: str, words: list[str], variables: dict[str, str]) -> Process:
    log_of(name).parent.mkdir(parents=True, exist_ok=True)
    log_of(name).unlink(missing_ok=True)
    # The worker's has the logs of its runs.
    with os.fdopen(os.open(log_of(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "--no-prompt", *words],
            cwd=working_dir(),
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Process(process.pid, start_time(process.pid))


def _prefect(kept: Kept, *words: str) -> None:
    """Run a command of Prefect's own against the server."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *words],
        cwd=working_dir(),
        env=_environment(kept.url),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stdout + done.stderr
        seen = f"`prefect {' '.join(words[:2])}` failed: {last_words(said) or f'status {done.returncode}'}"
        raise KubeV6Error(seen, todo=f"mend {DEPLOYMENTS}" if words[0] == "deploy" else "", detail=said)


def last_words(said: str) -> str:
    """What a command of Prefect's ended with, for a person: without where pydantic has more to say of it."""
    lines = [line.strip() for line in said.splitlines()]
    told = [line for line in lines if line and not line.startswith("For further information visit")]
    return told[-1].removeprefix("Value error, ").partition(" [type=")[0] if told else ""


def _environment(api: str) -> dict[str, str]:
    quiet = {"NO_COLOR": "1", "COLUMNS": "200", "PREFECT_LOGGING_ROOT_LEVEL": "WARNING"}
    # By their whole paths: what is started works in another directory than this process.
    kept_in = {"KUBEV6_DATA": str(data_dir()), "KUBEV6_CACHE": str(cache_dir())}
    ours = {**os.environ, **quiet, **kept_in, login.API: api, login.LOGIN: login.of(api)}
    ours["PREFECT_WORKER_QUERY_SECONDS"] = os.environ.get("PREFECT_WORKER_QUERY_SECONDS", "2")
    ours["PREFECT_LOGGING_SERVER_LEVEL"] = ours["PREFECT_SERVER_LOGGING_LEVEL"] = "WARNING"
    return ours


def _wait(ready: Callable[[], bool], process: Process, name: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if not process.alive or time.monotonic() > deadline:
            lines = [line for line in log_of(name).read_text(errors="replace").splitlines() if line.strip()]
            _end(process)
            last = lines[-1].strip() if lines else "it said nothing"
            raise KubeV6Error(f"Prefect's {name} did not start: {last}", todo=f"see {log_of(name)}")
        time.sleep(0.1)


def _end_all(kept: Kept) -> bool:
    """End it all, and say whether there was anything to end."""
    found = [process for process in (kept.worker, kept.server) if process and process.alive]
    runs = worker_runs.end_all(kept.url, kept.worker.pid if kept.worker else 0)
    for process in found:
        _end(process)
    _record().unlink(missing_ok=True)
    login.remove()
    return bool(found or runs)


def _end(process: Process) -> None:
    """End a process and what it started, which is its session's."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not process.alive:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while process.alive and time.monotonic() < deadline:
            time.sleep(0.05)


def _taken(port: int) -> str:
    """Why a port cannot be listened at; empty when it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            other = answers(f"http://127.0.0.1:{port}/api")
            return " by a Prefect server that is not this user's kept one" if other else f" ({error.strerror})"
    return ""


class _Deployment(BaseModel):
    name: str
    parameters: dict[str, Any]


class _PrefectFile(BaseModel):
    """What of prefect.yaml is asked here."""

    deployments: tuple[_Deployment, ...]


def _outside_the_pool(kept: Kept) -> tuple[str, ...]:
    """The deployments of prefect.yaml whose runs no worker of the pool would get."""
    found = {each["name"]: each["work_pool_name"] for each in ask(kept.url, "/deployments/filter", {})}
    return tuple(each.name for each in _wanted() if found.get(each.name) != POOL)


def _wanted() -> tuple[_Deployment, ...]:
    return checked(DEPLOYMENTS, _PrefectFile, read_yaml(DEPLOYMENTS)).deployments


def _deploy(kept: Kept) -> None:
    """Make the deployments what prefect.yaml says.

    A schedule that is new begins switched off: nobody has said yet what it is to run for. One that was on for a moment
    would have runs to come, which the server plans every few seconds.
    """
    known = {
        (deployment["name"], schedule["slug"])
        for deployment in ask(kept.url, "/deployments/filter", {})
        for schedule in deployment["schedules"]
    }
    described: Any = read_yaml(DEPLOYMENTS)
    for deployment in described["deployments"]:
        for schedule in deployment.get("schedules", ()):
            if (deployment["name"], schedule["slug"]) not in known:
                schedule["active"] = False
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "prefect.yaml")
        file.write_text(yaml.safe_dump(described))
        _prefect(kept, "deploy", "--all", "--prefect-file", str(file))


@contextmanager
def _unused(idle: Kept | None = None) -> Iterator[None]:
    """While nobody else's run uses the server, nor its own worker's where that is to be ``idle``.

    Raises:
        KubeV6Error: One does.
    """
    with _users().open("a") as users:
        with suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if idle is None or not any(worker_runs.processes(idle.url)):
                yield
                return
        raise KubeV6Error(
            "another kubev6 runs on this machine and uses the kept server", todo="let it end, or stop it by Ctrl-C"
        )


def _need_space() -> None:
    free = shutil.disk_usage(data_dir()).free
    if free < SPACE:
        seen = f"{data_dir()} has {free / 1e6:.0f} MB free, and a Prefect server needs {SPACE / 1e6:.0f} MB"
        raise KubeV6Error(seen, todo=MEND)


@contextmanager
def _data_directory() -> Iterator[None]:
    """The data directory, which can be written."""
    directory = data_dir()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise KubeV6Error(f"{error.filename or directory}: cannot be written: {error.strerror}", todo=MEND) from None


def _record() -> Path:
    return data_dir() / "server.json"


def _users() -> Path:
    return data_dir() / "server.in-use"
