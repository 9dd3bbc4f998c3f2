"""Release files of upstream Kubernetes, from the releases' own trees: here, in a checkout, or as they are published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import requests

from configs.errors import ConfigError, KubeV6Error
from configs.plan import upstream
from configs.plan.upstream import BASE_VERSION, CONSTANTS, GO_VERSION, Constants
from configs.words import shortened
from tasks import bounded
from tasks.http_session import Session, UnusableError
from tasks.release.series.git_command import ask
from tasks.replace import write_whole

PUBLISHED = "https://raw.githubusercontent.com/kubernetes/kubernetes/v{version}"
"""Where upstream shows the files of a tag."""
LARGEST = 1 << 20
"""Bytes of a file that is read of a tree; the largest has a thirtieth of that."""
TIMEOUT = (15.0, 30.0)
"""Seconds to connect, and of silence."""
SECONDS = 60.0
"""How long an answer may take."""
OTHERWISE = "or name a checkout, or an address below which such a tree is, by --from"


@dataclass(frozen=True, slots=True)
class Written:
    """A release file that was written.

    Attributes:
        release: Where it is.
        series: Where its series is; None for a release that can only be fetched.
        constants: What it says besides Kubernetes itself.
    """

    release: Path
    series: Path | None
    constants: Constants


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a release, wherever they are.

    Attributes:
        place: A directory, an address, or a repository that has the release's tag.
        commit: Id of the commit that the tag leads to; empty where the place is no such repository.
    """

    place: str
    commit: str = ""

    def __str__(self) -> str:
        """What it is called in a message."""
        return f"{self.place} at {self.commit[:10]}" if self.commit else self.place

    def read(self, path: str) -> str | None:
        """The text of a file; None when it has none of that name.

        Raises:
            KubeV6Error: It cannot be read.
        """
        if self.commit:
            shown = ask(["-C", self.place, "show", f"{self.commit}:{path}"])
            return shown.stdout if shown.returncode == 0 else None
        where = f"{self.place.rstrip('/')}/{path}"
        return _asked(where) if "://" in where else _read(Path(where))


def _read(path: Path) -> str | None:
    """The text of a file here."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST).decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise KubeV6Error(
            f"{path} cannot be read: {error.strerror}", todo="name a tree that this user may read"
        ) from None


def _asked(url: str) -> str | None:
    """The text that an address gives."""
    try:
        with Session(seconds=SECONDS, most=LARGEST) as session, session.get(url, timeout=TIMEOUT) as answer:
            if answer.status_code in (404, 410):
                return None
            if answer.status_code == 200:
                return answer.content.decode(errors="replace")
            seen = f"answered {answer.status_code} {answer.reason}".rstrip()
    except (UnusableError, bounded.TooMuchError) as error:
        seen = f"cannot be used: {error}"
    except (TimeoutError, requests.RequestException) as error:
        seen = f"cannot be read: no answer ({type(error).__name__})"
    raise KubeV6Error(f"{url} {seen}", todo=f"check the network and the address, {OTHERWISE}")


def tree_of(where: str, version: str) -> Tree:
    """Where the files of a release are read.

    Args:
        where: A directory, a repository, or an address below which a tree is; empty for what upstream publishes.
        version: The release's version, without its ``v``.

    Raises:
        ConfigError: There is no such directory.
    """
    if not where:
        return Tree(PUBLISHED.format(version=version))
    if "://" in where:
        if not where.startswith(("http://", "https://")):
            raise ConfigError(f"--from {shortened(where, 200)}: is no address of http or https, and no directory")
        return Tree(where)
    if not Path(where).is_dir():
        raise ConfigError(
            f"--from {shortened(where, 200)}: there is no such directory", todo="name a tree of Kubernetes"
        )
    tag = ask(["-C", where, "rev-parse", "--verify", "--quiet", f"refs/tags/v{version}^{{commit}}"])
    return Tree(where, tag.stdout.strip() if tag.returncode == 0 else "")


def constants(tree: Tree, version: str) -> Constants:
    """What a tree says of the release that it is.

    Args:
        tree: The tree.
        version: The release's version, without its ``v``.

    Raises:
        ConfigError: It is no tree of Kubernetes, or of another version.
        KubeV6Error: It cannot be read.
    """
    text = tree.read(CONSTANTS)
    if text is None:
        published = tree.place.startswith(PUBLISHED.partition("{")[0])
        seen = f"upstream has no Kubernetes {version}" if published else f"{tree} is no tree of Kubernetes"
        raise ConfigError(f"{seen}: there is no {tree.place}/{CONSTANTS}", todo="check the version and the place")
    seen = upstream.minor_of(tree.read(BASE_VERSION) or "")
    wanted = ".".join(version.split(".")[:2])
    if seen and seen != wanted:
        raise ConfigError(f"{tree} is a tree of Kubernetes {seen}, and {version} is wanted", todo="check out its tag")
    try:
        return upstream.constants_of(text, tree.read(GO_VERSION) or "")
    except ValueError as error:
        raise ConfigError(f"{tree}: {CONSTANTS}: {error}", todo="this tree's layout is not known here") from None


def write(version: str, where: str, directory: Path) -> Written:
    """Write the release file of an upstream release, and its series where its commit is known.

    Args:
        version: The version, with or without its ``v``.
        where: As for :func:`tree_of`.
        directory: Where the release file goes, and its series into ``series`` there.

    Raises:
        ConfigError: The version is none, there is such a file already, or the tree is another one.
        KubeV6Error: The tree cannot be had, or the file cannot be written.
    """
    try:
        wanted = upstream.release_version(version)
    except ValueError as error:
        raise ConfigError(f"{shortened(version, 100)!r} {error}") from None
    release, series = directory / f"v{wanted}.yaml", directory / "series" / f"v{wanted}.yaml"
    tree = tree_of(where, wanted)
    for path in (release, *([series] if tree.commit else [])):
        if path.exists():
            raise ConfigError(f"{path} is there already", todo="remove it first, or write to another place by --to")
    found = constants(tree, wanted)
    try:
        if tree.commit:
            write_whole(series, upstream.series_text(wanted, tree.commit))
        write_whole(release, upstream.release_text(wanted, found, f"series/{series.name}" if tree.commit else ""))
    except OSError as error:
        todo = "name another directory by --to"
        raise KubeV6Error(f"{directory} cannot be written: {error.strerror}", todo=todo) from None
    return Written(release, series if tree.commit else None, found)
