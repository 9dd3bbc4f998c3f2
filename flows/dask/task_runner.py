"""Where the work on machines runs: in threads of this process, or on a Dask cluster.

Only that work goes to Dask, which is what grows with the cluster. What is done once for all is done here: a lab's
machines, the release, the proof.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from functools import partial
from typing import Any

from prefect import Task
from prefect.futures import PrefectFuture, PrefectFutureList
from prefect.task_runners import TaskRunner

from configs.errors import KubeV6Error
from flows.dask import probe as dask_probe
from flows.futures import A_THREAD_EACH
from flows.gates import Meeting, gates_here
from tasks import changes
from tasks.paths import data_dir

try:
    from distributed import Client, LocalCluster, Lock, Variable
    from prefect_dask.task_runners import DaskTaskRunner

    from flows.dask import worker as dask_worker
except ModuleNotFoundError as error:
    raise KubeV6Error(
        f"--task-runner: Dask is not installed here ({error.name} is missing)", todo="pip install 'kubev6[dask]'"
    ) from None

SECONDS_TO_ANSWER = 5.0
SECONDS_TO_END = 3.0
WORKERS, THREADS = 2, 1
"""Of a cluster of our own. Work on machines waits most of the time, and gives its thread back meanwhile."""

log = logging.getLogger("kubev6.flows")


def on_dask(named: str) -> OnDask:
    """The task runner for `dask` or for a scheduler's address, whose workers have been looked at.

    Args:
        named: What the person wrote.

    Raises:
        KubeV6Error: Nobody answers there, there are no workers, or one of them is not like this process.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it has to say of an end in a hurry is no news
    address = "" if named == "dask" else named
    if address:
        with _client(address) as client:
            _compare(client, address)
    return OnDask(address)


