"""Git repositories of our own, in which nothing of the user's git settings takes part."""

from __future__ import annotations

import email.utils
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import git

from configs.errors import KubeV6Error
from tasks.bounded import TooMuchError
from tasks.release.series.git_command import NO_SETTINGS, complaint

COMMITTER = "kubev6 <kubev6@localhost>"

LARGEST = 64 << 20
"""Bytes of an object that is read here: a commit, or a file of source code; Kubernetes' largest has some MiB."""
_MISSING = re.compile(
    r"(?:unable to|could not|cannot|missing|bad|not a valid|corrupt)[^\n]*?\b([0-9a-f]{40})\b", re.IGNORECASE
)


class MissingObjectError(KubeV6Error):
    """An object that is needed is not in the repository, or damaged there."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as it is stored.

    Attributes:
        id: Its id.
        tree: Id of its tree.
        parents: Ids of its parents, also of those that a shallow repository lacks.
        author: ``Name <address> seconds zone``.
        committed: Committer's date, seconds since 1970.
        message: The whole message.
    """

    id: str
    tree: str
    parents: tuple[str, ...]
    author: str
    committed: int
    message: str

    @property
    def title(self) -> str:
        """First paragraph of the message in one line."""
        return " ".join(self.message.strip().split("\n\n", 1)[0].split())

    @property
    def author_name(self) -> str:
        """``Name <address>``."""
        return self.author.rsplit(" ", 2)[0]


def open_repository(
    repository: Path,
    *,
    work_tree: Path | None = None,
    index: Path | None = None,
    committed: int = 0,
    borrowed: Sequence[Path] = (),
) -> git.Repo:
    """Open one of our repositories so that nothing of the user's own git settings takes part.

    Args:
        repository: Directory with a ``.git``.
        work_tree: Another directory to check out into; the repository's own when None.
        index: The index file that goes with it.
        committed: Committer's date of new commits, seconds since 1970.
        borrowed: Object directories that are read too.
    """
    repo = git.Repo(repository)
    name, address = email.utils.parseaddr(COMMITTER)
    repo.git.update_environment(
        GIT_DIR=str(repository / ".git"),
        GIT_WORK_TREE=str(work_tree or repository),
        GIT_INDEX_FILE=str(index or repository / ".git" / "index"),
        GIT_OBJECT_DIRECTORY=str(repository / ".git" / "objects"),
        GIT_ALTERNATE_OBJECT_DIRECTORIES=":".join(_quoted(path) for path in borrowed),
        GIT_COMMITTER_NAME=name,
        GIT_COMMITTER_EMAIL=address,
        GIT_COMMITTER_DATE=f"{committed} +0000",
        **NO_SETTINGS,
    )
    return repo


def create_repository(path: Path, *, committed: int) -> git.Repo:
    """Make an empty repository that stores every file as it is: no filters, no ignored files, no hooks."""
    path.mkdir(parents=True, exist_ok=True)
    places = {"GIT_DIR": path / ".git", "GIT_WORK_TREE": path, "GIT_OBJECT_DIRECTORY": path / ".git" / "objects"}
    git.Git(path).init(
        "--quiet",
        "--initial-branch=base",
        "--template=",
        env={**{name: str(place) for name, place in places.items()}, **NO_SETTINGS},
    )
    repo = open_repository(path, committed=committed)
    with repo.config_writer() as config:
        for section, key, value in (
            ("core", "autocrlf", "false"),
            ("core", "fileMode", "true"),
            ("core", "hooksPath", "/dev/null"),
            ("core", "excludesFile", "/dev/null"),
            ("core", "compression", "1"),
            ("core", "quotePath", "false"),
            ("commit", "gpgSign", "false"),
            ("gc", "auto", "0"),
            ("rerere", "enabled", "false"),
        ):
            config.set_value(section, key, value)
    attributes = path / ".git" / "info" / "attributes"
    attributes.parent.mkdir(exist_ok=True)
    attributes.write_text("* -text -eol -ident -filter -working-tree-encoding !merge\n")
    return repo


def commit_all(repo: git.Repo, message: str, *, author: str, date: str) -> str:
    """Commit everything that is in the working tree and return the commit id.

    Args:
        repo: A repository of :func:`open_repository`.
        message: Whole commit message.
        author: ``Name <address>``.
        date: Author's date in a form that git reads.
    """
    repo.git.add("--all", "--force", ".")
    commit_index(repo, message, author=author, date=date)
    return repo.head.commit.hexsha


