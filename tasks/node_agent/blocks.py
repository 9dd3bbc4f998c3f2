"""Our marked block of lines in a file that others write too."""

import hashlib
from typing import Optional

from tasks.node_agent.files import exact_bytes, exact_text_of, lines_of
from tasks.node_agent.protocol import Failed

BEGIN = "# BEGIN kubev6"
END = "# END kubev6"


def block_of(text: str) -> Optional[str]:
    """What stands between our marks; None without them. Raises ValueError when a mark is missing its other half."""
    lines = lines_of(text)
    marks = [line.strip() for line in lines]
    if BEGIN not in marks and END not in marks:
        return None
    if marks.count(BEGIN) != 1 or marks.count(END) != 1 or marks.index(BEGIN) > marks.index(END):
        raise ValueError("its lines {!r} and {!r} do not make one pair".format(BEGIN, END))
    return "".join(lines[marks.index(BEGIN) + 1 : marks.index(END)])


def with_block(text: str, content: Optional[str]) -> str:
    """The text with our block set to ``content``, at its place or at the end; None takes the block away."""
    lines = lines_of(text)
    marks = [line.strip() for line in lines]
    if block_of(text) is None:
        if content is None:
            return text
        gap = "" if not text or text.endswith("\n") else "\n"
        return "{}{}{}\n{}{}\n".format(text, gap, BEGIN, content, END)
    before, after = lines[: marks.index(BEGIN)], lines[marks.index(END) + 1 :]
    own = [] if content is None else [BEGIN + "\n", content, END + "\n"]
    return "".join(before + own + after)


def block_fact(path: str) -> Optional[str]:
    """sha256 of our block in a file, None without one, or the trouble with its marks after an exclamation mark."""
    try:
        content = block_of(exact_text_of(path))
    except ValueError as error:
        return "!{}".format(error)
    return None if content is None else hashlib.sha256(exact_bytes(content)).hexdigest()


def new_text(path: str, content: Optional[str]) -> str:
    """The text of a file with our block set to ``content``; None takes the block away.

    Raises:
        Failed: Its marks do not make one pair.
    """
    try:
        return with_block(exact_text_of(path), content)
    except ValueError as error:
        raise Failed("{}: {}".format(path, error), "put the two lines right, or remove both") from None
