"""Whether a commit of Kubernetes is good, by what came of bringing it onto a cluster that was proved before. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from configs.errors import KubeV6Error, NodeError
from configs.words import counted
from tasks.kubernetes.checks import Check
from tasks.kubernetes.e2e_results import TestResult
from tasks.kubernetes.ginkgo import NoTestsError
from tasks.kubernetes.upgrade import PutBackError
from tasks.node_agent.record import STAGES
from tasks.release.compile import CompileError

Verdict = Literal["good", "bad", "skip", "unknown"]
"""``skip`` of a commit that cannot be judged, ``unknown`` when something else failed: then it can be tried again."""
NOT_PULLED = ("ErrImagePull", "ImagePullBackOff")
"""Why a container waits whose image does not come (the kubelet's reasons): a registry that is gone, or a full disk."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of bringing a commit onto a cluster.

    Attributes:
        checks: The cluster's proof with it; none when that was not reached.
        errors: Why it failed, and what became of the cluster then; none when it did not.
        tests: Those of upstream's tests that were asked for; none when that was not reached.
    """

    checks: tuple[Check, ...] = ()
    errors: tuple[BaseException, ...] = ()
    tests: tuple[TestResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgment:
    """What is said of a commit.

    Attributes:
        verdict: In one word.
        seen: Why, in one line.
    """

    verdict: Verdict
    seen: str


@dataclass(frozen=True, slots=True)
class Judge:
    """Tells good commits from bad ones.

    Attributes:
        name: What it goes by, for example ``the proof``.
        judge: The judgment of what came of one.
    """

    name: str
    judge: Callable[[Tried], Judgment]


def by_proof(tried: Tried) -> Judgment:
    """A commit is good when the cluster holds its proof with it, and bad when a component does not come up or it fails.

    An upgrade begins and ends with a proof: before it, and after it went back. Only between two that hold a failure is
    the commit's, and not the machines'.

    Args:
        tried: What came of it.
    """
    if not tried.errors:
        bad = [check for check in tried.checks if not check.ok]
        if not bad:
            return Judgment("good", f"{counted(len(tried.checks), 'check')}, all ok")
        seen = f"{bad[0].name} from {bad[0].source} to {bad[0].target}: {bad[0].seen}"
        return Judgment("unknown", f"nothing was replaced, and the proof does not hold: {seen}")
    if cannot_be := [error for error in tried.errors if isinstance(error, CompileError | NoTestsError)]:
        return Judgment("skip", cannot_be[0].message)
    causes = [error for error in tried.errors if not isinstance(error, PutBackError)]
    others = [error for error in causes if not _is_the_commits(error)]
    if others or len(causes) == len(tried.errors):
        return Judgment("unknown", _message((others or causes)[0]))
    return Judgment("bad", _message(causes[0]))


def by_tests(tried: Tried) -> Judgment:
    """A commit is good when the proof holds, and none of upstream's tests that were asked for fails.

    One of which no test passed or failed cannot be judged by them. A test that is known to fail judges nobody.

    Args:
        tried: What came of it.
    """
    said = by_proof(tried)
    if said.verdict != "good":
        return said
    told = [test for test in tried.tests if not test.known]
    if not_run := [test for test in told if test.outcome == "not run"]:
        return Judgment("unknown", f"{not_run[0].name}: not run{f', {why}' if (why := not_run[0].message) else ''}")
    if failed := [test for test in told if test.outcome == "failed"]:
        return Judgment("bad", f"{failed[0].name}: {failed[0].sentence}")
    if not any(test.outcome == "passed" for test in told):
        return Judgment("skip", "no test passed or failed: they skip themselves, or are known to fail")
    return Judgment("good", f"{said.seen}; {counted(len(told), 'test')} of upstream's, none failed")


PROOF = Judge("the proof", by_proof)


def judge_of(checks: Sequence[str]) -> Judge:
    """What judges by the proof, and by upstream's tests where there are checks.

    Args:
        checks: As a person writes them, such as ``e2e:NodePort``.
    """
    return Judge(" and ".join(checks), by_tests) if checks else PROOF


def _is_the_commits(error: BaseException) -> bool:
    """Whether it is what was replaced that failed, and not a machine, the way to it, or what is sent to it."""
    return (
        isinstance(error, NodeError)
        and not error.transient
        and error.step not in STAGES
        and not any(reason in error.message for reason in NOT_PULLED)
    )


def _message(error: BaseException) -> str:
    return error.message if isinstance(error, KubeV6Error) else str(error)
