"""How ginkgo is told which of upstream's tests to run. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tasks.node_agent.e2e import DIRECTORY

SECONDS = 6 * 3600
"""How long tests may take; conformance, one test after the other, is below two hours."""
ALONE = (r"\[Serial\]", r"\[Disruptive\]")
"""Tests that want the cluster for themselves."""


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
    pairs = (("focus", "|".join(focus)), ("skip", "|".join(skip)))
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
        found.append((parallel, selection.focus, (*selection.skip, *(ALONE if alone else ()))))
    if alone:
        found.append((1, exactly(alone), ()))
    return [
        _words(paths, ginkgo, facts, at_once, focus, skip, number)
        for number, (at_once, focus, skip) in enumerate(found * repeat, 1)
    ]


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
