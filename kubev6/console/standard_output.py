"""What a command says on standard output in words: light, as every command has something to say there."""

from __future__ import annotations

from configs.words import visible_lines


def tell(text: str) -> None:
    """Print a text for a person, in which nothing that others have written steers the terminal.

    Args:
        text: One line or several.
    """
    print(visible_lines(text), flush=True)  # a program that waits goes on for long after that
