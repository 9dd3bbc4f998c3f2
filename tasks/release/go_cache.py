"""Go's build cache, which all compilations share.

Go looks whether an entry has its size, but not at its bytes. The name of what was compiled is its sha256, so we do.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.paths import cache_dir
from tasks.steps import Step
from tasks.verified import Verified

DATA = "-d"
"""What the names of compiled things end with."""


def go_cache() -> Path:
    """Where it is; made when it is not there."""
    cache = cache_dir() / "go-build"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def drop_damaged(shown: Step) -> int:
    """Remove what is not as it was compiled, so that it is compiled again. What was not touched is not read again.

    Args:
        shown: Step that hears how far it is.

    Returns:
        How many entries that were.
    """
    verified, damaged = Verified(go_cache().resolve().with_name("go-build.json")), 0
    with verified.looking():
        for directory in sorted(path for path in go_cache().iterdir() if len(path.name) == 2):
            shown.progress("looking at what was compiled before")
            for entry in os.scandir(directory):
                if entry.name.endswith(DATA) and verified.fault(Path(entry.path), entry.name.removesuffix(DATA)):
                    Path(entry.path).unlink(missing_ok=True)
                    damaged += 1
    return damaged


@contextmanager
def beside(kept: Path) -> Iterator[Path]:
    """An empty directory to compile with instead of a kept one, which gets what came of it if all goes well."""
    real = kept.resolve()
    fresh = real.with_name(f".{real.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        for path in [path for path in fresh.rglob("*") if path.is_file()]:
            place = real / path.relative_to(fresh)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
