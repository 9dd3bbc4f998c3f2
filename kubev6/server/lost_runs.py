"""Runs that a kept server waits for although nobody will ever end them, or begin them.

Prefect learns of a run's end from the run itself, or from the worker that began it. When both were killed, or ended
with the machine, the run would be under way for ever. So every run says which process it is, as labels of its own, and
who starts or keeps the server looks whether that is still there. A run that waited while its work pool was deleted
waits in a queue that is no more.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flows.run.labels import PID, STARTED, machine
from flows.run.notify import tell
from kubev6.server import worker_runs
from kubev6.server.api import ask
from tasks.exclusive import exclusive
from tasks.paths import data_dir
from tasks.process import Process

log = logging.getLogger("kubev6.server")
SECONDS_TO_BEGIN = 60.0
"""How long it may take from when a worker takes a run until the run says which process it is."""
OPEN = ("SCHEDULED", "PENDING", "RUNNING", "CANCELLING")
NO_PROCESS = "its process is gone: it was killed, or the machine was restarted; run it again"
NO_QUEUE = "its work pool was deleted while it waited; ask for it again"


@dataclass(frozen=True, slots=True)
class Lost:
    """A run that will not end by itself.

    Attributes:
        identity: Its id.
        name: Its name.
        deployment: The id of its deployment; None for a local run.
        why: What there is to say of it.
    """

    identity: str
    name: str
    deployment: str | None
    why: str


def end_all(api: str) -> None:
    """Tell a server of this machine which runs have ended, and somebody of those that nobody looks at.

    Args:
        api: The server's API.

    Raises:
        KubeV6Error: It does not answer.
    """
    unattended = []
    with exclusive(data_dir() / "lost-runs.lock"):  # so that nobody is told twice
        for lost in find(api):
            if _is_unattended(api, lost):
                unattended.append(lost)
            crashed = {"type": "CRASHED", "message": lost.why}
            ask(api, f"/flow_runs/{lost.identity}/set_state", {"state": crashed, "force": True})
            log.warning("flow run %s has crashed: %s", lost.name, lost.why)
    for lost in unattended:  # which may take long, and nobody is to wait for that
        tell("kubev6", lost.name, lost.identity, "Crashed", lost.why, api)


def find(api: str) -> tuple[Lost, ...]:
    """The runs that will not end by themselves.

    Args:
        api: The server's API.

    Raises:
        KubeV6Error: It does not answer.
    """
    alive = {run for _, run in worker_runs.processes(api)}
    wanted = {"flows": {"name": {"like_": "kubev6"}}, "flow_runs": {"state": {"type": {"any_": OPEN}}}}
    found = ((run, _why(run)) for run in ask(api, "/flow_runs/filter", wanted) if run["id"] not in alive)
    return tuple(Lost(run["id"], run["name"], run["deployment_id"], why) for run, why in found if why)


def _why(run: dict[str, Any]) -> str:
    """Why a run without a process of a worker's will not end by itself; nothing for one that will."""
    said, state, local = run["labels"], run["state_type"], run["deployment_id"] is None
    if state == "SCHEDULED":  # what a schedule has made is made again with the deployment
        return "" if local or run["auto_scheduled"] or run["work_queue_id"] else NO_QUEUE
    # One that is run again has the labels of before until it begins.
    if PID in said and state != "PENDING":
        here = machine().items() <= said.items()
        return NO_PROCESS if here and not Process(said[PID], said[STARTED]).alive else ""
    since = datetime.now(UTC) - datetime.fromisoformat(run["state"]["timestamp"])
    return "" if local or since.total_seconds() < SECONDS_TO_BEGIN else NO_PROCESS


def _is_unattended(api: str, lost: Lost) -> bool:
    """Whether it is one of those whose flow tells somebody when they end badly: the nightly ones."""
    deployment = ask(api, f"/deployments/{lost.deployment}") if lost.deployment else None
    return deployment is not None and (deployment["entrypoint"] or "").endswith((".nightly", ":nightly"))
