"""The typed form of a profile of upstream's tests: which are run, and which are known to fail and why."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from configs.schema.field_types import Model

_MINOR = r"^[0-9]{1,3}\.[0-9]{1,3}$"


def expression(value: str) -> str:
    """A regular expression, checked. Raises ValueError when it is none."""
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return value


Expression = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(expression)]
"""A regular expression that is found anywhere in the name of a test. Square brackets of names want a backslash.

Those that choose are read by Go (RE2), the others by Python; what both know is good for both.
"""


class KnownFailure(Model):
    """Tests that are known to fail, and when.

    Without a condition they are expected to fail wherever the profile is run; with several, where all of them hold. One
    that passes although it is expected to fail is told like one that fails.

    Attributes:
        test: Which: a regular expression of Python's.
        reason: Why.
        since: From which minor version of Kubernetes on.
        before: Before which.
        lab: Only on a lab, or only on machines of one's own.
        lacks: Where the image of this name could not be had.
        stand_in: Where the image of this name is a stand-in.
    """

    test: Expression = Field(examples=[r"Internet connection \[Feature:Networking-IPv6\]"])
    reason: str = Field(min_length=1, max_length=1000, examples=["a lab has no internet"])
    since: str | None = Field(default=None, pattern=_MINOR, examples=["1.20"])
    before: str | None = Field(default=None, pattern=_MINOR, examples=["1.24"])
    lab: bool | None = None
    lacks: str | None = Field(default=None, examples=["nginx"])
    stand_in: str | None = Field(default=None, examples=["coredns"])


def check_of(text: str) -> tuple[str, str]:
    """The profile and the expression of a check as a person writes it, such as ``e2e:NodePort``, ``e2e/mine.yaml:DNS``.

    Args:
        text: What was written.

    Returns:
        The profile, and the expression that a test's name has to match; empty for all of the profile.

    Raises:
        ValueError: It is none.
    """
    where, _, focus = text.partition(":")
    kind, _, profile = where.partition("/")
    if kind != "e2e":
        raise ValueError(f"{text!r} is no check; such as e2e:NodePort or e2e/conformance:DNS is wanted")
    return profile or "network", expression(focus)


class Profile(Model):
    """Which of upstream's tests are run.

    Attributes:
        name: Name of the file.
        description: For a person.
        focus: One of these is found in the name of each test that is run; all tests where there is none. They are
            regular expressions of Go's.
        skip: None of these is; likewise.
        images: Names of images that the tests use, and that are fetched where they cannot be made here.
        known: Those that are known to fail.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$", examples=["network"])
    description: str = Field(default="", examples=["What upstream's IPv6 jobs run of the network"])
    focus: tuple[Expression, ...] = Field(default=(), examples=[[r"\[sig-network\]"]])
    skip: tuple[Expression, ...] = Field(default=(), examples=[[r"\[Slow\]"]])
    images: tuple[str, ...] = Field(default=(), examples=[["nginx"]])
    known: tuple[KnownFailure, ...] = ()
