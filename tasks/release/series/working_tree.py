"""A working tree as the source of a build: what stands there now, uncommitted changes and new files too; or a commit.

What stands there is written as a commit into a repository of ours, which reads the objects of the tree's own where they
are. Nothing is written into the tree or its repository. What counts is what its own git counts: files that it knows,
and others that it does not ignore.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import git

from configs.errors import ConfigError, KubeV6Error
from configs.words import counted
from tasks.exclusive import exclusive
from tasks.paths import cache_dir, expanded
from tasks.release.series.git_command import ask, complaint, objects_of, usual_environment
from tasks.release.series.repository import (
    COMMITTER,
    as_input,
    create_repository,
    first_words,
    kind_of,
    listed,
    open_repository,
    read_commit,
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
SIGN = "cmd/kubelet"
"""A directory by which a tree of Kubernetes is known."""
SUBMODULE = "160000"
"""How a tree of git's marks what is in another repository."""
TODO = "name the top directory of a checkout of Kubernetes, the one that has .git in it"
FEW = 3
"""So many changed files are named."""


def obtain(tree: WorkingTree) -> Source:
    """The tree as it stands, or as its commit has it.

    Args:
        tree: Where it is.

    Raises:
        ConfigError: There is no working tree of git's, or no such commit.
        KubeV6Error: A file of it cannot be read, or it does not stand still.
    """
    with step("working tree", "read") as shown:
        with _reading(tree) as repo:
            commit = _commit(repo, tree)
            before = repo.git.for_each_ref("--format=%(objectname)", LAST)
            changed = _changed(repo, before, commit) if before else None
            repo.git.update_ref(LAST, commit)
        shown.ended_as(f"{tree.path}, for the first time" if changed is None else told(changed))
    return Source(
        name=tree.path.name,
        version=commit[:10],
        origin=str(tree.path),
        repository=_repository(tree),
        base=commit,
        timestamp=NEVER,
        borrowed=(objects(tree.path),),
    )


def identity(tree: WorkingTree) -> str:
    """The id of the tree, as git knows trees.

    Arguments and errors are those of :func:`obtain`.
    """
    with _reading(tree) as repo:
        return read_commit(repo, _commit(repo, tree)).tree


def top(directory: Path) -> Path:
    """The top directory of the working tree that a directory is in.

    Args:
        directory: The directory.

    Raises:
        ConfigError: It is in none.
    """
    answer = ask_there(Path(expanded(str(directory))).absolute(), "rev-parse", "--show-toplevel")
    if answer.returncode or not (found := answer.stdout.rstrip("\n")):
        raise ConfigError(f"{directory} is no working tree of git's", todo=TODO)
    if not (Path(found) / SIGN).is_dir():
        raise ConfigError(f"{found} is no tree of Kubernetes: it has no {SIGN}", todo=TODO)
    return Path(found)


def objects(directory: Path) -> Path:
    """Where the repository of a working tree keeps its objects.

    Args:
        directory: The top directory of the tree.

    Raises:
        ConfigError: It is none.
    """
    if (found := objects_of(directory)) is None:
        raise ConfigError(f"{directory} is not the top directory of a working tree of git's", todo=TODO)
    return found


def ask_there(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Ask git of somebody's repository, by the user's own settings, as for what is ignored; nothing of it is run.

    Args:
        place: A directory in its working tree.
        words: The words behind ``git``.
    """
    settings = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
    return ask(["-C", str(place), *settings, *words], usual_environment() | {"GIT_OPTIONAL_LOCKS": "0"})


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
        borrowed = [objects(tree.path)]
        with open_repository(repository, work_tree=tree.path, committed=NEVER, borrowed=borrowed) as repo:
            yield repo


def _repository(tree: WorkingTree) -> Path:
    return cache_dir() / "git" / tree.name


def _commit(repo: git.Repo, tree: WorkingTree) -> str:
    """The id of a commit that has the tree: its own, or one that is written of it as it stands."""
    if tree.commit:
        if kind_of(repo, tree.commit) != "commit":
            raise ConfigError(f"{tree.path} has no commit {tree.commit}", todo="name one that `git log` shows there")
        return tree.commit
    written = _write_tree(repo, tree.path)
    author, message = f"{COMMITTER} {NEVER} +0000", f"{tree.path} as it stood\n"
    return write_commit(repo, tree=written, parents=(), author=author, committed=NEVER, message=message)


def _changed(repo: git.Repo, before: str, after: str) -> list[str] | None:
    """The names of the files that differ between two readings; None when what was read before is not there any more."""
    try:
        return listed(repo.git.diff_tree("-r", "--name-only", "-z", before, after))
    except git.GitCommandError:  # its objects were those of a repository that was made again, or thrown away there
        return None


def _write_tree(repo: git.Repo, place: Path) -> str:
    """The id of the tree that stands in a directory."""
    index = Path(repo.git_dir) / "index"
    index.with_suffix(".lock").unlink(missing_ok=True)  # of a run that was killed: the lock is ours
    for attempt in range(1, ATTEMPTS + 1):
        if attempt == ATTEMPTS:
            index.unlink(missing_ok=True)  # it may be what is damaged
        try:
            wanted = _counted(place)
            gone = [name for name in listed(repo.git.ls_files("-z")) if name not in wanted]
            for names, words in ((gone, ["--force-remove"]), (sorted(wanted), ["--add", "--remove", "--replace"])):
                with as_input("\0".join(names).encode(errors="surrogateescape")) as given:
                    repo.git.update_index(*words, "-z", "--stdin", istream=given)
            return str(repo.git.write_tree())
        except git.GitCommandError as error:
            if attempt == ATTEMPTS:
                raise KubeV6Error(
                    f"{place} cannot be read: {first_words(error)}",
                    todo="mend that, or leave the file alone while it is read",
                    detail=stderr_of(error),
                ) from None
    raise AssertionError


def _counted(place: Path) -> set[str]:
    """The names of the files that count, of which some may be gone.

    Raises:
        KubeV6Error: Git does not tell; or a part of the tree is elsewhere.
    """
    answer = ask_there(place, "ls-files", "-z", "-t", "-s", "--cached")
    others = ask_there(place, "ls-files", "-z", "--others", "--exclude-standard")
    if seen := next((each.stderr for each in (answer, others) if each.returncode), ""):
        raise KubeV6Error(
            f"{place}: git does not say which files it has: {complaint(seen)}", todo="see `git status` there"
        )
    found = set(listed(others.stdout))
    elsewhere = {name.rstrip("/"): "is a repository of its own" for name in found if name.endswith("/")}
    for each in listed(answer.stdout):
        about, _, name = each.partition("\t")
        tag, mode = about.split()[:2]
        found.add(name)
        if mode == SUBMODULE:
            elsewhere[name] = "is a submodule"
        elif tag == "S" and not (place / name).exists():
            elsewhere[name] = "is left out by a sparse checkout"
    if elsewhere:
        name, why = next(iter(elsewhere.items()))
        raise KubeV6Error(
            f"{place}: {name} {why}, and would be missing in what is compiled",
            todo="take a whole checkout, and let git ignore what is no part of it (.git/info/exclude)",
        )
    return found
