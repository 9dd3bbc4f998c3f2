"""Asking a Prefect server on this machine. Without Prefect, whose import takes longer than most of what is asked."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

from configs.errors import KubeV6Error

SECONDS, SECONDS_BETWEEN_TRIES = 10.0, 0.2
BUSY = 503
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # that is for the way out


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
    request = urllib.request.Request(
        f"{api}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method=method or None,
    )
    busy_until = time.monotonic() + SECONDS
    try:
        while True:
            try:
                with _NO_PROXY.open(request, timeout=SECONDS) as response:
                    text = response.read()
                    return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                # Its database is in use by somebody else, who is soon done.
                if error.code != BUSY or time.monotonic() > busy_until:
                    raise
                time.sleep(SECONDS_BETWEEN_TRIES)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        seen = f"answered {error.code} to {request.get_method()} {path}"
        raise KubeV6Error(
            f"the Prefect server at {api} {seen}", todo="see its log", detail=error.read().decode(errors="replace")
        ) from None
    except (OSError, ValueError) as error:
        raise KubeV6Error(
            f"the Prefect server at {api} does not answer {path}: {getattr(error, 'reason', error)}",
            todo="kubev6 server status",
            transient=True,
        ) from None
