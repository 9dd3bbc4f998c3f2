"""ifupdown: a stanza for each interface, run by ifup at every start."""

from __future__ import annotations

from fnmatch import fnmatchcase

from configs.plan.derived import Derived
from configs.plan.networking.links import Configured, Link
from configs.plan.state import File, Trial
from configs.schema.cluster import Node

INTERFACES = "/etc/network/interfaces"
DIRECTORY = "/etc/network/interfaces.d"
TRIAL = r"""
find etc/network -type f -exec sed -i -E "/^[[:space:]]*source/s|([[:space:]])/etc/network/|\1$PWD/etc/network/|g" {} +
ifup --no-act --force --no-mappings --no-scripts --interfaces "$PWD/etc/network/interfaces" """
"""Reads the copies in the place of the files, and says what would be run for the interfaces behind it (ifup(8))."""


def configured(derived: Derived, node: Node, links: tuple[Link, ...]) -> Configured:  # noqa: ARG001 - one shape for all
    """What makes ifup configure a node's interfaces. Nothing is run now: what the files say is set already."""
    files = [File(path_of(link), derived.render("interfaces", link=link)) for link in links]
    unread = [file.path for file in files if not _is_read(derived.machine.sources, file.path)]
    if unread:
        files.append(File(INTERFACES, "".join(f"source {path}\n" for path in unread), block=True))
    script = TRIAL + " ".join(link.interface for link in links)
    return Configured(tuple(files), trial=Trial("ifup", tuple(files), ("/etc/network",), script))


def path_of(link: Link) -> str:
    """The file of an interface. A directory that is read as a whole is read without names that hold a dot."""
    return f"{DIRECTORY}/kubev6-{link.interface.replace('.', '_')}"


def _is_read(sources: tuple[str, ...], path: str) -> bool:
    return any(_matches(path.rpartition("/")[0] + "/" if source.endswith("/") else path, source) for source in sources)


def _matches(path: str, pattern: str) -> bool:
    """As the shell has it: a star is about one part of a path (glob(7))."""
    parts, patterns = path.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))
