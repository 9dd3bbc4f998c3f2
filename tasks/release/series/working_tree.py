"""A working tree as the source of a build: what stands there now, uncommitted changes and new files too.

It is written as a commit into a repository of ours, which reads the objects of the tree's own where they are. Nothing
is written into the tree or its repository. What git ignores there takes no part.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import git

from configs.errors import ConfigError, KubeV6Error
from configs.words import counted
from tasks.exclusive import exclusive
from tasks.paths import cache_dir
from tasks.release.series.git_command import NO_SETTINGS, ask, objects_of, usual_environment
from tasks.release.series.repository import (
    COMMITTER,
    create_repository,
    first_words,
    listed,
    open_repository,
    stderr_of,
    write_commit,
)
from tasks.release.series.series_file import WorkingTree
from tasks.release.series.source import Source
from tasks.steps import step

ATTEMPTS = 3
"""How often a tree is read in which files change meanwhile."""
NEVER = 0
"""When it was committed, seconds since 1970: the bytes that are compiled of it do not depend on when that was."""
LAST = "refs/kubev6/last"
TODO = "name the top directory of a checkout of Kubernetes, the one that has .git in it"
FEW = 3
"""So many changed files are named."""


def obtain(tree: WorkingTree) -> Source:
    """The tree as it stands.

    Args:
        tree: Where it is.

    Raises:
        ConfigError: There is no working tree of git's.
        KubeV6Error: A file of it cannot be read, or it does not stand still.
    """
    with step("working tree", "read") as shown:
        with _reading(tree) as repo:
            written = _write_tree(repo, tree.path)
            author = f"{COMMITTER} {NEVER} +0000"
            commit = write_commit(
                repo, tree=written, parents=(), author=author, committed=NEVER, message=f"{tree.path} as it stood\n"
            )
            before = repo.git.for_each_ref("--format=%(objectname)", LAST)
            changed = listed(repo.git.diff_tree("-r", "--name-only", "-z", before, commit)) if before else []
            repo.git.update_ref(LAST, commit)
        shown.ended_as(told(changed) if before else f"{tree.path}, for the first time")
    return Source(
        name=tree.path.name,
        version=commit[:10],
        origin=str(tree.path),
        repository=_repository(tree),
        base=commit,
        timestamp=NEVER,
        borrowed=(_objects(tree),),
    )


def identity(tree: WorkingTree) -> str:
    """The id of the tree as it stands, as git knows trees.

    Arguments and errors are those of :func:`obtain`.
    """
    with _reading(tree) as repo:
        return _write_tree(repo, tree.path)


def top(directory: Path) -> Path:
    """The top directory of the working tree that a directory is in.

    Args:
        directory: The directory.

    Raises:
        ConfigError: It is in none.
    """
    if found := _said(directory.expanduser().absolute(), "rev-parse", "--show-toplevel"):
        return Path(found)
    raise ConfigError(
        f"{directory} is no working tree of git's",
        todo=TODO,
    )


def told(changed: list[str]) -> str:
    """What has changed since it was read last, for a person. Pure.

    Args:
        changed: The names of the files.
    """
    if not changed:
        return "nothing has changed"
    more = f" and {counted(len(changed) - FEW, 'other')}" if len(changed) > FEW else ""
    return f"changed: {', '.join(changed[:FEW])}{more}"


@contextmanager
def _reading(tree: WorkingTree) -> Iterator[git.Repo]:
    """Our repository for a tree, which nobody else writes meanwhile."""
    repository = _repository(tree)
    with exclusive(repository.with_name(f".{repository.name}.lock"), what=f"reading {tree.path}"):
        if not (repository / ".git" / "info" / "attributes").exists():
            create_repository(repository, committed=NEVER)
        yield open_repository(repository, work_tree=tree.path, committed=NEVER, borrowed=[_objects(tree)])


def _repository(tree: WorkingTree) -> Path:
    return cache_dir() / "git" / tree.name


def _objects(tree: WorkingTree) -> Path:
    """Where a tree's own repository keeps its objects."""
    if (found := objects_of(tree.path)) is None:
        raise ConfigError(f"{tree.path} is not the top directory of a working tree of git's", todo=TODO)
    return found


def _write_tree(repo: git.Repo, place: Path) -> str:
    """The id of the tree that stands in a directory."""
    ignored = _said(place, "rev-parse", "--path-format=absolute", "--git-path", "info/exclude")
    (Path(repo.git_dir) / "index.lock").unlink(missing_ok=True)  # of a run that was killed: the lock is ours
    for attempt in range(1, ATTEMPTS + 1):
        try:
            repo.git(c=f"core.excludesFile={ignored}").add("--all", ".")
            return str(repo.git.write_tree())
        except git.GitCommandError as error:
            if attempt == ATTEMPTS:
                raise KubeV6Error(
                    f"{place} cannot be read: {first_words(error)}",
                    todo="mend that, or leave the file alone while it is read",
                    detail=stderr_of(error),
                ) from None
    raise AssertionError


def _said(place: Path, *words: str) -> str:
    """What git says of somebody's repository, of which nothing is run; empty when it says nothing."""
    answer = ask(["-C", str(place), "-c", "safe.directory=*", *words], usual_environment() | NO_SETTINGS)
    return answer.stdout.rstrip("\n") if answer.returncode == 0 else ""
