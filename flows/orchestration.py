"""Prefect for a run: imported, and with a server that answers.

That is the server that PREFECT_API_URL names, else the one that `kubev6 server up` keeps, else one for this run alone.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
from typing import TYPE_CHECKING, Any, cast

from configs.errors import KubeV6Error
from flows.server import environment, kept_server
from flows.server.temporary_server import TemporaryServer, answers
from tasks.steps import step

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import State

_temporary: list[TemporaryServer] = []


def start() -> None:
    """Choose a server, say which, and import Prefect and the flows.

    Raises:
        KubeV6Error: The server that was named does not answer, or a temporary one does not start.
    """
    with step("prefect", "start") as shown:
        environment.prepare()
        named, kept = os.environ.get("PREFECT_API_URL"), kept_server.running()
        if named and not (kept and kept.url == named):
            if not answers(named, seconds=5):
                todo = "start it, or unset PREFECT_API_URL to go on without it"
                raise KubeV6Error(f"PREFECT_API_URL names {named}, and no Prefect server answers there", todo=todo)
            shown.ended_as(f"the server at {named}")
        elif kept:
            kept_server.use()
            kept_server.check_version(kept)
            os.environ["PREFECT_API_URL"] = kept.url
            shown.ended_as(f"the kept server, {kept.page}")
        else:
            temporary = TemporaryServer()
            # Registered before Prefect's own, and so called after it has sent what it still has to say.
            atexit.register(temporary.stop)
            _temporary.append(temporary)
            os.environ["PREFECT_API_URL"] = temporary.url
            _import_flows()  # takes seconds too, and the server starts meanwhile
            temporary.wait()
            shown.ended_as("a server for this run alone (`kubev6 server up` keeps one)")
        _import_flows()


def run(flow: Flow[..., Any], *given: object) -> State[Any]:
    """Run a flow in this process, and say how it ended.

    It sends no heartbeats: they are for those who watch workers from afar, and their thread takes a second to end.

    Args:
        flow: The flow.
        given: Its parameters.
    """
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        return cast("State[Any]", flow(*given, return_state=True))


def stop() -> None:
    """End the server of this run at once, for a process that does not end in order."""
    for server in _temporary:
        server.stop()


def _import_flows() -> None:
    """Import Prefect and the flows.

    What modules consist of lives as long as the process, so nobody needs to look for garbage in it: neither while it
    is made, nor in every collection after that, nor once more at the end, which would take half a second in all.
    """
    gc.disable()
    try:
        importlib.import_module("flows.deploy")
    finally:
        gc.freeze()
        gc.enable()
