"""Git's own bisection, of the commits of somebody's repository or of those that a series comes to.

It is done in a repository of its own, which reads the objects where they are; nothing is written there. What was judged
is kept beside that. Whenever a bisection goes on the repository is made anew, and git is told all of it again: so
nothing that was cut off is in the way.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from configs.errors import ConfigError, KubeV6Error
from configs.words import counted, shortened
from tasks import bounded
from tasks.exclusive import exclusive, holder
from tasks.paths import cache_dir
from tasks.release.series.git_command import complaint
from tasks.release.series.repository import Commit, create_repository, open_repository, read_commit
from tasks.release.series.series import Picked
from tasks.release.series.source import Source
from tasks.release.series.working_tree import ask_there, objects
from tasks.replace import remove, write_whole

_NEXT = re.compile(r"(?m)^Bisecting: (.*)\n\[([0-9a-f]{40})\]")
_FOUND = re.compile(r"(?m)^([0-9a-f]{40}) is the first '?bad'? commit$")
_SKIPPED = re.compile(r"(?m)^([0-9a-f]{40})$")
"""What git prints when it was told of a commit: what is to be tried, what it came to, or each commit that it may be."""
ONLY_SKIPPED = 2
"""Its status then."""


@dataclass(frozen=True, slots=True)
class Range:
    """What is searched: the commits that one commit has in its history, and another one has not.

    Attributes:
        of: The top directory of a working tree, or the name of a series.
        good: The full id of the commit that is taken for good.
        bad: That of the one that is bad.
        objects: The directories that hold the objects.
        is_whole: Whether they hold the history of the good one.
    """

    of: str
    good: str
    bad: str
    objects: tuple[Path, ...]
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said of a commit.

    Attributes:
        verdict: As git calls it.
        seen: Why.
        run: The name of the run in which it was tried.
    """

    verdict: Literal["good", "bad", "skip"]
    seen: str
    run: str


