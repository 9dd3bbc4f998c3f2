"""A database of Prefect's as it is before anything has happened, made once for all tests of one time.

A server that finds none goes through every version that Prefect's tables ever had, which takes longer than its start.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from kubev6.server import environment
from kubev6.server.temporary_server import TemporaryServer
from tasks.exclusive import exclusive

DATABASE, KNOWN = "prefect.db", "memo_store.toml"
"""What a server leaves in its home: its tables, and that they hold the kinds of blocks that it knows."""


class PrefectDatabase:
    """Gives homes of Prefect's a database that is new.

    Args:
        common: A directory of all processes that run these tests.
    """

    def __init__(self, common: Path) -> None:
        self._common = common

    def put_in(self, home: Path) -> Path:
        """Give one to a home that has none.

        Args:
            home: The home, which is made.

        Returns:
            The same.
        """
        with exclusive(self._common / "prefect-database.lock"):
            made = self._common / "prefect-database"
            if not (made / DATABASE).exists():
                _make(made)
        home.mkdir(mode=0o700, parents=True)
        for name in (DATABASE, KNOWN):
            shutil.copyfile(made / name, home / name)
        return home


def _make(directory: Path) -> None:
    """Have a server make one, and take it as one file without a log beside it."""
    home = directory / "of-a-server"
    home.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        patch.setattr(os, "environ", os.environ.copy())
        os.environ["PREFECT_HOME"] = str(home)
        environment.prepare()
        server = TemporaryServer()
        try:
            server.wait()
        finally:
            server.stop()
    shutil.copyfile(home / KNOWN, directory / KNOWN)
    whole = directory / "whole"
    with closing(sqlite3.connect(home / DATABASE)) as theirs, closing(sqlite3.connect(whole)) as ours:
        theirs.backup(ours)
    whole.rename(directory / DATABASE)
