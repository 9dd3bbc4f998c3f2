"""Prefect's settings for a run of ours. They are read when Prefect is imported, so this comes before."""

from __future__ import annotations

import os

from tasks.paths import data_dir

LOGGERS = "kubev6"
"""The logger whose records also go to Prefect's own server, where its user interface shows them."""


def prepare() -> None:
    """Set what the user has not set: a home of our own, no console noise, no outside calls, patience at the start."""
    settings = {
        "PREFECT_HOME": str(data_dir() / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",  # else Prefect, on a terminal, tells its makers of a first use, and says so
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "60",
        "PREFECT_LOGGING_EXTRA_LOGGERS": LOGGERS,
        "PREFECT_LOGGING_HANDLERS_API_LEVEL": "INFO",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        # Of servers that we start: what becomes of tasks is written down some at a time, not one by one. The rest is
        # after a second: the recorder rounds its interval down, so that anything less keeps it busy without a pause.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "10",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "10",
        # Of the temporary server's own process; what goes wrong there shows here as a failed request.
        "PREFECT_LOGGING_ROOT_LEVEL": "CRITICAL",
        "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def protected(login: str, port: int) -> dict[str, str]:
    """What a server is started with, so that neither another user of this machine nor a web page can use it.

    Args:
        login: What all who use it have to know. It goes there by the environment, which no other user sees.
        port: Where it listens.
    """
    return {
        "PREFECT_SERVER_API_AUTH_STRING": login,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
    }
