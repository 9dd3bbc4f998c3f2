"""What the docstring of a model says of it and of each of its fields: once, for readers of code and of files."""

from __future__ import annotations

import inspect
import re


def described(model: type) -> tuple[str, dict[str, str]]:
    """What a model is, and what each of its fields is, in Markdown.

    Args:
        model: Its class; what it inherits is described by the class that it inherits from.

    Returns:
        The text above ``Attributes:``, and those of the attributes by name.
    """
    text, fields = "", dict[str, str]()
    for each in reversed(model.__mro__):
        if each.__doc__ and each.__module__ == model.__module__:
            text, _, attributes = inspect.cleandoc(each.__doc__).partition("\nAttributes:\n")
            fields |= {name: _flowing(words) for name, words in _ATTRIBUTE.findall(attributes + "\n")}
    return "\n\n".join(_flowing(paragraph) for paragraph in text.strip().split("\n\n")), fields


_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*\n(?: {5,}.*\n)*)", re.MULTILINE)


def _flowing(text: str) -> str:
    """A paragraph as one line, with code as Markdown marks it."""
    return " ".join(text.split()).replace("``", "`")
