"""Showing the steps of a run, on standard error, while they happen."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from configs.words import visible_lines
from kubev6.console.json_lines import JsonLines
from kubev6.console.listener import Listener
from kubev6.console.step_screen import StepScreen
from tasks.events import Bus

WIDTH_OF_FILES = 130
"""Columns of output that goes to a file or a pipe."""


class PlainConsole(Console):
    """Prints texts as they are but for what a terminal would obey, which becomes visible."""

    def render_str(self, text: str, **how: Any) -> Text:
        """A text of any origin, also one of a table."""
        return super().render_str(visible_lines(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Everything that is shown."""
        if isinstance(renderable, Text) and (shown := visible_lines(renderable.plain)) != renderable.plain:
            renderable = renderable.copy()
            renderable.plain = shown
        return super().render(renderable, options)

    def on_broken_pipe(self) -> None:
        """Say so: what to do when nobody reads any more is for who prints to decide."""
        raise BrokenPipeError


def plain_console(*, stderr: bool = False) -> Console:
    """A console that knows no markup (``:100:`` is part of an address and no picture)."""
    console = PlainConsole(stderr=stderr, emoji=False, markup=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_FILES
    return console


@contextmanager
def showing_steps(
    bus: Bus, *, nodes: Collection[str] = (), verbose: bool = False, live: bool = True, as_json: bool = False
) -> Iterator[Listener]:
    """Show the steps of everything that runs in this context, on standard error.

    Args:
        bus: Tells the events of the run.
        nodes: The names of the cluster's nodes, to tell machines which events are on one.
        verbose: Also show every word of progress, the commands that are run, and what Prefect says.
        live: Whether a terminal has live lines; else it gets plain lines as a file does.
        as_json: Show JSON lines instead.

    Yields:
        What shows them, which also keeps the times.
    """
    console = plain_console(stderr=True)
    live = live and not as_json and console.is_terminal and not console.is_dumb_terminal
    shown = (
        JsonLines(sys.stderr, nodes=nodes, verbose=verbose)
        if as_json
        else StepScreen(console, verbose=verbose, live=live)
    )
    # To the root of all loggers: Prefect, when it is imported, takes away what listens to its own.
    root = logging.getLogger()
    root.addHandler(shown)
    done = threading.Event()

    def remind() -> None:
        while not done.wait(1):
            shown.remind()

    try:
        with bus.heard_by(shown.hear), _live(shown, console) if live else nullcontext():
            if not live:
                threading.Thread(target=remind, daemon=True).start()
            yield shown
    finally:
        done.set()
        root.removeHandler(shown)


def _live(shown: Listener, console: Console) -> Live:
    """The live display of a terminal. Results go to standard output, which may be a file meanwhile."""
    screen = cast(StepScreen, shown)
    return Live(screen, console=console, refresh_per_second=5, transient=True, redirect_stdout=sys.stdout.isatty())
