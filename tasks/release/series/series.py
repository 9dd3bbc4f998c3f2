"""A series of patches picked onto a base.

Every new commit keeps its author and author's date; committer and date are ours and the source's. So the same series
on the same base gives the same commit ids every time, on every machine. The committer's date is the base's and not
that of the picked commit, which may be older than what it is picked onto: git's walks through history go by date.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import git

from configs.errors import ConfigError, KubeV6Error
from configs.manifest import PatchEntry
from tasks.events import SeriesPicked, emit
from tasks.exclusive import exclusive
from tasks.release.series import cherry_pick
from tasks.release.series.cherry_pick import ConflictingFile
from tasks.release.series.debian_source import PATCH_BRANCH, TRAILER
from tasks.release.series.git_source import resolve
from tasks.release.series.repository import (
    COMMITTER,
    Commit,
    MissingObjectError,
    as_input,
    kind_of,
    listed,
    read_commit,
    read_object,
    write_commit,
)
from tasks.release.series.series_file import DebianSeries, Rewrite, Series
from tasks.release.series.source import Source
from tasks.steps import step

_PICKED_FROM = re.compile(r"^\(cherry picked from commit ([0-9a-f]{40})\)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Picked:
    """A series on its base.

    Attributes:
        series: Name of the series.
        base: Commit id of the base.
        commit: Commit id of the result.
        tree: Tree id of the result.
        patches: What became of each patch and of each rewrite.
    """

    series: str
    base: str
    commit: str
    tree: str
    patches: tuple[PatchEntry, ...]


def announce(picked: Picked) -> None:
    """Let the run know what became of a series."""
    emit(
        SeriesPicked(
            name=picked.series, base=picked.base, commit=picked.commit, tree=picked.tree, patches=picked.patches
        )
    )


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch of a series and the commit that it is.

    Attributes:
        name: What the series calls it: its name on the patch branch, or the commit's id.
        commit: The commit to be picked.
        pull_request: Number of its pull request.
        upstream: What the series says became of it in the base's project.
    """

    name: str
    commit: Commit
    pull_request: int | None = None
    upstream: str = ""

    def __str__(self) -> str:
        pull = f", pull request {self.pull_request}" if self.pull_request else ""
        return f"{self.name} ({self.commit.title!r}{pull})"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a patch stands to a base.

    Attributes:
        patch: The patch.
        outcome: What picking it there comes to.
        conflicts: The files that could not be merged.
    """

    patch: Patch
    outcome: Literal["applies", "already upstream", "conflict"]
    conflicts: tuple[ConflictingFile, ...] = ()


class ConflictError(KubeV6Error):
    """A patch that cannot be picked.

    Args:
        series: The series.
        position: Number of the patch in it, from 1 on.
        patch: The patch.
        source: Where it was picked onto.
        conflicts: The files that could not be merged.
    """

    def __init__(
        self, series: Series, position: int, patch: Patch, source: Source, conflicts: tuple[ConflictingFile, ...]
    ) -> None:
        super().__init__(
            f"series {series.name}: patch {position}, {patch}, conflicts with {source.name} {source.version} and what "
            f"was picked before it, in {', '.join(f'{file.path} ({file.kind})' for file in conflicts)}",
            todo=f"mend the patch, or its place in {series.path}",
            detail=both_sides(conflicts),
        )
        self.position = position
        self.patch = patch
        self.conflicts = conflicts


def pick(series: Series, source: Source, *, force: bool = False) -> Picked:
    """Cherry-pick a series onto its source's base. Doing it again gives the same ids, and is quick.

    A patch whose change the base holds already is dropped, and reported as such. No working tree and no index are
    touched: what came of it is a few commits, or nothing.

    Args:
        series: The series.
        source: What it is picked onto.
        force: Pick it although that was done before.

    Raises:
        ConfigError: The series is for another source, or names a patch that the source does not have.
        ConflictError: A patch conflicts; names the patch and the files.
        KubeV6Error: An object that a patch touches is missing, or a rewrite finds nothing.
    """
    repo = source.open()
    patches = resolved(series, source, repo)
    inputs = [
        source.base,
        *(patch.commit.id for patch in patches),
        *(each.model_dump_json() for each in series.rewrites),
    ]
    identity = hashlib.sha256("\n".join(inputs).encode()).hexdigest()
    done = f"refs/kubev6/picked/{identity}"
    with exclusive(source.repository.with_name(f".{source.repository.name}.lock")):
        commit = "" if force else _picked_before(repo, done)
        if not commit:
            with step(series.name, "patches") as shown:
                commit = _pick(repo, series, source, patches)
                # A ref says that all it leads to is here, which is not so while objects are read elsewhere.
                if not source.borrowed:
                    repo.git.update_ref(done, commit)
                entries = _entries(repo, series, source, commit, patches)
                dropped = sum(1 for entry in entries if entry.fate == "already upstream")
                shown.ended_as(f"{len(entries) - dropped} applied, {dropped} already upstream")
    result = read_commit(repo, commit)
    return Picked(series.name, source.base, commit, result.tree, _entries(repo, series, source, commit, patches))


def _picked_before(repo: git.Repo, done: str) -> str:
    """The commit that a ref of ours is at; empty when there is none, or not all that it stands for."""
    commit = str(repo.git.for_each_ref("--format=%(objectname)", done))
    try:
        return commit if commit and kind_of(repo, read_commit(repo, commit).tree) else ""
    except MissingObjectError:
        return ""


def status(series: Series, source: Source) -> tuple[Standing, ...]:
    """How every patch of a series stands to a base.

    A patch that conflicts is left out, and those after it are tried on top of the ones that applied: what is said of
    a later patch holds once the conflicts before it are resolved, unless it builds upon a patch that was left out. A
    patch is upstream already when the base has it in its history, or when picking it changes nothing.

    Args:
        series: The series.
        source: What is picked onto.

    Raises:
        KubeV6Error: An object that a patch touches is missing.
    """
    repo = source.open()
    tree = read_commit(repo, source.base).tree
    standings = []
    for patch in resolved(series, source, repo):
        if _in_history(repo, patch.commit.id, source.base):
            standings.append(Standing(patch, "already upstream"))
            continue
        merged = _merged(repo, series, source, tree, patch)
        if merged.conflicts:
            standings.append(Standing(patch, "conflict", merged.conflicts))
        else:
            standings.append(Standing(patch, "already upstream" if merged.tree == tree else "applies"))
            tree = merged.tree
    return tuple(standings)


def resolved(series: Series, source: Source, repo: git.Repo | None = None) -> tuple[Patch, ...]:
    """The commits that the patches of a series are.

    Args:
        series: The series.
        source: A source that holds them.
        repo: The source's repository, if it is open already.

    Raises:
        ConfigError: The series is for another source, or names a patch that the source does not have.
    """
    repo = repo or source.open()
    if isinstance(series, DebianSeries):
        return _named(series, source, repo)
    found = []
    for position, patch in enumerate(series.patches):
        full = resolve(repo, patch.commit)
        if full is None:
            raise ConfigError(
                f"{series.path}: patches[{position}].commit: {source.name} holds no commit {patch.commit}"
            )
        commit = read_commit(repo, full)
        if len(commit.parents) > 1:
            raise ConfigError(
                f"{series.path}: patches[{position}].commit: {patch.commit} ({commit.title}) is a merge",
                todo="name the commits that it merged",
            )
        found.append(Patch(patch.commit, commit, patch.pull_request, patch.fate))
    return tuple(found)


def both_sides(conflicts: Sequence[ConflictingFile]) -> str:
    """Every place of a conflict with what is there and what the patch wants, for a person."""
    lines = []
    for file in conflicts:
        lines.append(f"{file.path}: {file.said}")
        for hunk in file.hunks:
            lines += ["  there is:", *(f"    | {line}" for line in hunk.ours.splitlines())]
            lines += ["  the patch has:", *(f"    | {line}" for line in hunk.theirs.splitlines())]
    return "\n".join(lines)


def _named(series: DebianSeries, source: Source, repo: git.Repo) -> tuple[Patch, ...]:
    if series.base != source.name:
        raise ConfigError(
            f"{series.path}: base: is {series.base}, but the release is built from {source.name}",
            todo="name the release's source package there, or another series in the release",
        )
    # All but the first, which is the upstream tree.
    ids = repo.git.rev_list("--reverse", "--min-parents=1", PATCH_BRANCH, "--").split()
    offered = [read_commit(repo, each) for each in ids]
    names = {_name(commit): commit for commit in offered}
    titles = {commit.title: commit for commit in offered}
    found: list[Patch] = []
    for position, reference in enumerate(series.patches):
        commit = names.get(reference.patch) or titles.get(reference.patch)
        if commit is None:
            raise ConfigError(
                f"{series.path}: patches[{position}].patch: {source.name} {source.version} has no patch "
                f"{reference.patch!r}",
                todo=f"it has: {', '.join(names)}",
            )
        if any(commit.id == patch.commit.id for patch in found):
            raise ConfigError(f"{series.path}: patches[{position}].patch: {reference.patch!r} is named twice")
        found.append(Patch(_name(commit), commit))
    return tuple(found)


def _name(commit: Commit) -> str:
    found = re.search(rf"^{TRAILER}: (.+)$", commit.message, re.MULTILINE)
    return str(found[1]) if found else commit.title


def _pick(repo: git.Repo, series: Series, source: Source, patches: Sequence[Patch]) -> str:
    """Write the picked commits and the rewrites; returns the last one's id."""
    head, tree = source.base, read_commit(repo, source.base).tree
    for position, patch in enumerate(patches, start=1):
        merged = _merged(repo, series, source, tree, patch)
        if merged.conflicts:
            raise ConflictError(series, position, patch, source, merged.conflicts)
        if merged.tree != tree:
            tree = merged.tree
            head = write_commit(
                repo,
                tree=tree,
                parents=[head],
                author=patch.commit.author,
                committed=source.timestamp,
                message=cherry_pick.with_origin(patch.commit.message, patch.commit.id),
            )
    for number, rewrite in enumerate(series.rewrites):
        tree = _rewritten(repo, tree, rewrite, f"{series.path}: rewrites[{number}]")
        message = f"{rewrite.title}\n" + (f"\n{rewrite.reason.strip()}\n" if rewrite.reason else "")
        author = f"{COMMITTER} {source.timestamp} +0000"
        head = write_commit(repo, tree=tree, parents=[head], author=author, committed=source.timestamp, message=message)
    return head


