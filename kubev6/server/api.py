"""Asking a Prefect server on this machine. Without Prefect, whose import takes longer than most of what is asked."""

from __future__ import annotations

import time
from typing import Any

import requests

from configs.errors import KubeV6Error, UnansweredError

SECONDS, SECONDS_BETWEEN_TRIES = 10.0, 0.2
BUSY = 503


def session() -> requests.Session:
    """One that uses no proxy: that of the user's is for the way out."""
    made = requests.Session()
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
            while True:
                answer = asking.request(method, f"{api}{path}", json=body, timeout=SECONDS)
                # Its database is in use by somebody else, who is soon done.
                if answer.status_code != BUSY or time.monotonic() > busy_until:
                    break
                time.sleep(SECONDS_BETWEEN_TRIES)
        if answer.status_code == 404:
            return None
        if not answer.ok:
            seen = f"the Prefect server at {api} answered {answer.status_code} to {method} {path}"
            raise KubeV6Error(seen, todo="see its log", detail=answer.text)
        return answer.json() if answer.content else None
    except requests.RequestException as error:
        seen = f"the Prefect server at {api} does not answer {path}"
        raise UnansweredError(seen, error, todo="kubev6 server status") from None
