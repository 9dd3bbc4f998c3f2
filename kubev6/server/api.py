"""Asking a Prefect server on this machine. Without Prefect, whose import takes longer than most of what is asked."""

from __future__ import annotations

import time
from base64 import b64encode
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import requests

from configs.errors import KubeV6Error, UnansweredError
from kubev6.server import login
from tasks import bounded
from tasks.http_session import Session, UnusableError

SECONDS, SECONDS_BETWEEN_TRIES = 10.0, 0.2
BUSY, UNAUTHORIZED = 503, 401


@dataclass(frozen=True, slots=True)
class _Token:
    token: str


def session() -> requests.Session:
    """One that uses no proxy: that of the user's is for the way out."""
    made = Session(seconds=3 * SECONDS)
    made.trust_env = False
    return made


def ask(api: str, path: str, body: object = None, *, method: str = "") -> Any:
    """Send one request.

    Args:
        api: The server's API, such as ``http://127.0.0.1:4266/api``.
        path: What is asked, from there on.
        body: What is sent along as JSON; it makes the request a POST.
        method: Another method than that.

    Returns:
        The answer, None where there is nothing of that name.

    Raises:
        KubeV6Error: It does not answer, or refuses.
    """
    method = method or ("GET" if body is None else "POST")
    busy_until = time.monotonic() + SECONDS
    try:
        with session() as asking:
            if said := login.of(api):
                asking.headers["Authorization"] = f"Basic {b64encode(said.encode()).decode()}"
            while True:
                if method != "GET":
                    _add_csrf_token(asking, api)
                answer = asking.request(method, f"{api}{path}", json=body, timeout=SECONDS)
                # Its database is in use by somebody else, who is soon done.
                if answer.status_code != BUSY or time.monotonic() > busy_until:
                    break
                time.sleep(SECONDS_BETWEEN_TRIES)
        if answer.status_code == 404:
            return None
        if answer.status_code == UNAUTHORIZED:
            todo = f"set {login.LOGIN}; for the kept server, type `. {login.file()}`"
            raise KubeV6Error(f"the Prefect server at {api} wants another login than ours", todo=todo)
        if not answer.ok:
            seen = f"the Prefect server at {api} answered {answer.status_code} to {method} {path}"
            raise KubeV6Error(seen, todo="see its log", detail=bounded.tail(answer.content.decode(errors="replace")))
        return bounded.parsed(answer.content) if answer.content else None
    except (UnusableError, ValueError) as error:
        raise _odd(api, path, error) from None
    except requests.RequestException as error:
        raise _silent(api, path, error) from None


def wants_login(api: str) -> bool:
    """Whether a server turns away those who have no login.

    Args:
        api: The server's API.

    Raises:
        KubeV6Error: It does not answer.
    """
    try:
        with session() as asking:
            return asking.get(f"{api}/admin/version", timeout=SECONDS).status_code == UNAUTHORIZED
    except bounded.TooMuchError as error:
        raise _odd(api, "/admin/version", error) from None
    except requests.RequestException as error:
        raise _silent(api, "/admin/version", error) from None


def _add_csrf_token(asking: requests.Session, api: str) -> None:
    """Have a token for what changes something, from a server that wants one (its ``csrf_protection_enabled``)."""
    client = str(uuid4())
    answer = asking.get(f"{api}/csrf-token", params={"client": client}, timeout=SECONDS)
    if answer.ok:
        token = bounded.formed(answer.content, _Token, "its CSRF token").token
        asking.headers.update({"Prefect-Csrf-Client": client, "Prefect-Csrf-Token": token})


def _odd(api: str, path: str, error: object) -> KubeV6Error:
    seen = f"what answers {path} at {api} is no Prefect server: {error}"
    return KubeV6Error(seen, todo="see what listens there, and `kubev6 server status`")


def _silent(api: str, path: str, error: requests.RequestException) -> UnansweredError:
    return UnansweredError(f"the Prefect server at {api} does not answer {path}", error, todo="kubev6 server status")
