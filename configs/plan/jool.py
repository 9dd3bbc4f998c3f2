"""Jool, the translator in the kernel: which of its parts a machine has, and whether they fit each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from configs.plan.versions import numbers

PACKAGED = ("/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/")
"""Where packages put commands; one built from source goes elsewhere unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Jool:
    """What a machine has of Jool.

    Attributes:
        tool: Path of its command; empty without one.
        version: The command's version, for example ``4.1.9.0``.
        module: The kernel module's version: of the loaded one, else of the one that would be loaded.
    """

    tool: str = ""
    version: str = ""
    module: str = ""

    @property
    def built_there(self) -> bool:
        """Whether somebody installed it past the packages, which then must not be installed as well."""
        return bool(self.tool) and not self.tool.startswith(PACKAGED)

    @property
    def has_instances(self) -> bool:
        """Whether its command line is that of 4.x; up to 3.5 a machine has one translator, without a name."""
        return not self.version or numbers(self.version) >= (4,)


def jool_of(said: Mapping[str, str]) -> Jool:
    """What a machine said of its Jool.

    Args:
        said: Values of ``JOOL_TOOL``, ``JOOL_VERSION`` and ``JOOL_MODULE``; what is no version counts as none.
    """
    return Jool(
        said.get("JOOL_TOOL", ""), _version(said.get("JOOL_VERSION", "")), _version(said.get("JOOL_MODULE", ""))
    )


def mismatch(jool: Jool) -> str:
    """Why the parts of Jool on a machine do not fit each other; empty when they do, or when one is yet to come.

    The module answers only a command of exactly its own version, all four numbers of it.
    """
    if not jool.version or not jool.module or jool.version == jool.module:
        return ""
    older = "command" if numbers(jool.version) < numbers(jool.module) else "kernel module"
    return (
        f"Jool's command {jool.tool} is {jool.version} and its kernel module {jool.module}, which do not talk to each "
        f"other: bring the {older} to the other's version (a module still loaded goes with `modprobe -r jool`)"
    )


def _version(text: str) -> str:
    """The version at the end of what a command says of itself; empty when there is none."""
    found = re.search(r"[0-9]+(?:\.[0-9]+)+$", text.strip())
    return found[0] if found else ""
