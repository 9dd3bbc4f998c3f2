"""Prefect for a run: imported, and with a server that answers.

That is the server that PREFECT_API_URL names, else the one that `kubev6 server up` keeps, else one for this run alone.
A server that goes away while a run is under way keeps no work from being done: only the end of the run is not told
there, which is one error when everything else has been said.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import inspect
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from importlib.metadata import version
from typing import IO, TYPE_CHECKING, Any

from configs.errors import CombinedError, KubeV6Error
from flows.run.context import current
from kubev6.server import environment, kept_server, login, lost_runs
from kubev6.server.api import ask, wants_login
from kubev6.server.temporary_server import TemporaryServer, answers
from tasks.steps import step

if TYPE_CHECKING:
    from prefect import Flow

log = logging.getLogger("kubev6.server")
SECONDS_FOR_SERVER = 10.0
"""How long a run that is done waits for a server that does not answer: one that is started again takes as long."""
RETRIES = 3
"""Of Prefect's requests: after 2, 4 and 8 seconds."""
SECONDS_TO_WRITE = 10.0
"""How long a server of one run may take to write down what became of its tasks."""
SECONDS_TO_LEAVE = 5.0
"""How long this process lives on when its server is gone, to say what came of the run, while Prefect still tries."""


class Orchestration:
    """Prefect for one command.

    Attributes:
        untold: Why the server does not know how a run has ended; nothing when it does.
    """

    def __init__(self) -> None:
        self.untold: list[KubeV6Error] = []
        self._temporary: TemporaryServer | None = None
        self._kept_in_use: IO[str] | None = None

    def start(self) -> None:
        """Choose a server, say which, and import Prefect and the flows.

        Raises:
            KubeV6Error: The server that was named does not answer, or a temporary one does not start.
        """
        with step("prefect", "start") as shown:
            environment.prepare()
            # What Prefect's threads still say when the run has ended, and its log with it, is for nobody.
            logging.getLogger().addHandler(logging.NullHandler())
            named, kept = os.environ.get("PREFECT_API_URL"), kept_server.running()
            if named and not (kept and kept.url == named):
                if not answers(named, seconds=5):
                    todo = "start it, or unset PREFECT_API_URL to go on without it"
                    raise KubeV6Error(f"PREFECT_API_URL names {named}, and no Prefect server answers there", todo=todo)
                # That of the kept server, which Prefect finds in the checkout, is not for this one.
                os.environ.setdefault(login.LOGIN, "")
                _check_version(named)
                shown.ended_as(f"the server at {named}")
            elif kept:
                self._kept_in_use = kept_server.use()
                kept_server.check_version(kept)
                with suppress(KubeV6Error):  # of no run does another one fail
                    lost_runs.end_all(kept.url)
                if not wants_login(kept.url):
                    log.warning("the kept server obeys everybody on this machine; `kubev6 server up` mends that")
                os.environ |= {login.API: kept.url, login.LOGIN: login.of(kept.url)}
                shown.ended_as(f"the kept server, {kept.page}")
            else:
                self._temporary = temporary = TemporaryServer()
                # Registered before Prefect's own, and so called after it has sent what it still has to say.
                atexit.register(temporary.stop)
                os.environ |= temporary.environment
                _import_flows()  # takes seconds too, and the server starts meanwhile
                temporary.wait()
                shown.ended_as("a server for this run alone (`kubev6 server up` keeps one)")
            _import_flows()

    def run(self, flow: Flow[..., Any], *given: object) -> Any:
        """Run a flow in this process.

        It sends no heartbeats: they are for those who watch workers from afar, and their thread takes a second to end.

        Args:
            flow: The flow.
            given: Its parameters.

        Returns:
            What it returned, or has put into the state that it returned; an error that it raised.

        Raises:
            KeyboardInterrupt: The person has stopped it; to Prefect it is cancelled.
            KubeV6Error: The server went away before it had begun.
        """
        import httpx
        from prefect.exceptions import Abort

        came_to: list[Any] = []
        told = flow.with_options()
        told.fn = _telling(flow.fn, came_to, os.environ["PREFECT_API_URL"])
        # They are plain already, and Prefect would import FastAPI, which takes a fifth of a second, to make them so.
        told.serialize_parameters = dict  # type: ignore[method-assign, assignment]
        # What Prefect sends beside the run would complain on standard error of every message that the server does not
        # get.
        logging.raiseExceptions = False
        try:
            with _settings_of_a_run():
                state: Any = told(*given, return_state=True)
        except (Abort, httpx.HTTPError) as error:
            self.untold.append(_gone(str(error).partition("\n")[0]))
            if not came_to:
                raise self.untold[-1] from error
            _leave_soon()
            return came_to[0]
        if self._temporary is not None:
            _let_write(self._temporary)
        if came_to:
            return came_to[0]
        if state.is_cancelled():
            raise KeyboardInterrupt
        return state.result(raise_on_failure=False)  # Prefect's own: the flow has not begun

    def outcome(self, flow: Flow[..., Any], *given: object) -> Any:
        """Run a flow, and what it returned. A proof that failed is an outcome too; an error is raised.

        Args:
            flow: The flow.
            given: Its parameters.
        """
        value = self.run(flow, *given)
        if not isinstance(value, BaseException):
            return value
        if self.untold:
            raise CombinedError((*getattr(value, "errors", (value,)), *self.untold))
        raise value

    def check_told(self) -> None:
        """For the end of a command, when everything else has been said.

        Raises:
            KubeV6Error: The server does not know how the run has ended.
        """
        for error in self.untold:
            raise error

    def stop(self) -> None:
        """End the server of this run at once, for a process that does not end in order."""
        if self._temporary is not None:
            self._temporary.stop()


