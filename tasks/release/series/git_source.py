"""The source of a series of commits: one repository of ours for every project, filled from the series' remotes.

Commits are fetched from servers with no more history than is needed. A repository on this machine is not copied: its
objects are read where they are, which takes no time and works although it may be shallow, partial or damaged
elsewhere. A bundle is unpacked once beside our repository.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import git

from configs.errors import ConfigError, KubeV6Error
from tasks.exclusive import exclusive
from tasks.paths import cache_dir
from tasks.release.series import git_fetch
from tasks.release.series.git_command import ask
from tasks.release.series.git_remote import Place, head, locate
from tasks.release.series.repository import (
    MissingObjectError,
    create_repository,
    first_words,
    kind_of,
    need_merge_tree,
    open_repository,
    read_commit,
)
from tasks.release.series.series_file import GitSeries, PatchCommit, PinnedCommit
from tasks.release.series.source import Source
from tasks.replace import remove, replace_directory
from tasks.steps import Step, step

_PREREQUISITE = re.compile(r"^error: ([0-9a-f]{40})\b", re.MULTILINE)
"""How git bundle verify names a commit that the bundle builds upon and that it does not find."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A commit that has to be there.

    Attributes:
        where: Where the series file names it, for errors.
        pinned: What it says.
        depth: 2 when its parent is needed as well, else 1.
        refs: Refs in whose history it may be found.
    """

    where: str
    pinned: PinnedCommit
    depth: int
    refs: tuple[str, ...] = ()


def obtain(
    series: GitSeries, *, sources: Mapping[str, str] | None = None, onto: str | None = None, force: bool = False
) -> Source:
    """Have the base and all commits of a series at hand; what is here already is not fetched again.

    Args:
        series: The series.
        sources: Other places for its remotes, by name: a URL, a repository's directory or a bundle.
        onto: Take this as the base instead of the series' own: a commit id or a ref of the base's remote.
        force: Get them although they are here. What other series have of the same project they get again when they
            are built.

    Raises:
        ConfigError: ``sources`` names a remote that the series does not have.
        KubeV6Error: A place is nothing git can read, does not answer, lacks a commit, or a ref has moved.
    """
    places = _places(series, sources or {})
    name = _name_of(series.remotes[series.base.remote].url)
    repository = _repositories() / directory_of(series.remotes[series.base.remote].url)
    with exclusive(repository.with_name(f".{repository.name}.lock"), what=f"commits of {series.name}"):
        filled = repository.with_name(f".{repository.name}.anew") if force else repository
        if force:
            remove(filled)
        if not (filled / ".git" / "info" / "attributes").exists():
            create_repository(filled, committed=0)
        need_merge_tree(open_repository(filled))
        with step(series.name, "commits") as shown:
            gathering = _Gathering(series, places, filled, shown, force=force)
            base = gathering.have_all(onto)
            shown.ended_as(gathering.outcome())
        if force:
            replace_directory(filled, repository)
        commit = read_commit(open_repository(repository, borrowed=gathering.borrowed), base)
    return Source(
        name=name,
        version=base[:10],
        origin=series.remotes[series.base.remote].url,
        repository=repository,
        base=base,
        timestamp=commit.committed,
        borrowed=tuple(gathering.borrowed),
    )


def resolve(repo: git.Repo, commit: str) -> str | None:
    """The full id of a commit that is here, from its id or the beginning of it; None when there is none.

    Raises:
        KubeV6Error: Several commits begin like this.
    """
    if len(commit) == 40:
        return commit if kind_of(repo, commit) == "commit" else None
    found = [each for each in repo.git.rev_parse(f"--disambiguate={commit}").split() if kind_of(repo, each) == "commit"]
    if len(found) > 1:
        raise KubeV6Error(f"{commit} is the beginning of {' and '.join(sorted(found))}", todo="write more of its id")
    return found[0] if found else None


class _Gathering:
    """Bringing the commits of one series together.

    Attributes:
        repo: Our repository, with what is borrowed.
        borrowed: Object directories that are read where they are; none while our own repository holds everything.
    """

    def __init__(
        self, series: GitSeries, places: Mapping[str, Place], repository: Path, shown: Step, *, force: bool
    ) -> None:
        self.series = series
        self.places = places
        self.repository = repository
        self.shown = shown
        self.force = force
        self.borrowed: list[Path] = []
        self.repo = open_repository(repository)
        self._fetched = 0

    def have_all(self, onto: str | None) -> str:
        """Have the base, every patch and the patches' parents; returns the full id of the base."""
        base = _Wanted("base", self.series.base, 1, self._hints(self.series.base))
        if onto is not None:
            pinned = PinnedCommit(remote=self.series.base.remote, commit=self._named(onto))
            base = _Wanted(f"--onto {onto}", pinned, 1, self._hints(pinned))
        patches = [
            _Wanted(f"patches[{position}]", patch, 2, self._hints(patch))
            for position, patch in enumerate(self.series.patches)
        ]
        self._have([base, *patches])
        return str(resolve(self.repo, base.pinned.commit))

    def outcome(self) -> str:
        """What had to be done, for the end of the step."""
        if self._fetched:
            return f"{self._fetched} fetched"
        return "read where they are" if self.borrowed else "all here already"

    def _hints(self, pinned: PinnedCommit) -> tuple[str, ...]:
        """Refs in whose history a commit may be."""
        hints = [pinned.ref] if pinned.ref else []
        # Numbers of pull requests are the base's project's; a fork has others.
        if isinstance(pinned, PatchCommit) and pinned.pull_request and pinned.remote == self.series.base.remote:
            hints.append(f"refs/pull/{pinned.pull_request}/head")
        return tuple(dict.fromkeys([*hints, *self.places[pinned.remote].refs]))

    def _have(self, wanted: Sequence[_Wanted]) -> None:
        for each in wanted:
            if each.pinned.ref is not None:
                self._check_head(each)
        if any(self._lacking(each) for each in wanted):
            self._borrow_repositories()
        for each in wanted:
            # A directory that is not what it was taken for is told before any server is asked.
            place = self.places[each.pinned.remote]
            if (
                place.kind == "repository"
                and len(each.pinned.commit) == 40
                and not resolve(self.repo, each.pinned.commit)
            ):
                raise self._absent(each, place, each.pinned.commit)
        # Bundles come last: what they build upon may come from the others.
        for name in sorted(self.places, key=lambda name: self.places[name].kind == "bundle"):
            place = self.places[name]
            lacking = [each for each in wanted if each.pinned.remote == name and self._lacking(each)]
            if lacking and place.kind == "server":
                self._fetch(place, lacking)
            elif lacking and place.kind == "bundle":
                self._unpack(place)
        for each in wanted:
            if seen := self._lacking(each):
                raise self._absent(each, self.places[each.pinned.remote], seen)

    def _lacking(self, wanted: _Wanted) -> str:
        """Which object of a wanted commit is not here; empty when all are."""
        commit = resolve(self.repo, wanted.pinned.commit)
        if commit is None:
            return wanted.pinned.commit
        needed = [commit]
        try:
            found = read_commit(self.repo, commit)
            needed.append(found.tree)
            for parent in found.parents if wanted.depth > 1 else ():
                needed.append(parent)
                needed.append(read_commit(self.repo, parent).tree)
        except MissingObjectError:
            return needed[-1]
        return next((each for each in needed if not kind_of(self.repo, each)), "")

    def _fetch(self, place: Place, wanted: Sequence[_Wanted]) -> None:
        for depth in (1, 2):
            whole = [each.pinned.commit for each in wanted if each.depth == depth and len(each.pinned.commit) == 40]
            refused = git_fetch.by_id(self.repository, place, whole, depth, self.shown) if whole else ()
            self._fetched += len(whole) - len(refused)
        for each in wanted:
            # What turned up on the way to the one before need not be looked for.
            if not self._lacking(each):
                continue

            def found(each: _Wanted = each) -> bool:
                return not self._lacking(each)

            # Any branch may hold the beginning of an id, so only a whole one is worth looking for in all of them.
            self._fetched += git_fetch.along(self.repository, place, each.refs, found, self.shown) or (
                len(each.pinned.commit) == 40 and git_fetch.along_branches(self.repository, place, found, self.shown)
            )

    def _unpack(self, place: Place) -> None:
        self._borrow_repositories()
        bundle = Path(place.address)
        if absent := self._prerequisites_absent(bundle):
            raise KubeV6Error(
                f"{place}: builds upon commit {absent[0]}, which is not here"
                + (f", nor are {len(absent) - 1} others" if len(absent) > 1 else ""),
                todo="name a place that has it for another remote with --source, or make the bundle with it inside",
            )
        with bundle.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        objects = _repositories() / "bundles" / digest
        if self.force or not objects.exists():
            self.shown.progress(f"unpacking {bundle.name}")
            unfinished = objects.with_name(f".{digest}")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            readable = ":".join([str(self.repository / ".git" / "objects"), *map(str, self.borrowed)])
            try:
                # Not by git bundle unbundle: what it builds upon may be read elsewhere, where no ref of ours leads to.
                with bundle.open("rb", buffering=0) as pack:
                    while pack.readline().strip():
                        pass  # the pack follows the first empty line (gitformat-bundle(5))
                    self.repo.git.index_pack(
                        "--stdin",
                        "--fix-thin",
                        istream=pack,
                        env={"GIT_OBJECT_DIRECTORY": str(unfinished), "GIT_ALTERNATE_OBJECT_DIRECTORIES": readable},
                    )
            except git.GitCommandError as error:
                raise KubeV6Error(
                    f"{place}: cannot be unpacked: {first_words(error)}", todo="make it again with git bundle create"
                ) from None
            replace_directory(unfinished, objects)
        self._borrow([objects])

    def _prerequisites_absent(self, bundle: Path) -> list[str]:
        """The commits that a bundle builds upon and that are not here."""
        _, _, said = self.repo.git.bundle("verify", str(bundle), with_extended_output=True, with_exceptions=False)
        return [each for each in _PREREQUISITE.findall(said) if kind_of(self.repo, each) != "commit"]

    def _borrow_repositories(self) -> None:
        self._borrow([place.objects for place in self.places.values() if place.objects is not None])

    def _borrow(self, objects: Sequence[Path]) -> None:
        self.borrowed = list(dict.fromkeys([*self.borrowed, *objects]))
        self.repo = open_repository(self.repository, borrowed=self.borrowed)

    def _check_head(self, wanted: _Wanted) -> None:
        ref, pinned = str(wanted.pinned.ref), wanted.pinned.commit
        place = self.places[wanted.pinned.remote]
        now = self._head(place, ref, wanted.depth)
        if now is None:
            raise KubeV6Error(
                f"{self.series.path}: {wanted.where}: {place} has no ref {ref}",
                todo="mend ref:, or leave it out: the commit alone is enough where the remote still has it",
            )
        if not now.startswith(pinned):
            raise KubeV6Error(
                f"{self.series.path}: {wanted.where}: {ref} of {place} has moved: the series pins {pinned}, "
                f"and it is at {now} now",
                todo="look at what changed and pin that, or leave out ref: to go on with the pinned commit",
            )

    def _named(self, onto: str) -> str:
        """The commit id that a person named as the new base."""
        place = self.places[self.series.base.remote]
        if re.fullmatch(r"[0-9a-f]{40}", onto):
            return onto
        found = None if onto.startswith("-") else self._head(place, onto, 1)
        if found is None and re.fullmatch(r"[0-9a-f]{7,39}", onto):
            return onto
        if found is None:
            raise KubeV6Error(f"{place} has no {onto}", todo="give a branch, a tag, refs/pull/N/head or a commit id")
        return found

    def _head(self, place: Place, ref: str, depth: int) -> str | None:
        """The commit id that a ref of a remote is at; None when it has no such ref."""
        if place.kind == "server":
            kept = git_fetch.head(self.repository, place, ref, depth, self.shown)
            return None if kept is None else str(self.repo.git.rev_parse("--verify", f"{kept}^{{commit}}"))
        if place.kind == "bundle":
            found = head(place, ref)
            if found is not None:
                self._unpack(place)
        else:
            assert place.objects is not None
            # Its owner may be somebody else: nothing of it is run here, refs are read.
            there = ["-c", "safe.directory=*", f"--git-dir={place.objects.parent}"]
            found = ask([*there, "rev-parse", "--verify", "--quiet", ref]).stdout.strip() or None
            self._borrow([place.objects])
        if found is None:
            return None
        return str(self.repo.git.rev_parse("--verify", f"{found}^{{commit}}"))

    def _absent(self, wanted: _Wanted, place: Place, seen: str) -> KubeV6Error:
        commit = resolve(self.repo, wanted.pinned.commit)
        said = f"{self.series.path}: {wanted.where}: " if not wanted.where.startswith("--") else f"{wanted.where}: "
        title = f" ({wanted.pinned.title})" if isinstance(wanted.pinned, PatchCommit) and wanted.pinned.title else ""
        if commit is not None:
            return KubeV6Error(
                f"{said}commit {commit}{title} is in {place}, but {seen}, which it builds upon, is not: "
                "it is shallow or damaged there",
                todo="git fetch --deepen=1 there, or name a whole repository with --source",
            )
        looked = "" if place.kind != "server" else ", neither by its id nor in the history of its branches"
        if place.kind == "server" and wanted.refs:
            looked += f" and {', '.join(wanted.refs)}"
        short = "" if len(wanted.pinned.commit) == 40 else "; an abbreviated id is only found where a ref leads to it"
        return KubeV6Error(
            f"{said}{place} does not have commit {wanted.pinned.commit}{title}{looked}{short}",
            todo=f"mend the id, or name a place that has it: --source {place.remote}=URL-or-path",
        )


def _places(series: GitSeries, sources: Mapping[str, str]) -> dict[str, Place]:
    for name in sources:
        if name not in series.remotes:
            raise ConfigError(
                f"--source {name}=...: series {series.name} has no remote {name!r}",
                todo=f"its remotes are {', '.join(series.remotes)}",
            )
    given = {
        name: locate(name, address, base=Path.cwd(), refs=series.remotes[name].refs)
        for name, address in sources.items()
    }
    return {
        name: given.get(name) or locate(name, remote.url, base=series.path.parent, refs=remote.refs)
        for name, remote in series.remotes.items()
    }


def _name_of(url: str) -> str:
    return url.rstrip("/").removesuffix(".git").rsplit("/", 1)[-1].rsplit(":", 1)[-1]


def directory_of(url: str) -> str:
    """The name that our repository of a project has, whose base is at an address."""
    return f"{re.sub(r'[^A-Za-z0-9.-]', '-', _name_of(url))}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"


def _repositories() -> Path:
    return cache_dir() / "git"
