"""How ginkgo is told which of upstream's tests to run. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from configs.errors import KubeV6Error
from tasks.node_agent.e2e import DIRECTORY

SECONDS = 6 * 3600
"""How long one command may take; conformance, one test after the other, is below two hours."""
LONGEST = 100_000
"""Characters of the expressions of one command: Linux takes 128 KiB in one argument (MAX_ARG_STRLEN of execve(2))."""
REGISTRIES = (
    "buildImageRegistry",
    "cloudProviderGcpRegistry",
    "dockerGluster",
    "dockerLibraryRegistry",
    "e2eRegistry",
    "e2eVolumeRegistry",
    "gcEtcdRegistry",
    "gcRegistry",
    "gcrReleaseRegistry",
    "promoterE2eRegistry",
    "sampleRegistry",
    "sigStorageRegistry",
)
"""What upstream's list of registries calls those whose images can be had (test/utils/image/manifest.go).

Each version reads those that it knows. Not among them are one that is none, and those that want a login.
"""
ALONE = (r"\[Serial\]", r"\[Disruptive\]")
"""Tests that want the cluster for themselves."""


class NoTestsError(KubeV6Error):
    """A choice of tests comes to none."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tests are run.

    Attributes:
        focus: Regular expressions of Go, one of which a name has to match; none for all.
        skip: Those of which it may match none.
        names: The tests that this comes to.
    """

    focus: tuple[str, ...]
    skip: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What tests want to know of a cluster.

    Attributes:
        domain: Its domain.
        nodes: How many nodes take their pods.
    """

    domain: str
    nodes: int


def options(focus: Iterable[str], skip: Iterable[str], *, prefix: str = "") -> tuple[str, ...]:
    """The options that choose tests.

    Args:
        focus: See :class:`Selection`.
        skip: See there.
        prefix: What stands before their names: nothing for ginkgo, ``ginkgo.`` for the program of the tests.
    """
    pairs = (("focus", "|".join(map(_apart, focus))), ("skip", "|".join(map(_apart, skip))))
    return tuple(f"--{prefix}{name}={value}" for name, value in pairs if value)


def passes(
    paths: Mapping[str, str], ginkgo: int, facts: Facts, selection: Selection, parallel: int, repeat: int
) -> list[list[str]]:
    """The words of each command, one after the other. Pure.

    Tests that want the cluster for themselves come by themselves, at the end.

    Args:
        paths: Of the programs, by name.
        ginkgo: The first number of the version of what runs them.
        facts: What tests want to know of the cluster.
        selection: Which tests.
        parallel: How many at a time.
        repeat: How often.
    """
    alone = tuple(name for name in selection.names if any(re.search(each, name) for each in ALONE))
    beside = len(selection.names) - len(alone)
    found = list[tuple[int, tuple[str, ...], tuple[str, ...]]]()
    if beside:
        skip = (*selection.skip, *(ALONE if alone else ()))
        found += [(parallel, focus, skip) for focus in _bounded(selection.focus)]
    found += [(1, focus, ()) for focus in _bounded(exactly(alone)) if alone]
    return [
        _words(paths, ginkgo, facts, at_once, focus, skip, number)
        for number, (at_once, focus, skip) in enumerate(found * repeat, 1)
    ]


def registries(place: str) -> str:
    """Upstream's list of registries, as YAML, where all images are in one place.

    Args:
        place: A registry, and the first part of the names there.
    """
    return "".join(f"{name}: {place}\n" for name in REGISTRIES)


def _apart(expression: str) -> str:
    """An expression beside others: what it says of itself, such as ``(?i)``, says nothing of them."""
    return f"(?:{expression})"


def _bounded(expressions: Sequence[str]) -> list[tuple[str, ...]]:
    """Expressions in as many groups as are needed for each to fit into a command; one when there are none."""
    groups: list[list[str]] = [[]]
    length = 0
    for each in expressions:
        if length + len(each) > LONGEST:
            groups.append([])
            length = 0
        groups[-1].append(each)
        length += len(each) + len("|(?:)")
    return [tuple(group) for group in groups]


def exactly(names: Sequence[str]) -> tuple[str, ...]:
    """Regular expressions that choose just these tests. Their names may hold more white space than is shown."""
    return tuple(r"\s+".join(map(re.escape, name.split())) + r"\s*$" for name in names)


def _words(
    paths: Mapping[str, str],
    ginkgo: int,
    facts: Facts,
    at_once: int,
    focus: Sequence[str],
    skip: Sequence[str],
    number: int,
) -> list[str]:
    quiet, count = ("--noColor", "--nodes") if ginkgo == 1 else ("--no-color", "--procs")
    return [
        paths["ginkgo"],
        quiet,
        f"{count}={at_once}",
        f"--timeout={SECONDS}s",
        *options(focus, skip),
        paths["e2e.test"],
        "--",
        "--kubeconfig=/etc/kubernetes/admin.conf",
        "--provider=skeleton",
        "--disable-log-dump",
        f"--dns-domain={facts.domain}",
        f"--num-nodes={facts.nodes}",
        f"--report-dir={DIRECTORY}/reports/{number}",
    ]