def _settings_of_a_run() -> AbstractContextManager[object]:
    """Prefect's settings, with no heartbeat and few retries.

    Its own ``temporary_settings`` reads each of some hundred settings anew, which takes an eighth of a second.
    """
    from prefect.context import SettingsContext, get_settings_context

    context = get_settings_context()
    settings = context.settings
    flows = settings.flows.model_copy(update={"heartbeat_frequency": None})
    client = settings.client.model_copy(update={"max_retries": RETRIES})
    ours = settings.model_copy(update={"flows": flows, "client": client})
    return SettingsContext(profile=context.profile, settings=ours)


def _let_write(server: TemporaryServer) -> None:
    """Let a server that is about to end write down what became of every task: of what it has not it tells nobody."""
    from flows.run.results import wait_until_recorded

    run = current()
    if run is None or run.stop_signal.asked:
        return
    try:
        if not wait_until_recorded(run.heard_of, SECONDS_TO_WRITE):
            log.debug("%s had not written down all tasks after %g s", server.url, SECONDS_TO_WRITE)
    except Exception as error:  # the run itself is done, and its record is here
        log.debug("%s does not say what it has written down: %s", server.url, error)


def _check_version(named: str) -> None:
    """Refuse the server that was named if Prefect would not work with it, which wants its own major version."""
    theirs = None
    with suppress(KubeV6Error):  # one that wants a login, which is for Prefect to give
        theirs = ask(named, "/admin/version")
    ours = version("prefect")
    if theirs is not None and theirs.partition(".")[0] != ours.partition(".")[0]:
        raise KubeV6Error(
            f"PREFECT_API_URL names {named}, which is Prefect {theirs}, and installed here is {ours}",
            todo=f"name a server of version {ours.partition('.')[0]}, or unset PREFECT_API_URL to go on without it",
        )


def _telling(work: Callable[..., Any], came_to: list[Any], api: str) -> Callable[..., Any]:
    """What a flow does, with what it comes to written down here before Prefect's server is told of it."""

    @functools.wraps(work)
    def telling(*given: Any, **named: Any) -> Any:
        from prefect.client.schemas.objects import State
        from prefect.exceptions import Abort
        from prefect.states import Cancelled

        try:
            state = work(*given, **named)
        except KeyboardInterrupt:
            return Cancelled(message="stopped by Ctrl-C")
        except Exception as error:
            came_to.append(error)
            raise
        came_to.append(state.data if isinstance(state, State) else state)
        if not _comes_back(api):
            raise Abort("it does not answer")  # nothing that Prefect does from here on would end well
        return state

    # Prefect asks a function for its types, and finds those that are words only where the function is defined.
    telling.__signature__ = inspect.signature(work, eval_str=True)  # type: ignore[attr-defined]
    return telling


def _comes_back(api: str) -> bool:
    """Whether a server answers, after a while at the latest."""
    deadline = time.monotonic() + SECONDS_FOR_SERVER
    while not answers(api):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _gone(seen: str) -> KubeV6Error:
    page = os.environ["PREFECT_API_URL"].removesuffix("/api")
    return KubeV6Error(
        f"the Prefect server at {page} went away and does not know how this run ended ({seen})",
        todo="`kubev6 report` and the run log do; `kubev6 server up` mends a kept server",
    )


def _leave_soon() -> None:
    """Have this process end although Prefect still waits for the server: that is done at the interpreter's end."""

    def leave() -> None:
        time.sleep(SECONDS_TO_LEAVE)
        try:
            sys.stdout.flush()
        finally:
            os._exit(1)

    threading.Thread(target=leave, daemon=True).start()


@functools.cache  # what a run has left would be frozen too by the next one of the same process
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
    # What Prefect says of its own machinery is for the run log, and for who asks for Prefect's lines, as all it says.
    internal = logging.getLogger("prefect._internal")
    internal.handlers.clear()
    internal.propagate = True
