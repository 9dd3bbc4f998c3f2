"""The live display of a terminal: a line for every subject that is worked on.

It fits any terminal: columns give way to one another where it is narrow, and where there are more lines than rows, the
last line says what the others are at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

GAP = 2
SUBJECT, TITLE, TIME = 20, 24, 8
"""Columns of the lines of a run, where there is room."""
WIDE = SUBJECT + TITLE + TIME + 3 * GAP + 10
"""Columns of a terminal from which on its lines have these columns."""
SHORT_TITLE, SHORT_TEXT, SHORTEST_TEXT = 16, 14, 8
"""What most titles and numbers take, and the least of a text that tells something."""
SHORTEST_BAR, LONGEST_BAR = 5, 24
ROWS_LEFT = 3
"""Rows of a terminal that stay free for what was there before."""


@dataclass(slots=True)
class Running:
    """A step under way; ``started`` and ``said`` on the monotonic clock, in seconds.

    Attributes:
        said: When its last line was printed, where lines are all there is.
        text: How far it is, in words.
        done: And in numbers; 0 when that is not counted.
        total: Out of how much; 0 when that is not known.
    """

    subject: str
    title: str
    started: float
    said: float
    text: str = ""
    done: float = 0
    total: float = 0


@dataclass(frozen=True, slots=True)
class Columns:
    """How wide the columns are; a width of 0 leaves the column out.

    Attributes:
        subject: What is worked on.
        title: What is done.
        bar: How far it is, as a bar.
        text: How far it is, in words.
        gap: Between two of them.
    """

    subject: int
    title: int
    bar: int
    text: int
    gap: int

    @classmethod
    def of(cls, width: int, *, bars: bool) -> Columns:
        """The columns of a terminal.

        Args:
            width: Its width.
            bars: Whether there are bars to be shown.
        """
        wide = width >= WIDE
        gap = GAP if wide else 1
        room = width - 1 - TIME - 2 * gap  # the last column of a terminal stays free: some wrap when it is written
        subject = max(1, min(SUBJECT, room // 2))
        title = max(1, min(TITLE if wide else SHORT_TITLE, room - subject))
        left = room - subject - title - gap
        bar = min(LONGEST_BAR, max(left // 3, SHORTEST_BAR), left - gap - SHORT_TEXT) if bars else 0
        bar = bar if bar >= SHORTEST_BAR else 0
        text = left - bar - (gap if bar else 0)
        return cls(subject, title, bar, text if text >= SHORTEST_TEXT else 0, gap)


def live_table(running: Sequence[Running], *, width: int, height: int, now: float, ascii_only: bool) -> Table:
    """The lines of the steps under way: one for each subject, with the step that it began last.

    Args:
        running: The steps in the order of their subjects' first appearance, so that lines stay where they are.
        width: Of the terminal.
        height: Of the terminal.
        now: The monotonic clock.
        ascii_only: Whether the terminal can show nothing else.
    """
    lines = list({step.subject: step for step in running}.values())
    rows = max(1, height - ROWS_LEFT)
    shown = lines if len(lines) <= rows else lines[: max(1, rows - 1)]
    columns = Columns.of(width, bars=any(step.total for step in shown))
    table = Table.grid(padding=(0, columns.gap, 0, 0))
    overflow = "crop" if ascii_only else "ellipsis"
    table.add_column(width=columns.subject, no_wrap=True, overflow=overflow, style="cyan")  # type: ignore[arg-type]
    table.add_column(width=columns.title, no_wrap=True, overflow=overflow)  # type: ignore[arg-type]
    table.add_column(width=TIME, no_wrap=True, justify="right")
    if columns.bar:
        table.add_column(width=columns.bar)
    if columns.text:
        table.add_column(max_width=columns.text, no_wrap=True, overflow=overflow)  # type: ignore[arg-type]
    for step in shown:
        cells: list[RenderableType] = [Text(step.subject), Text(step.title), taken(now - step.started)]
        if columns.bar:
            cells.append(ProgressBar(step.total, step.done, width=columns.bar) if step.total else "")
        if columns.text:
            cells.append(Text(step.text))
        table.add_row(*cells)
    if rest := lines[len(shown) :]:
        others = Counter(step.title for step in rest).most_common()
        text = f"and {len(rest)} more: " + ", ".join(f"{count} {title}" for title, count in others)
        whole = Table.grid()
        whole.add_column(max_width=width - 1)
        whole.add_row(table)
        whole.add_row(Text(text, no_wrap=True, overflow=overflow))  # type: ignore[arg-type]
        return whole
    return table


def taken(seconds: float) -> str:
    """A time, for people."""
    return f"{seconds:.1f} s" if seconds < 59.95 else f"{int(seconds) // 60}:{int(seconds) % 60:02d} m"
