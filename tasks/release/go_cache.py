"""Go's build cache, which all compilations with one compiler share.

Go looks whether an entry has its size, but not at its bytes. The name of what was compiled is its sha256, so we do.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.exclusive import exclusive, shared
from tasks.paths import cache_dir
from tasks.release.verified import Verified

NAME = "go-build"
"""What the cache of Debian 12's Go is called, and what the names of others begin with."""
DATA = "-d"
"""What the names of compiled things end with."""


def go_cache(name: str = NAME) -> Path:
    """Where one is; made when it is not there.

    Args:
        name: Which, see :attr:`tasks.release.compiler.Compiler.cache`.
    """
    cache = cache_dir() / name
    cache.mkdir(parents=True, exist_ok=True)
    return cache


@contextmanager
def filling(say: Callable[[str], None], name: str = NAME) -> Iterator[Path]:
    """The cache for a compilation, without what is not as it was compiled, which so is compiled again.

    Who compiles alone looks first. Who joins others does not: they have looked, and an entry that one of them is about
    to write, which Go does under its final name, would be taken for a damaged one.

    Args:
        say: Hears what it waits for, and may raise to end it.
        name: Which cache.
    """
    real = go_cache(name).resolve()
    lock = real.with_name(f"{real.name}.lock")
    with suppress(_OthersCompileError), exclusive(lock, on_wait=_leave_to_others):
        _drop_damaged(real, say)
    with shared(lock, on_wait=lambda: say("another run looks at what was compiled before")):
        yield go_cache(name)


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


class _OthersCompileError(Exception):
    """Others compile with the cache, or look at it."""


def _leave_to_others() -> None:
    raise _OthersCompileError


def _drop_damaged(cache: Path, say: Callable[[str], None]) -> None:
    """Remove what is not as it was compiled. What was not touched since it was looked at is not read again."""
    verified = Verified(cache.with_name(f"{cache.name}.json"))
    with verified.looking():
        for directory in sorted(path for path in cache.iterdir() if len(path.name) == 2):
            say("looking at what was compiled before")
            for entry in os.scandir(directory):
                if entry.name.endswith(DATA) and verified.fault(Path(entry.path), entry.name.removesuffix(DATA)):
                    Path(entry.path).unlink(missing_ok=True)
