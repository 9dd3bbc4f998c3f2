"""Turns the templates in ``configs/files`` into text."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from configs.schema.loading import CONFIGS


@cache
def _environment() -> Environment:
    # The output is configuration, not HTML: escaping would corrupt it. A name that a template misses is an error.
    return Environment(
        loader=FileSystemLoader(CONFIGS / "files"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
        auto_reload=False,
    )


def render(template: str, **values: object) -> str:
    """The text of one file.

    Args:
        template: Name of a template in ``configs/files`` without ``.j2``.
        values: What the template speaks of.

    Raises:
        jinja2.UndefinedError: The template speaks of something that was not given.
    """
    return _environment().get_template(f"{template}.j2").render(**values)
