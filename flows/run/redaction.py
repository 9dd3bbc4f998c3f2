"""A second line of defence: what tells of a run does not tell the secrets that it used, whoever says them.

The first line is that nobody says them. But a node may print what it was given, and a library what it sends. Nor does
what others say, such as the title of a commit or a program on a node, steer what shows it.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext, suppress
from functools import partial

from configs.words import visible_lines
from tasks import scope
from tasks.secrets import Secrets, hide


def hide_in(*handlers: logging.Handler) -> None:
    """Let handlers of this run get records that are fit to be shown from now on.

    They are without its secrets, also those from threads that know of no run.

    Args:
        handlers: Those of a log or a screen.
    """
    for handler in handlers:
        handler.addFilter(partial(_made_fit, scope.find(Secrets)))


def hide_in_all() -> None:
    """The same for every handler that there is by now, such as those of Prefect's that send to its server.

    They serve all runs of the process, so each record is told without the secrets of the run that it belongs to.
    """
    known = [each for each in logging.Logger.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    for logger in (logging.getLogger(), *known):
        for handler in logger.handlers:
            handler.addFilter(_of_its_run)


def _of_its_run(record: logging.LogRecord) -> bool:
    return _made_fit(scope.find(Secrets), record)


def to_show(text: str) -> str:
    """A text that may be shown wherever it comes from: without the secrets that are known, on lines of its own."""
    return visible_lines(hide(text))


def _made_fit(secrets: Secrets | None, record: logging.LogRecord) -> bool:
    """A filter. It changes the record for all who get it, which is what is wanted."""
    with scope.holding(secrets) if secrets else nullcontext():
        with suppress(TypeError, ValueError):  # whose arguments do not fit is for its handler to complain of
            said = record.getMessage()
            if (fit := to_show(said)) != said:
                record.msg, record.args = fit, None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = to_show(record.exc_text)
    return True