def _in_history(repo: git.Repo, commit: str, base: str) -> bool:
    """Whether a base is known to come after a commit; how far back is known depends on what was fetched."""
    done = repo.git.merge_base("--is-ancestor", commit, base, with_extended_output=True, with_exceptions=False)
    return bool(done[0] == 0)


def _merged(repo: git.Repo, series: Series, source: Source, tree: str, patch: Patch) -> cherry_pick.Merged:
    try:
        return cherry_pick.merge(repo, tree, patch.commit)
    except MissingObjectError as error:
        raise KubeV6Error(
            f"series {series.name}: patch {patch} cannot be picked onto {source.name} {source.version}: "
            f"{error.message}",
            todo="the patch touches it: name a whole repository with --source",
            detail=error.detail,
        ) from None


def _rewritten(repo: git.Repo, tree: str, rewrite: Rewrite, where: str) -> str:
    """The tree with one text replaced by another."""
    wanted = rewrite.replace.encode()
    try:
        found = repo.git.grep("-l", "-z", "-I", "--fixed-strings", "-e", rewrite.replace, tree, "--", *rewrite.paths)
    except git.GitCommandError as error:
        if error.status != 1:
            raise
        raise KubeV6Error(
            f"{where}: {', '.join(rewrite.paths)} has no {rewrite.replace!r} to replace",
            todo="take the rewrite out of the series, or mend its paths",
        ) from None
    for name in listed(found):
        path = name.split(":", 1)[1]
        content = read_object(repo, f"{tree}:{path}").replace(wanted, rewrite.by.encode())
        with as_input(content) as given:
            blob = str(repo.git.hash_object("-w", "--stdin", istream=given))
        tree = _with_file(repo, tree, path.split("/"), blob)
    return tree


