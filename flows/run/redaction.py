"""A second line of defence: what tells of a run does not tell the secrets that it used, whoever says them.

The first line is that nobody says them. But a node may print what it was given, and a library what it sends.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from tasks.secrets import any_known, hide


def hide_in(*handlers: logging.Handler) -> None:
    """Let handlers get records without secrets from now on.

    Args:
        handlers: Those of a log, a screen, a server.
    """
    for handler in handlers:
        handler.addFilter(_without_secrets)


def hide_in_all() -> None:
    """The same for every handler that there is by now, such as those of Prefect's that send to its server."""
    known = [each for each in logging.Logger.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    for logger in (logging.getLogger(), *known):
        hide_in(*logger.handlers)


def _without_secrets(record: logging.LogRecord) -> bool:
    """A filter. It changes the record for all who get it, which is what is wanted."""
    if any_known():
        with suppress(TypeError, ValueError):  # whose arguments do not fit is for its handler to complain of
            record.msg, record.args = hide(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = hide(record.exc_text)
    return True
