"""What a Dask worker needs for the work on a machine: the gates, a way to be heard, and an end when the run has ended.

The gates themselves are in the flow's process, and so are screen, log and record. Words go there as events of one
topic, which keep their order and come before the result of the work that said them; what became of a gate comes back as
a variable. Nothing here is a secret: those come from the environment and the files of the worker.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from functools import update_wrapper
from importlib import import_module
from typing import Any, cast, get_type_hints

from distributed import Variable, get_client, get_worker, secede
from distributed.diagnostics.plugin import WorkerPlugin

from flows.gates import Gate, Gates, Meeting, being
from tasks import steps
from tasks.secrets import hide

NAME = "kubev6"
SECONDS_BETWEEN_LOOKS = 1.0
"""How often those who wait at a gate look whether the run goes on."""
GATES = get_type_hints(Gates)
"""The kind of each, by name."""

log = logging.getLogger("kubev6.flows")
_here = threading.local()


def variable(run: str, gate: str) -> str:
    """The name of the variable that says what became of a gate."""
    return f"{run}-{gate}"


def tell(run: str, **word: Any) -> None:
    """Send a word to the flow's process."""
    get_worker().log_event(run, word)


def leave_ctrl_c_to_the_flow() -> None:
    """A terminal sends Ctrl-C to all processes of the command, also to the workers of its own cluster.

    What Prefect logs of a task while its worker is being ended is no news either, and has nowhere to go.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.raiseExceptions = False


class Forwarding(logging.Handler):
    """Sends log records to the flow's process.

    Args:
        run: The run's topic.
        worker: The Dask worker.
    """

    def __init__(self, run: str, worker: Any) -> None:
        super().__init__(logging.DEBUG)
        self._run, self._worker = run, worker

    def emit(self, record: logging.LogRecord) -> None:
        """Send one, as plain values."""
        from prefect.context import TaskRunContext

        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        plain = {name: value for name, value in vars(record).items() if isinstance(value, str | int | float)}
        plain.pop("exc_text", None)
        plain["msg"] = text
        context = TaskRunContext.get()
        if context is not None:
            plain["task_run_id"] = str(context.task_run.id)
        hidden = {name: hide(value) if isinstance(value, str) else value for name, value in plain.items()}
        self._worker.log_event(self._run, {"record": hidden})


class Attendance(WorkerPlugin):
    """A worker process at work for a run; one run at a time.

    Args:
        run: The run's topic.
    """

    name = NAME

    def __init__(self, run: str) -> None:
        self.run = run
        self.keys: set[Any] = set()
        self._handler: Forwarding | None = None

    def setup(self, worker: Any) -> None:
        """Begin: whatever ended before is over."""
        import_module("flows.stages")  # takes seconds, and Prefect sets up logging
        steps.begin_anew()
        logger = logging.getLogger("kubev6")
        logger.handlers.clear()
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        self._handler = Forwarding(self.run, worker)
        logger.addHandler(self._handler)

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:  # noqa: ARG002 - Dask's signature
        """Called for every task: one of ours that nobody waits for any more means that the run has ended."""
        if key in self.keys and finish in ("memory", "error"):
            self.keys.discard(key)
        elif key in self.keys and finish in ("cancelled", "released", "forgotten"):
            self._stop()

    def teardown(self, worker: Any) -> None:  # noqa: ARG002 - Dask's signature
        """End: of what is under way, nothing goes on."""
        if self._handler is not None:
            logging.getLogger("kubev6").removeHandler(self._handler)
        self._stop()

    def _stop(self) -> None:
        # Closing connections takes its time, and this is the thread that talks to the scheduler.
        threading.Thread(target=import_module("flows.stages").stop, daemon=True).start()


class FarGate(Gate):
    """A gate in the flow's process.

    Args:
        run: The run's topic.
        name: Which of the run's gates.
    """

    def __init__(self, run: str, name: str) -> None:
        super().__init__("")
        self._run, self._name = run, name

    def open(self) -> None:
        """Let everybody through, from now on."""
        tell(self._run, gate=self._name, verb="open")

    def _why_closed_in_the_end(self) -> str:
        settled = Variable(variable(self._run, self._name), client=get_client())
        while not steps.stopped():
            try:
                return str(settled.get(timeout=SECONDS_BETWEEN_LOOKS))
            except TimeoutError:
                continue
        return "the run was stopped"


class FarMeeting(FarGate, Meeting):
    """A meeting in the flow's process."""

    def must_not_be(self, node: str) -> None:
        """Stay closed for all because of ``node``."""
        tell(self._run, gate=self._name, verb="must_not_be", node=node)

    def node_ended(self, node: str) -> None:
        """Wait for ``node`` no longer."""
        tell(self._run, gate=self._name, verb="node_ended", node=node)


def far_gates(run: str) -> Gates:
    """The gates of a run, as its workers have them."""
    far: dict[str, Any] = {
        name: (FarMeeting if kind is Meeting else FarGate)(run, name) for name, kind in GATES.items()
    }
    return Gates(**far)


class Attended:
    """The function of a Prefect task, as a Dask worker calls it.

    It travels by name: what a worker runs is its own kubev6, whose likeness was checked.

    Args:
        module: Where the task is.
        name: Its name there.
        run: The run's topic.
    """

    def __init__(self, module: str, name: str, run: str) -> None:
        self._named = (module, name, run)
        self._run = run
        self._work: Callable[..., Any] = getattr(import_module(module), name).fn
        update_wrapper(self, self._work)

    def __reduce__(self) -> tuple[Any, ...]:
        return Attended, self._named

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work. Another is taken up beside it, so that who opens a gate never queues behind who waits."""
        from flows.run import secret_blocks

        worker = get_worker()
        attendance = cast(Attendance, worker.plugins[NAME])
        key = worker.get_current_task()
        if getattr(_here, "key", None) != key:  # once for all attempts
            _here.key = key
            attendance.keys.add(key)
            secede()
        secret_blocks.provide()
        try:
            with being(far_gates(self._run)):
                return self._work(*args, **kwargs)
        except Exception:
            log.debug("on %s", worker.address, exc_info=True)  # the traceback stays here
            raise
