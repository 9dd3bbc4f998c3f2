"""``python -m docs.generator``: write the reference pages again."""

from __future__ import annotations

from docs.generator import DIRECTORY, pages

DIRECTORY.mkdir(exist_ok=True)
for name, text in pages().items():
    (DIRECTORY / name).write_text(text, encoding="utf-8")
