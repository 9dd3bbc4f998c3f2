"""What a remote's address stands for: a server, a repository on this machine, or a bundle."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from configs.errors import ConfigError, KubeV6Error
from configs.logins import holds_secret, without_login

WANTS_NO_LOGIN = "git asks its credential helper for one; or name the place by ssh"
_BUNDLE = re.compile(rb"^# v([23]) git bundle\n$")


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


@dataclass(frozen=True, slots=True)
class BundleHead:
    """The beginning of a bundle.

    Attributes:
        needs: Ids of commits that have to be there before it is unpacked.
        refs: What it brings, by ref.
        size: Length of this head in bytes; the pack follows.
    """

    needs: tuple[str, ...]
    refs: dict[str, str]
    size: int


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
    if not path.exists():
        raise KubeV6Error(
            f"remote {remote}: there is no {path}", todo="give a URL, a repository's directory or a bundle"
        )
    if path.is_file():
        if _is_bundle(path):
            return Place(remote, str(path), "bundle", refs=refs)
        raise KubeV6Error(f"remote {remote}: {path} is a file and no git bundle", todo="git bundle create makes one")
    directory = _git_directory(path)
    if directory is None:
        raise KubeV6Error(
            f"remote {remote}: {path} is no git repository", todo="give the directory that holds .git, or a bare one"
        )
    return Place(remote, str(path), "repository", directory / "objects", refs)


def path_of(address: str, *, base: Path) -> Path | None:
    """The whole path that an address stands for; None when it is a server's.

    Args:
        address: What the series file or the person gave.
        base: Directory from which a relative path counts.
    """
    if address.startswith("file://"):
        return Path(unquote(urlsplit(address).path))
    path = (base / Path(address).expanduser()).resolve()
    if not path.exists() and re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|[^/]+:", address):
        return None
    return path


def read_bundle(path: Path) -> BundleHead:
    """Read the head of a bundle.

    Raises:
        KubeV6Error: It is damaged, or of a kind that is not known here.
    """
    needs: list[str] = []
    refs: dict[str, str] = {}
    size = 0
    with path.open("rb") as file:
        for number, line in enumerate(file):
            size += len(line)
            text = line.decode(errors="surrogateescape").rstrip("\n")
            if not text:
                return BundleHead(tuple(needs), refs, size)
            if text.startswith("@") and not text.startswith(("@object-format=sha1", "@filter=")):
                raise KubeV6Error(f"{path}: is a bundle with {text}, which is not known here")
            if found := re.match(r"(-?)([0-9a-f]{40})(?: (.*))?$", text):
                if found[1]:
                    needs.append(found[2])
                else:
                    refs[str(found[3])] = found[2]
            elif number and not text.startswith("@"):
                break
    raise KubeV6Error(f"{path}: the head of this bundle is damaged", todo="make it anew with git bundle create")


def _is_bundle(path: Path) -> bool:
    with path.open("rb") as file:
        return _BUNDLE.match(file.readline(40)) is not None


def _git_directory(path: Path) -> Path | None:
    """Where a repository keeps its objects and refs, also of a linked working tree; None when it is none.

    Git itself would look in all directories above too, and refuse one that is somebody else's.
    """
    for directory in (path / ".git", path):
        if directory.is_file():
            found = re.match(r"gitdir: (.+)", directory.read_text(errors="replace"))
            directory = (path / found[1].strip()).resolve() if found else directory
            common = directory / "commondir"
            if common.is_file():
                directory = (directory / common.read_text().strip()).resolve()
        if (directory / "objects").is_dir() and (directory / "HEAD").exists():
            return directory
    return None
