"""What a remote's address stands for: a server, a repository on this machine, or a bundle."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from configs.errors import ConfigError, KubeV6Error
from configs.logins import holds_secret, without_login
from configs.words import shortened, visible
from tasks.paths import expanded
from tasks.release.series.git_command import ask, complaint, objects_of, server_environment

WANTS_NO_LOGIN = "git asks its credential helper for one; or name the place by ssh"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a remote is.

    Attributes:
        remote: The remote's name.
        address: A URL, or the path of a repository or a bundle.
        kind: Which of these.
        objects: The object directory of a repository on this machine.
        refs: Refs in whose history commits are looked for, besides the branches.
    """

    remote: str
    address: str
    kind: Literal["server", "repository", "bundle"]
    objects: Path | None = None
    refs: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"remote {self.remote} ({self.address})"


def locate(remote: str, address: str, *, base: Path, refs: tuple[str, ...] = ()) -> Place:
    """Find out what an address is. Servers are not asked.

    Args:
        remote: The remote's name.
        address: What the series file or the person gave.
        base: Directory from which a relative path counts.
        refs: Refs in whose history commits are looked for.

    Raises:
        ConfigError: It holds a password or a token.
        KubeV6Error: It is a path where no repository and no bundle is.
    """
    if holds_secret(address):
        raise ConfigError(f"remote {remote}: {without_login(address)} is named with a login", todo=WANTS_NO_LOGIN)
    path = path_of(address, base=base)
    if path is None:
        return Place(remote, address, "server", refs=refs)
    if not os.path.exists(path):  # noqa: PTH110 - see path_of
        raise KubeV6Error(
            f"remote {remote}: there is no {shortened(visible(str(path)), 300)}",
            todo="give a URL, a repository's directory or a bundle",
        )
    if path.is_file():
        if ask(["bundle", "list-heads", str(path)]).returncode == 0:
            return Place(remote, str(path), "bundle", refs=refs)
        raise KubeV6Error(f"remote {remote}: {path} is a file and no git bundle", todo="git bundle create makes one")
    objects = objects_of(path)
    if objects is None:
        raise KubeV6Error(
            f"remote {remote}: {path} is no git repository", todo="give the directory that holds .git, or a bare one"
        )
    return Place(remote, str(path), "repository", objects, refs)


def path_of(address: str, *, base: Path) -> Path | None:
    """The whole path that an address stands for; None when it is a server's.

    Args:
        address: What the series file or the person gave.
        base: Directory from which a relative path counts.
    """
    if address.startswith("file://"):
        return Path(unquote(urlsplit(address).path))
    path = base / expanded(address)
    if os.path.exists(path):  # noqa: PTH110 - what no path can be does not exist either
        return path.resolve()
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|[^/]+:", address):
        return None
    return Path(os.path.normpath(path.absolute()))


def head(place: Place, ref: str) -> str | None:
    """The object that a ref of a place is at, a commit where the place says which; None when it has no such ref.

    Args:
        place: The place.
        ref: A branch, a tag or a whole name.

    Raises:
        KubeV6Error: Its refs cannot be read.
    """
    words = ["-c", "safe.directory=*", "ls-remote", "--quiet", "--", place.address, ref, f"{ref}^{{}}"]
    answer = ask(words, server_environment())
    if answer.returncode:
        raise KubeV6Error(
            f"{place}: its refs cannot be read: {complaint(answer.stderr) or f'status {answer.returncode}'}",
            todo="check its address and the network, or name another place for it (sources)",
            transient=True,
            detail=answer.stderr,
        )
    found = {name: at for at, _, name in (line.partition("\t") for line in answer.stdout.splitlines())}
    # What an annotated tag stands for comes before the tag itself.
    names = (f"{each}{peeled}" for each in (ref, f"refs/tags/{ref}", f"refs/heads/{ref}") for peeled in ("^{}", ""))
    return next((found[name] for name in names if name in found), None)