def commit_index(repo: git.Repo, message: str, *, author: str, date: str) -> None:
    """Commit what is in the index; the arguments are those of :func:`commit_all`."""
    repo.git.commit(
        "--quiet",
        "--no-verify",
        "--cleanup=whitespace",
        f"--author={author}",
        f"--date={date}",
        f"--message={message}",
    )


def read_commit(repo: git.Repo, commit: str) -> Commit:
    """Read one commit.

    Args:
        repo: The repository.
        commit: Its full id.

    Raises:
        MissingObjectError: It is not there.
    """
    head, _, message = read_object(repo, commit).partition(b"\n\n")
    fields: dict[str, list[str]] = {}
    encoding = (re.findall(rb"^encoding (\S+)$", head, re.MULTILINE) or [b"utf-8"])[0].decode()
    for line in _decoded(head, encoding).split("\n"):
        key, _, value = line.partition(" ")
        if key:  # else it continues a signature
            fields.setdefault(key, []).append(value)
    return Commit(
        id=commit,
        tree=fields["tree"][0],
        parents=tuple(fields.get("parent", ())),
        author=fields["author"][0],
        committed=int(fields["committer"][0].split()[-2]),
        message=_decoded(message, encoding).lstrip("\n"),
    )


def kind_of(repo: git.Repo, name: str) -> str:
    """What kind of object a name stands for, such as ``commit``; empty when it is not there."""
    try:
        kind: Any = repo.git.get_object_header(name)[1]  # bytes, whatever GitPython's annotation says
        return str(kind.decode())
    except (ValueError, OSError):
        repo.git.clear_cache()  # the process that answers such questions may have died of a damaged object
        return ""


def read_object(repo: git.Repo, name: str) -> bytes:
    """The content of an object.

    Raises:
        MissingObjectError: It is not there, or damaged.
        KubeV6Error: It is larger than any of source code.
    """
    try:
        size = repo.git.get_object_header(name)[2]
        if size > LARGEST:
            todo = "leave out of the series what it belongs to"
            raise KubeV6Error(f"object {name}: {TooMuchError(LARGEST)}", todo=todo)
        return bytes(repo.git.get_object_data(name)[3])
    except (ValueError, OSError):
        repo.git.clear_cache()
        raise MissingObjectError(f"object {name} is missing or damaged") from None


def write_commit(
    repo: git.Repo, *, tree: str, parents: Iterable[str], author: str, committed: int, message: str
) -> str:
    """Write a commit of exactly these parts and return its id; the committer is ours.

    Args:
        repo: The repository.
        tree: Id of its tree.
        parents: Ids of its parents.
        author: ``Name <address> seconds zone``.
        committed: Committer's date, seconds since 1970.
        message: The whole message.
    """
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {author}"]
    lines += [f"committer {COMMITTER} {committed} +0000", "", message]
    with as_input("\n".join(lines).encode(errors="surrogateescape")) as given:
        return str(repo.git.hash_object("-t", "commit", "-w", "--stdin", istream=given))


@contextmanager
def as_input(content: bytes) -> Iterator[IO[bytes]]:
    """A file that a git command can read ``content`` from."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file


def listed(output: str) -> list[str]:
    """The names in NUL-separated output of git."""
    return [name for name in output.split("\0") if name]


def first_words(error: git.GitCommandError) -> str:
    """What git complained of, in one line without its prefix."""
    return complaint(stderr_of(error)) or f"ended with status {error.status}"


def stderr_of(error: git.GitCommandError) -> str:
    """What git wrote to its standard error, without what GitPython puts around it."""
    return re.sub(r"^\s*stderr: '(.*)'\s*$", r"\1", str(error.stderr), flags=re.DOTALL)


def missing_object(output: str) -> str:
    """Id of the object that git said it cannot read; empty when it said nothing like it."""
    found = _MISSING.search(output)
    return str(found[1]) if found else ""


def need_merge_tree(repo: git.Repo) -> None:
    """Refuse a git that cannot merge without a working tree.

    Raises:
        KubeV6Error: It is older than 2.38, the first with ``git merge-tree --write-tree``.
    """
    found = repo.git.version_info
    if found < (2, 38):
        raise KubeV6Error(
            f"git on this machine is {'.'.join(map(str, found))}, and picking patches needs 2.38",
            todo="install a newer git",
        )


def _decoded(text: bytes, encoding: str) -> str:
    try:
        return text.decode(encoding)
    except (LookupError, UnicodeDecodeError):
        return text.decode(errors="surrogateescape")


def _quoted(path: Path) -> str:
    """A path for a list that is separated by colons, as git reads it."""
    text = os.fspath(path)
    if ":" not in text and not text.startswith('"'):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
