"""What is wrong with a data file of ``build/``, for a person."""

from __future__ import annotations

from pydantic import ValidationError

from configs.logins import without_login


def describe(error: ValidationError) -> str:
    """A validation error in one line: field path, what was seen and what is wrong with it."""
    parts = []
    for detail in error.errors():
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]).lstrip(".")
        seen = without_login(repr(detail["input"]))
        parts.append(f"{where}: {detail['msg'][0].lower()}{detail['msg'][1:]} (found {seen})")
    return "; ".join(parts)
