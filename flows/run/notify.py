"""Telling somebody that an unattended run has failed.

By a webhook (``KUBEV6_NOTIFY_URL``), a command (``KUBEV6_NOTIFY_COMMAND``), or both: set where the worker is started.
Both get the same small JSON, the webhook as what is posted, the command on its standard input. An address of a
webhook is often a secret in itself, so it is never a parameter and never logged, and may come from a file as other
secrets do (:mod:`tasks.secrets`).
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import subprocess
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from configs.errors import KubeV6Error
from flows.run.redaction import to_show
from tasks import scope
from tasks.http_session import Session
from tasks.secrets import KINDS, NOTIFY_URL, Secrets, remember, secret

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State

log = logging.getLogger("kubev6.notify")
URL, COMMAND = NOTIFY_URL, "KUBEV6_NOTIFY_COMMAND"
TO_CONNECT, TO_ANSWER = 5.0, 10.0
COMMAND_SECONDS = 30.0
_of_the_run: ContextVar[Secrets | None] = ContextVar("secrets_of_the_run", default=None)
"""Prefect calls its hooks when the run, and what the run held, has ended."""


def hide_when_ended(secrets: Secrets) -> None:
    """Have what is told of the end of the caller's flow run told without these.

    Args:
        secrets: Those of the run.
    """
    _of_the_run.set(secrets)


def notify(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # Prefect passes these by name
    """Tell of a run that ended badly.

    Args:
        flow: The flow.
        flow_run: Its run.
        state: How it ended.
    """
    api = os.environ.get("PREFECT_API_URL", "")
    tell(flow.name, str(flow_run.name), str(flow_run.id), str(state.name), str(state.message or ""), api)


def tell(flow: str, run: str, identity: str, state: str, message: str, api: str) -> None:
    """Tell of a run that ended badly. Whatever goes wrong with that is a line in the log and no more.

    Args:
        flow: The flow's name.
        run: The run's name.
        identity: Its id.
        state: The name of the state that it ended in.
        message: What the state says.
        api: The API of the server that shows it; empty for none.
    """
    with scope.holding(scope.find(Secrets) or _of_the_run.get() or Secrets()):
        for variable in KINDS:
            with suppress(KubeV6Error):
                secret(variable)
        _tell(flow, run, identity, state, message, api)


def _tell(flow: str, run: str, identity: str, state: str, message: str, api: str) -> None:
    told = {
        "flow": flow,
        "run": to_show(run),
        "id": identity,
        "state": state,
        "message": to_show(message),
        "page": f"{api.removesuffix('/api')}/runs/flow-run/{identity}" if api else "",
    }
    try:
        if url := secret(URL):
            parts = urlsplit(url)
            remember(f"{parts.path}?{parts.query}" if parts.query else parts.path)  # the library logs it alone
            _post(url, told)
    except (requests.RequestException, ValueError) as error:
        log.warning("%s: nobody was told: %s", URL, type(error).__name__)
    except KubeV6Error as error:
        log.warning("%s: nobody was told: %s", URL, error)
    try:
        if command := os.environ.get(COMMAND):
            _run(command, told)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.warning("%s: nobody was told: %s", COMMAND, getattr(error, "strerror", None) or type(error).__name__)


def _post(url: str, told: dict[str, str]) -> None:
    with Session(seconds=TO_ANSWER) as session:
        answer = session.post(url, json=told, timeout=(TO_CONNECT, TO_ANSWER), allow_redirects=False)
    if not answer.ok or answer.is_redirect:
        log.warning("%s: answered %d", URL, answer.status_code)


def _run(command: str, told: dict[str, str]) -> None:
    done = subprocess.run(
        shlex.split(command),
        input=json.dumps(told),
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if done.returncode:
        log.warning("%s: ended with status %d", COMMAND, done.returncode)
