"""A repository with many files, and a series of patches to it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.integration.git_project import Project


@dataclass(frozen=True)
class LargeProject:
    """The repository.

    Attributes:
        project: It.
        base: Id of the commit that has all the files.
        patches: Ids of the commits that follow.
        tree: Id of the tree that comes of them.
        series: A series file that names them.
    """

    project: Project
    base: str
    patches: list[str]
    tree: str
    series: Path


def large_project(root: Path, files: int, patches: int) -> LargeProject:
    """Make one.

    Args:
        root: An empty directory, or none yet.
        files: How many files it has.
        patches: How many commits follow the first, each on one file.
    """
    made = Project(root / "project")
    stream = ["commit refs/heads/master\ncommitter A <a@example.org> 1500000000 +0000\ndata 4\nbase\n"]
    stream += [f"M 644 inline d{number % 60}/f{number}.txt\ndata 2\n0\n" for number in range(files)]
    stream += [
        f"commit refs/heads/master\ncommitter A <a@example.org> 1500000000 +0000\ndata 2\n{number}\n"
        f"M 644 inline d{number}/f{number}.txt\ndata 2\n{number + 1}\n"
        for number in range(patches)
    ]
    subprocess.run(["git", "fast-import", "--quiet"], cwd=made.path, input="".join(stream), text=True, check=True)
    base = made.git("rev-parse", f"master~{patches}")
    ids = made.git("rev-list", "--reverse", f"{base}..master").split()
    named = "".join(f"  - {{remote: up, commit: '{each}'}}\n" for each in ids)
    (root / "large.yaml").write_text(
        f"remotes: {{up: {made.path}}}\nbase: {{remote: up, commit: '{base}'}}\npatches:\n{named}"
    )
    return LargeProject(made, base, ids, made.git("rev-parse", "master^{tree}"), root / "large.yaml")
