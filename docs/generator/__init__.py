"""The reference pages, made from the code. ``python -m docs.generator`` writes them."""

from __future__ import annotations

from pathlib import Path

from docs.generator import commands, files
from kubev6.cli.schema import KINDS

DIRECTORY = Path(__file__).resolve().parents[1] / "reference"


def pages() -> dict[str, str]:
    """Every reference page by the name of its file."""
    made = {"command-line.md": commands.page(), **{f"{kind}-file.md": files.page(kind) for kind in KINDS}}
    return {
        name: f"<!-- Made from the code by `make docs`; not edited by hand. -->\n\n{text}"
        for name, text in made.items()
    }
