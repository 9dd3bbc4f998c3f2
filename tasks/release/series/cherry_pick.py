"""One commit picked onto another without a working tree.

``git merge-tree`` merges trees as ``git cherry-pick`` does, renames included, and opens only what the commit touches:
no index of a large tree is read, no file is checked out, and objects elsewhere in the tree may even be missing. It
finds the base of the merge by itself from the history, so it is given a history of three commits made for it: the
picked commit's parent, and on top of that our head's tree and the picked commit's.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import git

from tasks.release.series.repository import (
    COMMITTER,
    Commit,
    MissingObjectError,
    as_input,
    missing_object,
    read_commit,
    read_object,
    write_commit,
)

_TRAILER = re.compile(r"[A-Za-z0-9-]+: |\(cherry picked from commit |\s")
_KIND = re.compile(r"CONFLICT \((.*?)\)")
_HUNK = re.compile(rb"^<<<<<<< [^\n]*\n(.*?)^=======\n(.*?)^>>>>>>> [^\n]*\n?", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Hunk:
    """One place where both sides changed the same lines: what is there, and what the patch wants there."""

    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class ConflictingFile:
    """A file that could not be merged.

    Attributes:
        path: The file.
        kind: What kind of conflict in git's words, for example ``contents`` or ``modify/delete``.
        said: What git says about it in one line.
        hunks: The places in it; none where it is not one of content.
    """

    path: str
    kind: str
    said: str
    hunks: tuple[Hunk, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of picking a commit.

    Attributes:
        tree: Id of the merged tree; the head's own when the commit changes nothing there.
        conflicts: The files that could not be merged; then the tree is of no use.
    """

    tree: str
    conflicts: tuple[ConflictingFile, ...] = ()


def merge(repo: git.Repo, head_tree: str, commit: Commit) -> Merged:
    """Merge what a commit changes into a tree.

    Args:
        repo: The repository that holds both.
        head_tree: The tree.
        commit: The commit, whose parent's tree is there too.

    Raises:
        MissingObjectError: An object on the way is missing or damaged.
    """
    before = read_commit(repo, commit.parents[0]).tree if commit.parents else _empty_tree(repo)
    base = _write(repo, before)
    sides = [_write(repo, tree, base) for tree in (head_tree, commit.tree)]
    status, output, said = repo.git.merge_tree(
        "--write-tree",
        "--messages",
        "-z",
        *sides,
        with_extended_output=True,
        with_exceptions=False,
        stdout_as_string=False,
        strip_newline_in_stdout=False,
    )
    if status not in (0, 1) or not output:
        seen = missing_object(said)
        raise MissingObjectError(
            f"object {seen} is missing or damaged" if seen else f"git merge-tree: {_first_line(said)}", detail=said
        )
    tree, _, rest = output.partition(b"\0")
    if status == 0:
        return Merged(tree.decode())
    named = os.fsdecode(rest).replace(sides[0], "what is there").replace(sides[1], "the patch")
    return Merged(tree.decode(), _conflicts(repo, tree.decode(), named))


def with_origin(message: str, commit: str) -> str:
    """A commit message that says where the change was picked from, in the words of ``git cherry-pick -x``."""
    text = message if message.endswith("\n") else f"{message}\n"
    paragraphs = text.rstrip("\n").split("\n\n")
    in_trailers = len(paragraphs) > 1 and all(_TRAILER.match(line) for line in paragraphs[-1].split("\n"))
    return f"{text}{'' if in_trailers else chr(10)}(cherry picked from commit {commit})\n"


def _write(repo: git.Repo, tree: str, *parents: str) -> str:
    """A commit for a merge's sake, the same every time."""
    return write_commit(repo, tree=tree, parents=parents, author=f"{COMMITTER} 0 +0000", committed=0, message="merge\n")


def _empty_tree(repo: git.Repo) -> str:
    with as_input(b"") as nothing:
        return str(repo.git.hash_object("-t", "tree", "-w", "--stdin", istream=nothing))


def _conflicts(repo: git.Repo, tree: str, output: str) -> tuple[ConflictingFile, ...]:
    """Read what ``git merge-tree -z --messages`` wrote behind the tree's id."""
    stages, _, messages = output.partition("\0\0")
    paths = dict.fromkeys(entry.split("\t", 1)[1] for entry in stages.split("\0") if "\t" in entry)
    said: dict[str, tuple[str, str]] = {}
    fields = messages.split("\0")
    while len(fields) > 3:
        count = int(fields[0])
        about, kind, words = fields[1 : 1 + count], fields[1 + count], fields[2 + count]
        fields = fields[3 + count :]
        if kind.startswith("CONFLICT"):
            # The words name it more exactly than the kind, which calls two files added under one name "contents".
            short = (_KIND.search(words) or _KIND.search(kind) or [kind, kind])[1]
            for path in about:
                said.setdefault(path, (short, _first_line(words)))
    return tuple(
        ConflictingFile(path, *said.get(path, ("", "")), _hunks(repo, tree, path))
        for path in paths | dict.fromkeys(said)
    )


def _hunks(repo: git.Repo, tree: str, path: str) -> tuple[Hunk, ...]:
    try:
        text = read_object(repo, f"{tree}:{path}")
    except MissingObjectError:  # deleted, or merged under another name
        return ()
    return tuple(Hunk(*(side.decode(errors="replace") for side in sides)) for sides in _HUNK.findall(text))


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "nothing")
