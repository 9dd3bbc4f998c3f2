"""What became of upstream's tests, and whether that was to be expected. Pure."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from configs.plan.versions import reaches
from configs.schema.e2e import KnownFailure, Profile
from configs.words import shortened

_PLACE = re.compile(r"\S+\.go:\d+(\s.*)?")
_WHEN = re.compile(r"^[A-Z][a-z]{2} +\d+ [\d:.]+: ")
"""What stands in upstream's messages between what went wrong, and before it."""
TestOutcome = Literal["passed", "failed", "skipped", "not run"]


@dataclass(frozen=True, slots=True)
class Reported:
    """What a test said of itself, one of the times that it was run.

    Attributes:
        name: The whole name.
        outcome: What it came to.
        seconds: How long it took.
        message: Why it failed, or skipped itself.
    """

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True, slots=True)
class TestResult:
    """What a test that was chosen came to, all times that it was run.

    Attributes:
        name: The whole name.
        outcome: ``failed`` where it failed once.
        seconds: The longest that it took.
        message: Why it failed, or skipped itself.
        known: Why it is known to fail; empty where it is not.
        passes: How often it passed.
        failures: How often it failed.
    """

    __test__ = False  # to pytest

    name: str
    outcome: TestOutcome
    seconds: float = 0.0
    message: str = ""
    known: str = ""
    passes: int = 0
    failures: int = 0

    @property
    def unexpected(self) -> bool:
        """Whether somebody has to look at it: it failed, passed although it is known to fail, or was not run."""
        return self.outcome == "not run" or self.outcome == ("passed" if self.known else "failed")

    @property
    def words(self) -> str:
        """What it came to, for a person."""
        if self.passes and self.failures:
            return f"failed {self.failures} of {self.passes + self.failures} times"
        if self.known and self.outcome == "passed":
            return "passed, though it is known to fail"
        if self.known and self.outcome == "failed":
            return "failed, as is known"
        return self.outcome

    @property
    def sentence(self) -> str:
        """The same, and where it failed the line of its message that says why: others say where, or when."""
        lines = (line.strip() for line in self.message.splitlines() if self.outcome == "failed")
        why = next((line for line in lines if line and not _PLACE.fullmatch(line)), "")
        return f"{self.words}: {shortened(_WHEN.sub('', why), 200)}" if why else self.words


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What decides whether a test is expected to fail.

    Attributes:
        version: The cluster's version of Kubernetes.
        lab: Whether its machines are those of a lab.
        lacking: Images that could not be had.
        stand_ins: Images that stand in for others.
    """

    version: str
    lab: bool
    lacking: Collection[str] = ()
    stand_ins: Collection[str] = ()


def known_failures(profile: Profile, names: Iterable[str], here: Circumstances) -> dict[str, str]:
    """Why tests are expected to fail, by their names.

    Args:
        profile: Says which are known to.
        names: Of the tests.
        here: What decides it.
    """
    entries = [(re.compile(each.test), each.reason) for each in profile.known if _holds(each, here)]
    found: dict[str, str] = {}
    for name in names:
        for expression, reason in entries:
            if expression.search(name):
                found[name] = reason
                break
    return found


def results(
    chosen: Sequence[str], reported: Iterable[Reported], known: Mapping[str, str], *, late: bool = False
) -> tuple[TestResult, ...]:
    """What became of each test that was chosen, and of what else failed, such as the set-up of all of them.

    Args:
        chosen: Their names.
        reported: What they said.
        known: See :func:`known_failures`.
        late: Whether their time was up before all had ended.
    """
    why = "the time of all tests was up" if late else ""
    said: defaultdict[str, list[Reported]] = defaultdict(list)
    for each in reported:
        said[each.name].append(each)
    others = [name for name in said if name not in set(chosen)]
    return tuple(_result(name, said[name], known.get(name, ""), why) for name in (*chosen, *others))


def junit(tests: Sequence[TestResult], name: str) -> str:
    """The same in the form that JUnit has given its name to, which other tools read.

    Args:
        tests: What became of them.
        name: What they are called together.
    """
    suite = ElementTree.Element(
        "testsuite",
        name=name,
        tests=str(len(tests)),
        failures=str(sum(test.unexpected for test in tests)),
        skipped=str(sum(test.outcome == "skipped" for test in tests)),
        time=f"{sum(test.seconds for test in tests):.1f}",
    )
    for test in tests:
        case = ElementTree.SubElement(suite, "testcase", name=_printable(test.name), time=f"{test.seconds:.3f}")
        if test.unexpected:
            failure = ElementTree.SubElement(case, "failure", message=test.words)
            failure.text = _printable(test.message)
        elif test.outcome != "passed":
            ElementTree.SubElement(case, "skipped", message=_printable(test.known or test.message or test.outcome))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _holds(known: KnownFailure, here: Circumstances) -> bool:
    """Whether what decides it is as it says."""
    return not (
        (known.since and not reaches(here.version, known.since))
        or (known.before and reaches(here.version, known.before))
        or (known.lab is not None and known.lab != here.lab)
        or (known.lacks and known.lacks not in here.lacking)
        or (known.stand_in and known.stand_in not in here.stand_ins)
    )


def _result(name: str, said: Sequence[Reported], known: str, why_not: str) -> TestResult:
    failed = [each for each in said if each.outcome == "failed"]
    passed = [each for each in said if each.outcome == "passed"]
    skipped = [each for each in said if each.outcome == "skipped"]
    outcome: TestOutcome = "failed" if failed else "passed" if passed else "skipped" if skipped else "not run"
    return TestResult(
        name=name,
        outcome=outcome,
        seconds=max((each.seconds for each in said), default=0.0),
        message=next((each.message for each in (*failed, *skipped) if each.message), "" if said else why_not),
        known=known,
        passes=len(passed),
        failures=len(failed),
    )


def _printable(text: str) -> str:
    """A text without what XML may not hold (XML 1.0, 2.2)."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)