@contextmanager
def _client(address: str) -> Iterator[Client]:
    try:
        client = Client(address, timeout=SECONDS_TO_ANSWER, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise KubeV6Error(
            f"{address}: no Dask scheduler answers there within {SECONDS_TO_ANSWER:g} s ({type(error).__name__})",
            todo="start it with `dask scheduler`, or run without --task-runner",
        ) from None
    with client:
        yield client


def _compare(client: Client, address: str) -> None:
    """Refuse workers that would do something else than this process."""
    file = data_dir() / f".seen-by-dask-{uuid.uuid4().hex}"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        try:
            found = client.run(dask_probe.likeness, file.name, on_error="return")
        finally:
            file.unlink()
        file.touch()
        here = dask_probe.likeness(file.name)
    except OSError as error:
        raise KubeV6Error(f"{error.filename or file}: cannot be written: {error.strerror}") from None
    finally:
        file.unlink(missing_ok=True)
    if not found:
        todo = f"start some: dask worker {address}"
        raise KubeV6Error(f"{address}: the Dask scheduler there has no workers", todo=todo)
    for worker, there in found.items():
        if not isinstance(there, dict):
            raise KubeV6Error(
                f"Dask worker {worker} cannot run kubev6: {type(there).__name__}: {there}",
                todo="install kubev6[dask] for its Python, the same as here",
            )
        for what, mine in here.items():
            if there[what] != mine:
                raise KubeV6Error(
                    f"Dask worker {worker} differs from this process: {what} is {there[what]} there and {mine} here",
                    todo="let both have the same kubev6, packages and KUBEV6_DATA (a shared directory)",
                )


class OnDask(TaskRunner[PrefectFuture[Any]]):
    """Runs what is begun for each machine on a Dask cluster, and the rest in threads here.

    Args:
        address: Of the scheduler; empty for a cluster of processes for this run alone.
    """

    def __init__(self, address: str = "") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.address = address
        self._threads = A_THREAD_EACH.duplicate()
        quiet = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}  # the screen is the flow's
        workers = {"n_workers": WORKERS, "threads_per_worker": THREADS, "env": quiet}
        own = {"cluster_class": LocalCluster, "cluster_kwargs": {**workers, "dashboard_address": None}}
        self._dask = DaskTaskRunner(**({"address": address} if address else own))
        self._run = f"kubev6-{uuid.uuid4().hex}"
        self._context: Context = copy_context()
        self._attached = False
        self._lock: Any = None
        self._publisher = ThreadPoolExecutor(1, thread_name_prefix="gates")

    def duplicate(self) -> OnDask:
        """Another one with the same settings."""
        return OnDask(self.address)

    def __reduce__(self) -> tuple[Any, ...]:
        """What goes to the workers, as part of Prefect's context, is only what it was made of."""
        return OnDask, (self.address,)

    def __enter__(self) -> OnDask:
        super().__enter__()
        self._threads.__enter__()
        self._dask.__enter__()
        return self

    def __exit__(self, *how: Any) -> None:
        try:
            if self._attached:
                self._detach()
        finally:
            self._publisher.shutdown(wait=False, cancel_futures=True)
            self._dask.__exit__(*how)
            self._threads.__exit__(*how)
            super().__exit__(*how)

    def submit(self, task: Any, parameters: Any, wait_for: Any = None, dependencies: Any = None) -> Any:
        """Begin what is done once, in a thread."""
        return self._threads.submit(task, parameters, wait_for, dependencies)

    def map(self, task: Task[Any, Any], parameters: Any, wait_for: Any = None) -> PrefectFutureList[Any]:
        """Begin what is done for each machine, on the cluster."""
        self._context = copy_context()
        self._attach()
        there = task.with_options()
        there.fn = dask_worker.Attended(task.fn.__module__, task.fn.__qualname__, self._run)
        return self._dask.map(there, parameters, wait_for)

    def _attach(self) -> None:
        if self._attached:
            return
        client = self._dask.client
        if not self.address:
            client.run(dask_worker.leave_ctrl_c_to_the_flow)
        self._lock = Lock("kubev6", scheduler_rpc=client.scheduler, loop=client.loop)
        if not self._lock.acquire(timeout=SECONDS_TO_ANSWER):
            raise KubeV6Error(
                f"{self.address}: another run of kubev6 uses this Dask cluster",
                todo="run this again when that has ended",
                transient=True,
            )
        self._attached = True
        client.subscribe_topic(self._run, self._heard)
        client.register_plugin(dask_worker.Attendance(self._run))
        gates = gates_here()
        for name in dask_worker.GATES if gates else ():
            told = Variable(dask_worker.variable(self._run, name), client=client)
            getattr(gates, name).tell(partial(self._publish, told))

    def _publish(self, told: Any, why_closed: str) -> None:
        with suppress(RuntimeError):  # the run has ended, and nobody waits
            self._publisher.submit(told.set, why_closed)

    def _detach(self) -> None:
        client = self._dask.client
        with suppress(Exception):  # the cluster may be gone, and the run has its own end to tell of
            client.sync(client._unregister_worker_plugin, name=dask_worker.NAME, callback_timeout=SECONDS_TO_END)
        with suppress(Exception):
            for name in dask_worker.GATES:
                Variable(dask_worker.variable(self._run, name), client=client).delete()
            self._lock.release()

    def _heard(self, event: tuple[float, dict[str, Any]]) -> None:
        """A word from a worker. Called one at a time, from the thread that talks to the scheduler."""
        self._context.copy().run(_take, event[1])


def _take(word: dict[str, Any]) -> None:
    if "record" in word:
        record = logging.makeLogRecord(word["record"])
        if "change" in word["record"]:
            changes.add(word["record"]["change"])
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
        return
    gate, node = getattr(gates_here(), word["gate"]), word.get("node", "")
    if word["verb"] == "open":
        gate.open()
    elif isinstance(gate, Meeting):
        (gate.must_not_be if word["verb"] == "must_not_be" else gate.node_ended)(node)
