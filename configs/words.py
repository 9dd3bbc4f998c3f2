"""Numbers and lists as a person says them, and text cut to the room there is."""

from __future__ import annotations

import re

INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
    "\ud800-\udfff]"
)
"""Control characters, which a terminal obeys, and what changes unseen how the characters around it are shown: direction
(Unicode's UAX 9, the "Trojan Source"), joining, and separators of lines. And what stands for a byte that is no UTF-8
(PEP 383), such as one of a file's name on a machine, which no file and no other program takes."""
MONOSPACE = 0.61
"""Width of a character of the usual fixed-width typefaces, as a part of the type size."""


def duration(seconds: float) -> str:
    """A length of time: ``0.4 s``, ``12.3 s``, ``1 min 12 s``, ``2 h 05 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def milliseconds(seconds: float) -> str:
    """A short time without its unit, at most four characters: ``0.4``, ``12``, ``3.2k``."""
    value = seconds * 1000
    if value < 9.95:
        return f"{value:.1f}"
    return f"{value:.0f}" if value < 999.5 else f"{value / 1000:.1f}k"


def answer_time(seconds: float) -> str:
    """How long an answer took: ``3.2 ms``, ``12 ms``, from a second on as :func:`duration`."""
    return f"{milliseconds(seconds)} ms" if seconds < 0.9995 else duration(seconds)


def counted(number: int, thing: str, several: str = "") -> str:
    """``1 change``, ``2 changes``."""
    return f"{number} {thing}" if number == 1 else f"{number} {several or thing + 's'}"


def visible(text: str) -> str:
    r"""A text of somebody else's that changes nothing where it is shown: on one line, ``\x1b`` in the place of ESC."""
    return INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def visible_lines(text: str) -> str:
    """The same of a text that may have several lines, which it keeps, and tabs."""
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters, cut at its end."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def fitted(text: str, width: float, size: float) -> str:
    """A text in a fixed-width typeface, cut in its middle where it is too long: names differ at their ends.

    Args:
        text: The text.
        width: The room.
        size: Size of the type.
    """
    room = max(1, int(width / (MONOSPACE * size)))
    if len(text) <= room:
        return text
    tail = room // 2
    return f"{text[: room - 1 - tail]}…{text[len(text) - tail :] if tail else ''}"
