"""Where the tasks of a flow run: in threads of its process, or wherever a task runner of Prefect's takes them."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
from typing import Any, cast

from prefect import Task
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from configs.errors import KubeV6Error

AnyTaskRunner = TaskRunner[PrefectFuture[Any]]


class Threads(ThreadPoolTaskRunner[Any]):
    """Tasks in threads. Their arguments hold nothing that other tasks are to come to, which `wait_for` alone says.

    Prefect would walk three times through all that a cluster consists of to look for it, for every task run.
    """

    def submit(self, task: Task[Any, Any], parameters: dict[str, Any], *rest: Any, **more: Any) -> Any:
        """Begin a task run when what it waits for has ended."""
        return super().submit(task, {name: quote(value) for name, value in parameters.items()}, *rest, **more)


THREADS = cast(AnyTaskRunner, Threads(max_workers=sys.maxsize))
"""Work on machines waits for them most of the time."""
QUIET = "ignore:resource_tracker"
WORKERS, THREADS_OF_A_WORKER = 2, 8
"""Of a Dask cluster that is started for one run."""


def task_runner(named: str) -> AnyTaskRunner:
    """A task runner of Prefect's.

    Args:
        named: ``threads``, ``dask`` or ``ray`` for worker processes of this run alone, or the address of a Dask
            scheduler (``tcp://`` or ``tls://``) or a Ray cluster (``ray://``).

    Raises:
        KubeV6Error: Nobody answers at the address.
    """
    if named == "threads":
        return THREADS
    return _ray(named) if named.startswith("ray") else _dask(named)


def _dask(named: str) -> AnyTaskRunner:
    from distributed import Client, Security
    from prefect_dask.task_runners import DaskTaskRunner

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it has to say of an end in a hurry is no news
    if named != "dask":
        try:
            with Client(named, timeout=5, set_as_default=False):
                pass
        except (OSError, ValueError, TimeoutError) as error:
            raise KubeV6Error(
                f"{named}: no Dask scheduler answers there within 5 s ({type(error).__name__})",
                todo="start it with `dask scheduler`, or run without --task-runner",
            ) from None
        return cast(AnyTaskRunner, DaskTaskRunner(address=named))
    # What its processes have left when they were ended in a hurry is cleared away by one of Python's own, which would
    # tell that after all else.
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), QUIET)))
    # Who reaches the scheduler can run anything as this user, so only who has the key of this run does.
    security = Security.temporary()
    # Left to itself, Dask works in one directory of a known name for all users, which whoever is first may own; and
    # workers import what is in theirs.
    cluster = {
        "local_directory": _private_directory("dask"),
        "n_workers": WORKERS,
        "threads_per_worker": THREADS_OF_A_WORKER,
        "host": "127.0.0.1",
        "protocol": "tls://",
        "security": security,
        "dashboard_address": None,
        "silence_logs": logging.CRITICAL,
        "env": {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"},  # the screen is the flow's
    }
    runner = DaskTaskRunner(cluster_class=_local_cluster, cluster_kwargs=cluster, client_kwargs={"security": security})
    return cast(AnyTaskRunner, runner)


def _local_cluster(**settings: Any) -> Any:
    """Worker processes that leave Ctrl-C to the flow: a terminal sends it to all processes of the command.

    A signal that is ignored stays so in the processes that are begun meanwhile (signal(7), execve(2)).
    """
    import dask
    from distributed import LocalCluster

    # Scheduler and workers have pages also without a dashboard, and those ask nobody who he is: they would show names,
    # calls and logs of the run to every user and web page. The processes of the workers take the same settings.
    dask.config.set({f"distributed.{each}.http.routes": [] for each in ("scheduler", "worker", "nanny")})
    if threading.current_thread() is not threading.main_thread():  # which alone may say what becomes of signals
        return LocalCluster(**settings)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return LocalCluster(**settings)
    finally:
        signal.signal(signal.SIGINT, before)


def _ray(named: str) -> AnyTaskRunner:
    if named == "ray":
        # Who reaches Ray can run anything as this user, so it listens on loopback and lets in who has the key of this
        # run, which is in the environment of its processes. Ray reads these when it is imported.
        os.environ |= {
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # no machine but this one, and so 127.0.0.1, as it has it there
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
    from flows.run.ray_runner import RayRunner

    if named != "ray":
        return cast(AnyTaskRunner, RayRunner(address=named))
    started = {
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": logging.CRITICAL,
        "_temp_dir": f"{_private_directory('ray')}/ray",  # which Ray lets everybody into
    }
    return cast(AnyTaskRunner, RayRunner(init_kwargs=started))


def _private_directory(of: str) -> str:
    """A directory that nobody else gets into, and that goes when this process ends."""
    made = tempfile.TemporaryDirectory(prefix=f"kubev6-{of}-", ignore_cleanup_errors=True)
    atexit.register(made.cleanup)
    return made.name
