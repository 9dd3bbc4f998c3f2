"""Real repositories and a real git server for the tests of series."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ANN, BEN = ("Ann Example", "ann@example.org"), ("Ben Ünal", "ben@example.org")
QUIET = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}


class Project:
    """A repository with a working tree.

    Attributes:
        path: Its directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._clock = 1_500_000_000
        path.mkdir(parents=True, exist_ok=True)
        if not (path / ".git").exists():
            self.git("init", "--quiet", "--initial-branch=master")
            self.git("config", "uploadpack.allowFilter", "true")

    def git(self, *words: str, author: tuple[str, str] = ANN) -> str:
        """Run git in it and return what it wrote."""
        self._clock += 60
        date = f"@{self._clock} -0700"
        identity = {"GIT_AUTHOR_NAME": author[0], "GIT_AUTHOR_EMAIL": author[1], "GIT_AUTHOR_DATE": date}
        identity |= {
            "GIT_COMMITTER_NAME": "Carl",
            "GIT_COMMITTER_EMAIL": "carl@example.org",
            "GIT_COMMITTER_DATE": date,
        }
        done = subprocess.run(
            ["git", *words],
            cwd=self.path,
            env={**os.environ, **QUIET, **identity},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"git {words}: {done.stderr}"
        return done.stdout.strip()

    def commit(self, title: str, files: dict[str, str | None], *, author: tuple[str, str] = ANN) -> str:
        """Commit some files, those without content removed, and return the commit's id."""
        for name, content in files.items():
            path = self.path / name
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", f"{title}\n\nWhy.", author=author)
        return self.git("rev-parse", "HEAD")

    def objects(self) -> set[str]:
        """Ids of all commits in it."""
        listed = self.git("cat-file", "--batch-all-objects", "--batch-check").splitlines()
        return {line.split()[0] for line in listed if line.split()[1] == "commit"}


@contextmanager
def served(root: Path) -> Iterator[str]:
    """A git server for all repositories below a directory; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    words = ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all"]
    daemon = subprocess.Popen(
        [*words, f"--base-path={root}", str(root)], stderr=subprocess.DEVNULL, env={**os.environ, **QUIET}
    )
    try:
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.01)
        yield f"git://127.0.0.1:{port}"
    finally:
        daemon.terminate()
        daemon.wait()
