"""Markdown that is also good to read as it is."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

WIDTH = 120
_KEPT = "\0"
"""In the place of a space at which no line ends."""


def paragraph(text: str) -> str:
    """Words in lines of the house's width."""
    return _filled(text, "")


def item(text: str) -> str:
    """The same as an item of a list."""
    return _filled(f"- {text}", "  ")


def _filled(text: str, indent: str) -> str:
    """Lines that end in no piece of code, which is to be copied, and in no word."""
    whole = re.sub(r"`[^`]+`", lambda code: code[0].replace(" ", _KEPT), text)
    filled = textwrap.fill(whole, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return filled.replace(_KEPT, " ")


def code(text: str, language: str = "text") -> str:
    """Lines that are to be copied."""
    return f"```{language}\n{text.rstrip()}\n```"


def choice(words: Iterable[str]) -> str:
    """Words of which one is to be taken: ``a``, ``b`` or ``c``."""
    *first, last = (f"`{word}`" for word in words)
    return f"{', '.join(first)} or {last}" if first else last


def page(*blocks: str) -> str:
    """Blocks with an empty line between them."""
    return "\n\n".join(block for block in blocks if block) + "\n"