@dataclass(frozen=True, slots=True)
class Next:
    """The commit that is to be tried, and git's words of how many are left then."""

    commit: str
    left: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The commits of which one is the first bad one; more than one when others could not be judged."""

    candidates: tuple[str, ...]


class Bisection:
    """A bisection under way.

    Args:
        place: The directory of its repository, which is new.
        searched: What is searched.
        known: What was judged before.

    Attributes:
        place: That directory, where all the commits can be had.
        searched: What is searched.
        judged: What was judged, by the commits' ids, in that order.

    Raises:
        KubeV6Error: Git cannot begin it.
    """

    def __init__(self, place: Path, searched: Range, known: dict[str, Judged]) -> None:
        self.place, self.searched, self.judged = place, searched, known
        self._repo = open_repository(place)
        self._at = self._bisect("start", "--no-checkout", searched.bad, searched.good)
        for commit, said in known.items():
            self._tell(commit, said)

    def now(self) -> Next | Ended:
        """What is to be done. The first commit to be tried is the bad one: nobody has to search where nothing fails."""
        if self.searched.bad not in self.judged:
            count = int(self._repo.git.rev_list("--count", f"{self.searched.good}..{self.searched.bad}"))
            return Next(self.searched.bad, f"the last of {counted(count, 'commit')}")
        return self._at

    def mark(self, commit: str, said: Judged) -> None:
        """Keep what was said of a commit, and go on from there.

        Args:
            commit: Its full id.
            said: What was said.

        Raises:
            KubeV6Error: Git cannot go on.
            OSError: It cannot be written.
        """
        self.judged[commit] = said
        told = {each: asdict(judged) for each, judged in self.judged.items()}
        write_whole(_file(self.place), json.dumps(told, indent=1))
        self._tell(commit, said)

    def commit(self, commit: str) -> Commit:
        """A commit as it is stored, by its full id."""
        return read_commit(self._repo, commit)

    def _tell(self, commit: str, said: Judged) -> None:
        if commit != self.searched.bad:
            self._at = self._bisect(said.verdict, commit)

    def _bisect(self, *words: str) -> Next | Ended:
        status, output, said = self._repo.git.bisect(*words, with_extended_output=True, with_exceptions=False)
        return read(int(status), str(output), str(said))


def read(status: int, output: str, said: str) -> Next | Ended:
    """What git says of a bisection. Pure.

    Args:
        status: Its status.
        output: Its standard output.
        said: Its standard error.

    Raises:
        KubeV6Error: It cannot go on.
    """
    if status == 0 and (found := _FOUND.search(output)):
        return Ended((found[1],))
    if status == 0 and (found := _NEXT.search(output)):
        return Next(found[2], found[1])
    if status == ONLY_SKIPPED and (left := _SKIPPED.findall(output)):
        return Ended(tuple(left))
    raise KubeV6Error(
        f"git does not go on with the bisection: {complaint(said) or complaint(output)}",
        todo="--restart begins anew",
        detail=f"{output}\n{said}",
    )


def range_of(directory: Path, good: str, bad: str) -> Range:
    """What is to be searched.

    Args:
        directory: The top directory of a working tree.
        good: A commit, as its git names it.
        bad: Another one.

    Raises:
        ConfigError: There is no such commit, or the first is not in the history of the second.
    """
    shallow = ask_there(directory, "rev-parse", "--is-shallow-repository").stdout.strip()
    if shallow == "true":
        raise ConfigError(
            f"{directory} is a shallow clone, which does not know all of its history",
            todo=f"`git -C {directory} fetch --unshallow` gets the rest",
        )
    if ask_there(directory, "config", "--get-regexp", r"^remote\..*\.promisor$").stdout:
        raise ConfigError(
            f"{directory} is a partial clone, which does not hold the files of all its commits",
            todo="clone it without --filter",
        )
    found = Range(str(directory), _resolved(directory, good), _resolved(directory, bad), (objects(directory),))
    named = f"{shortened(good, 80)} and {shortened(bad, 80)}"
    if found.good == found.bad:
        raise ConfigError(f"{named} are one commit, {found.good[:12]}", todo="name a good one, and then a bad one")
    if ask_there(directory, "merge-base", "--is-ancestor", found.good, found.bad).returncode:
        raise ConfigError(
            f"{named}: the first is not in the history of the second",
            todo=f"`git -C {directory} merge-base {shortened(good, 80)} {shortened(bad, 80)}` names one that is",
        )
    return found


def range_of_series(picked: Picked, source: Source) -> Range:
    """The commits that a series comes to.

    Args:
        picked: The series on its base, which is taken for good.
        source: What it was picked onto.

    Raises:
        ConfigError: It comes to none.
    """
    if picked.commit == picked.base:
        raise ConfigError(f"series {picked.series} has no patch to be searched", todo="name one that has some")
    places = (source.repository / ".git" / "objects", *source.borrowed)
    return Range(picked.series, picked.base, picked.commit, places, is_whole=False)


@contextmanager
def bisection(searched: Range, cluster: str, judge: str, *, anew: bool = False) -> Iterator[Bisection]:
    """The bisection of some commits on a cluster: where it was, when it was begun before.

    Args:
        searched: What is searched.
        cluster: The name of the cluster that they are tried on.
        judge: What judges them.
        anew: Forget what was judged.

    Raises:
        KubeV6Error: Somebody else is at it; or git cannot begin it.
    """
    of = "\0".join([searched.of, searched.good, searched.bad, cluster, judge])
    place = cache_dir() / "git" / f"bisect.{hashlib.sha256(of.encode(errors='surrogateescape')).hexdigest()[:12]}"
    lock = place.with_name(f".{place.name}.lock")

    def busy() -> None:
        raise KubeV6Error(f"these commits are searched already: {holder(lock)}", todo="wait for it, or end it")

    with exclusive(lock, busy, what="kubev6 bisect"):
        if anew:
            _file(place).unlink(missing_ok=True)
        known = _known(place)
        ours = place / ".git"
        remove(ours)
        create_repository(place, committed=0)
        (ours / "HEAD").write_text(f"{searched.bad}\n")  # git wants one to begin at
        (ours / "objects" / "info" / "alternates").write_text("".join(f"{each}\n" for each in searched.objects))
        if not searched.is_whole:
            (ours / "shallow").write_text(f"{searched.good}\n")
        yield Bisection(place, searched, known)


def _file(place: Path) -> Path:
    return place / "judged.json"


def _known(place: Path) -> dict[str, Judged]:
    """What was judged before."""
    try:
        return bounded.read(_file(place), dict[str, Judged])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise KubeV6Error(
            f"{_file(place)} cannot be understood: {bounded.reason(error)}", todo="--restart begins anew"
        ) from None


def _resolved(directory: Path, named: str) -> str:
    """The full id of a commit."""
    answer = ask_there(directory, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{named}^{{commit}}")
    if answer.returncode or not (found := answer.stdout.strip()):
        raise ConfigError(
            f"{directory} has no commit {shortened(named, 80)}", todo="name a commit, a tag or a branch that is there"
        )
    return found
