"""A mirror: another place that addresses are read from, such as a directory on a stick for a site without a network.

MIRROR/<host>/<path>                              what https://<host>/<path> is
MIRROR/<registry>/<repository>/<tag>.tar          an image, as `docker save` writes it
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from configs.errors import ConfigError, KubeV6Error
from configs.words import shortened
from tasks.paths import expanded

VARIABLE = "KUBEV6_MIRROR"


class LackingError(KubeV6Error):
    """A mirror does not have what was looked for there.

    Args:
        root: Its address, or the path of its directory.
        paths: What it does not have, below its root.
    """

    def __init__(self, root: str, paths: Sequence[str]) -> None:
        super().__init__(
            f"the mirror {root} has no {', '.join(paths)}",
            todo="put it there (`kubev6 fetch RELEASE --to DIRECTORY` writes a whole mirror), or do without the mirror",
        )
        self.root = root
        self.paths = tuple(paths)

    @classmethod
    def of_all(cls, errors: Sequence[LackingError]) -> LackingError:
        """One for all that one mirror does not have.

        Args:
            errors: What it was found not to have; one at least.
        """
        return cls(errors[0].root, tuple(dict.fromkeys(path for error in errors for path in error.paths)))


@dataclass(frozen=True, slots=True)
class Mirror:
    """A mirror.

    Attributes:
        root: Its address, or the path of its directory.
    """

    root: str

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory here, and no address."""
        return "://" not in self.root

    def file(self, url: str) -> str:
        """Where a file is in this mirror: an address or a path."""
        return f"{self.root}/{path_of_file(url)}"

    def image(self, reference: str) -> str:
        """Where an image is in this mirror: an address or a path."""
        return f"{self.root}/{path_of_image(reference)}"

    def lacks(self, paths: Sequence[str]) -> LackingError:
        """The error that says which files this mirror does not have."""
        return LackingError(self.root, paths)


def unpublished(name: str, tag: str) -> str:
    """What an image of ours is called in a mirror: nobody publishes it.

    Args:
        name: Its name.
        tag: Its tag.
    """
    return f"localhost/kubev6/{name}:{tag}"


def chosen(given: str = "") -> Mirror | None:
    """The mirror to use: the one given, else the one that ``KUBEV6_MIRROR`` names; None for the publishers themselves.

    Args:
        given: An address or a directory; empty for none.

    Raises:
        ConfigError: It is no address, or there is no such directory.
    """
    root, said = (given, "the mirror") if given else (os.environ.get(VARIABLE, ""), f"the mirror of {VARIABLE},")
    if not root:
        return None
    if "://" not in root:
        directory = Path(expanded(root)).absolute()
        if not os.path.isdir(directory):  # noqa: PTH112 - what no path can be is no directory either
            raise ConfigError(
                f"{said} {shortened(root, 200)}: there is no such directory", todo="name a directory or an http address"
            )
        return Mirror(str(directory))
    try:
        parts = urlsplit(root)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ConfigError(f"{said} is no address", todo="such as http://mirror.example/kubev6 is wanted") from None
    if parts.username is not None:
        raise ConfigError(f"{said} at {parts.hostname} is named with a login", todo="put the login into ~/.netrc")
    if parts.scheme not in ("http", "https") or not named or parts.query or parts.fragment:
        raise ConfigError(f"{said} {root}: is no address", todo="such as http://mirror.example/kubev6 is wanted")
    return Mirror(root.rstrip("/"))


def origin(path: str, mirror: Mirror | None) -> str:
    """Where something comes from, in short: the mirror, or the host that publishes it.

    Args:
        path: Where a mirror keeps it.
        mirror: Where it is read from; None for its publisher.
    """
    return mirror.root if mirror else path.partition("/")[0]


def path_of_file(url: str) -> str:
    """Where a mirror keeps what an address gives, below its root."""
    parts = urlsplit(url)
    return f"{parts.netloc}{parts.path}"


def path_of_image(reference: str) -> str:
    """Where a mirror keeps an image, below its root: ``docker.io/library/busybox/1.36.tar`` for ``busybox:1.36``."""
    name, _, tag = full_reference(reference).rpartition(":")
    return f"{name}/{tag}.tar"


def full_reference(reference: str) -> str:
    """An image reference with the registry and the directory that Docker adds where they are left out."""
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return reference
    return f"docker.io/{reference}" if slash else f"docker.io/library/{reference}"