def _with_file(repo: git.Repo, tree: str, path: Sequence[str], blob: str) -> str:
    """A tree in which one file has another content; only the directories on its path are opened."""
    entries = []
    for entry in listed(repo.git.ls_tree("-z", tree)):
        about, name = entry.split("\t", 1)
        if name == path[0]:
            mode, kind, old = about.split()
            about = f"{mode} {kind} {_with_file(repo, old, path[1:], blob) if len(path) > 1 else blob}"
        entries.append(f"{about}\t{name}\0")
    with as_input("".join(entries).encode(errors="surrogateescape")) as given:
        return str(repo.git.mktree("-z", "--missing", istream=given))


def _entries(
    repo: git.Repo, series: Series, source: Source, result: str, patches: Sequence[Patch]
) -> tuple[PatchEntry, ...]:
    """What became of every patch, read from the commits that came of it."""
    picked: dict[str, str] = {}
    commit, own = result, []
    for _ in series.rewrites:
        own.append(commit)
        commit = read_commit(repo, commit).parents[0]
    while commit != source.base:
        found = read_commit(repo, commit)
        picked[_PICKED_FROM.findall(found.message)[-1]] = commit
        commit = found.parents[0]
    rewritten = [
        PatchEntry(title=rewrite.title, author=COMMITTER, source="rewrite", commit=commit, fate="applied")
        for rewrite, commit in zip(series.rewrites, reversed(own), strict=True)
    ]
    return (
        *(
            PatchEntry(
                title=patch.commit.title,
                author=patch.commit.author_name,
                source=patch.name,
                commit=picked.get(patch.commit.id, ""),
                fate="applied" if patch.commit.id in picked else "already upstream",
                pull_request=patch.pull_request,
            )
            for patch in patches
        ),
        *rewritten,
    )
