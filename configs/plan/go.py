"""Which Go compiles a tree of Kubernetes, and where Debian has it. Pure.

A tree says which it wants (``.go-version``, since 1.24), and its makefiles refuse an older minor version
(``hack/lib/golang.sh``); which patch release of it does not matter to them. Debian 12 has 1.19, its newer suites newer
ones, each as a package of its own that needs nothing but its own sources and so can be installed beside.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from configs.plan.versions import numbers

AHEAD = 2
"""How many minor versions newer than what a tree wants Go may be: what trees vendor of Go's own tools knows the inside
of Go, and does not compile with any newer one."""


class GoPackage(NamedTuple):
    """A Go that Debian has.

    Attributes:
        go: Its minor version, such as ``1.24``.
        package: The package.
        suite: Where it is.
    """

    go: str
    package: str
    suite: str


DEBIANS = GoPackage("1.19", "golang-go", "bookworm")
"""The one of Debian 12 itself, which is in our toolchain image."""
PACKAGES = (
    DEBIANS,
    GoPackage("1.21", "golang-1.21-go", "bookworm-backports"),
    GoPackage("1.22", "golang-1.22-go", "bookworm-backports"),
    GoPackage("1.23", "golang-1.23-go", "bookworm-backports"),
    GoPackage("1.24", "golang-1.24-go", "trixie"),
    GoPackage("1.25", "golang-1.25-go", "trixie-backports"),
    GoPackage("1.26", "golang-1.26-go", "trixie-backports"),
    GoPackage("1.27", "golang-1.27-go", "forky"),
)
"""Every Go that Debian has for Debian 12 or newer, oldest first (Debian's source packages golang-X.Y)."""


def minor(version: str) -> str:
    """The minor version of a Go, such as ``1.24`` of ``go1.24.6 linux/amd64``; empty of what is no version of one."""
    found = re.search(r"\b(?:go)?([0-9]+\.[0-9]+)", version)
    return found[1] if found else ""


def package_for(demand: str, said: str = "") -> GoPackage:
    """The Go to compile a tree with: what is said, else the oldest that Debian has which does.

    Trees that make no demand are older than 1.24, and compile with Debian 12's (seen of 1.9 and 1.20).

    Args:
        demand: The minor version that the tree wants; empty where it does not say.
        said: The minor version that the release's file names; empty to choose.

    Raises:
        ValueError: Debian has no such Go, or it does not do; what it has, what is wanted and what would do.
    """
    if said:
        found = next((each for each in PACKAGES if each.go == said), None)
        if found is None:
            raise ValueError(f"Debian has no Go {said}; it has {', '.join(each.go for each in PACKAGES)}")
        if problem := go_problem(said, demand):
            raise ValueError(problem)
        return found
    wanted = numbers(demand)
    fitting = [each for each in PACKAGES if numbers(each.go) >= wanted]
    if not fitting:
        raise ValueError(f"its tree wants Go {demand}, and the newest that Debian has is {PACKAGES[-1].go}")
    return fitting[0]


def go_problem(has: str, demand: str) -> str:
    """Why a Go does not compile a tree; empty when it does, or nobody knows.

    Args:
        has: The minor version of Go.
        demand: The one that the tree wants; empty where it does not say.
    """
    if not has or not demand:
        return ""
    (major, least), have = numbers(demand), numbers(has)
    if (major, least) <= have <= max((major, least + AHEAD), numbers(DEBIANS.go)):
        return ""
    try:
        would = f"Go {package_for(demand).go}"
    except ValueError:
        would = f"an image such as golang:{demand}"
    kind = "older" if have < (major, least) else f"more than {AHEAD} minor versions newer"
    return f"Go {has} is {kind} than the {demand} that its tree wants; {would} would do"


def takes_orders(version: str) -> bool:
    """Whether a Go would download another one where a tree asks for it, unless it is told not to: since 1.21.

    Args:
        version: Of Go.
    """
    return numbers(minor(version)) >= (1, 21)
