"""What upstream's tests report of themselves: JUnit's form of it, as ginkgo writes it since its first version."""

import os
import re
import xml.etree.ElementTree as ElementTree
from typing import Dict, Iterable, List, Optional, Sequence

from tasks.node_agent.protocol import Json

LONGEST = 20000
"""Characters that are kept of what a test says why it failed."""
_PART = re.compile(r" \[(It|BeforeEach|JustBeforeEach|AfterEach|Measurement)\]$")
"""With what the text ends in which a test has skipped itself."""


def reported(directory: str, chosen: Sequence[str], reasons: Optional[Dict[str, str]] = None) -> List[Json]:
    """The tests that were run, of all reports in a directory: ``name``, ``seconds``, ``outcome`` and ``message``.

    A report that is damaged counts as a test of its name that failed.

    Args:
        directory: Where the reports are.
        chosen: Those that were to be run. All others are in the reports too, as skipped, and so is one of these that
            skips itself; ginkgo 2 says why.
        reasons: Why tests have skipped themselves, by name, of which ginkgo 1 says nothing there.
    """
    found: List[Json] = []
    wanted = set(chosen)
    for name in sorted(os.listdir(directory)):
        if not (name.startswith("junit") and name.endswith(".xml")):
            continue
        try:
            cases = list(ElementTree.parse(os.path.join(directory, name)).getroot().iter("testcase"))
        except ElementTree.ParseError as error:
            message = "the report is damaged: {}".format(error)
            found.append({"name": name, "seconds": 0.0, "outcome": "failed", "message": message})
            continue
        for case in cases:
            test = _test(case, _name(case) in wanted, reasons or {})
            if test:
                found.append(test)
    return found


def is_test(name: str) -> bool:
    """Whether this is the name of a test, and not of what is done once before or after all of them."""
    return name.startswith("[") and not re.match(r"\[\w*(Suite|Cleanup)\b", name)


def reasons_in(log: Iterable[str]) -> Dict[str, str]:
    """Why tests have skipped themselves, by name: what ginkgo 1 prints of it.

    The texts of a test come first, each with its place in the source; what it says follows after a blank line.
    """
    found: Dict[str, str] = {}
    texts: Optional[List[str]] = None
    in_texts = False
    for line in log:
        line = line.rstrip()
        if line.startswith("S [SKIPPING]"):
            texts, in_texts = [], True
        elif texts is None:
            continue
        elif not line:
            in_texts = False
        elif in_texts:
            if not line.lstrip().startswith("/"):
                texts.append(_PART.sub("", line.strip()))
        else:
            found[" ".join(" ".join(texts).split())] = line.strip()
            texts = None
    return found


def _name(case: "ElementTree.Element") -> str:
    name = " ".join(case.get("name", "").split())
    return name[len("[It] ") :] if name.startswith("[It] ") else name


def _test(case: "ElementTree.Element", chosen: bool, reasons: Dict[str, str]) -> Json:
    name = _name(case)
    skipped, failure = case.find("skipped"), None
    for kind in ("failure", "error"):
        failure = case.find(kind) if failure is None else failure
    if is_test(name):
        if skipped is not None and not chosen:
            return {}
    elif failure is None:
        return {}
    outcome, message = "passed", ""
    if failure is not None:
        outcome = "failed"
        message = failure.get("message") or failure.text or ""
    elif skipped is not None:
        outcome, message = "skipped", skipped.get("message", "").partition(" - ")[2] or reasons.get(name, "")
    seconds = float(case.get("time", "0") or "0")
    return {"name": name, "seconds": seconds, "outcome": outcome, "message": message[:LONGEST]}
