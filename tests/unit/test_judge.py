"""What is said of a commit, by what came of bringing it onto a cluster; and what git says of where a bisection is."""

from __future__ import annotations

import pytest

from configs.errors import ConfigError, EndedError, KubeV6Error, NodeError
from kubev6.console.bisection import found, one_of, step
from tasks.kubernetes.checks import Check
from tasks.kubernetes.e2e_results import TestOutcome, TestResult
from tasks.kubernetes.ginkgo import NoTestsError
from tasks.kubernetes.judge import PROOF, Tried, judge_of
from tasks.kubernetes.upgrade import PutBackError
from tasks.release.compile import CompileError
from tasks.release.series.bisection import Ended, Judged, Next, read
from tasks.release.series.repository import Commit

HOLDS = Check("pod to pod", "pod on kube-worker-1", "[fd00:102::2]", ok=True, seen="fetched")
FAILS = Check("Service", "pod on kube-worker-1", "[fd00:1234::7]", ok=False, seen="timed out")
PUT_BACK = PutBackError("cluster lab was put back to v1.20.2, and its proof holds")
NOT_READY = NodeError("kube-control-plane", "upgrade", "kube-apiserver not Ready with the new image (CrashLoopBackOff)")
PROOF_FAILED = NodeError("lab", "proof after the upgrade", "Service from pod on kube-worker-1 to x: timed out")


@pytest.mark.parametrize(
    ("checks", "errors", "verdict", "seen"),
    [
        ((HOLDS, HOLDS), (), "good", "2 checks, all ok"),
        ((), (PROOF_FAILED, PUT_BACK), "bad", PROOF_FAILED.message),
        ((), (NOT_READY, PUT_BACK), "bad", NOT_READY.message),
        ((), (CompileError("compiling v1 failed: a.go:1:2: undefined: x"),), "skip", "compiling v1 failed: a.go:1:2: "),
        ((), (KubeV6Error("no image"), CompileError("compiling failed")), "skip", "compiling failed"),
        # What ran before failed with the same: the machines have changed, or what is outside.
        ((HOLDS, FAILS), (), "unknown", "nothing was replaced, and the proof does not hold: Service from"),
        ((), (NodeError("lab", "proof before the upgrade", "Service: timed out"),), "unknown", "lab: proof before"),
        ((), (PROOF_FAILED, KubeV6Error("lab could not be put back either")), "unknown", "lab could not be put back"),
        # A machine, the way to it, or what is sent to it.
        ((), (NodeError("w", "connect", "no route to host", transient=True),), "unknown", "w: connect: no route"),
        ((), (NodeError("w", "upgrade", "no answer", transient=True), PUT_BACK), "unknown", "w: upgrade: no answer"),
        ((), (NodeError("w", "kubernetes", "/usr/bin: No space left"), PUT_BACK), "unknown", "w: kubernetes: /usr"),
        ((), (NOT_READY, NodeError("w", "kubernetes", "the disk is full"), PUT_BACK), "unknown", "w: kubernetes: the"),
        ((), (NodeError("c", "upgrade", "etcd not Ready (ErrImagePull)"), PUT_BACK), "unknown", "c: upgrade: etcd"),
        ((), (NodeError("lab", "proof", "kube-proxy: ImagePullBackOff"), PUT_BACK), "unknown", "lab: proof: kube"),
        # This machine.
        ((), (KubeV6Error("registry: no answer"), PUT_BACK), "unknown", "registry: no answer"),
        (
            (),
            (KubeV6Error("compiling v1 failed: no space left on device"),),
            "unknown",
            "compiling v1 failed: no space",
        ),
        ((), (ConfigError("is Kubernetes 1.21 by its CHANGELOG"),), "unknown", "is Kubernetes 1.21"),
        ((), (EndedError("compile"),), "unknown", "compile: was ended"),
        ((), (LookupError("nobody thought of it"), PUT_BACK), "unknown", "nobody thought of it"),
    ],
)
def test_only_what_fails_between_two_proofs_that_hold_is_laid_to_a_commit(
    checks: tuple[Check, ...], errors: tuple[BaseException, ...], verdict: str, seen: str
) -> None:
    said = PROOF.judge(Tried(checks, errors))
    assert said.verdict == verdict
    assert said.seen.startswith(seen)


@pytest.mark.parametrize(
    ("outcomes", "verdict", "seen"),
    [
        (["passed", "skipped"], "good", "1 check, all ok; 2 tests of upstream's, none failed"),
        (["passed", "failed"], "bad", "test 2: failed"),
        (["failed", "not run"], "unknown", "test 2: not run"),
        (["skipped", "skipped"], "skip", "no test passed or failed: they skip themselves, or are known to fail"),
    ],
)
def test_a_commit_that_holds_the_proof_is_bad_when_a_test_of_upstreams_fails(
    outcomes: list[TestOutcome], verdict: str, seen: str
) -> None:
    judge = judge_of(["e2e:NodePort", "e2e:DNS"])
    assert judge.name == "e2e:NodePort and e2e:DNS"
    tests = tuple(TestResult(f"test {number}", outcome) for number, outcome in enumerate(outcomes, 1))
    said = judge.judge(Tried((Check("DNS", "a", "b", True, "resolved"),), tests=tests))
    assert (said.verdict, said.seen) == (verdict, seen)


def test_without_such_tests_the_proof_judges_alone_and_what_fails_it_is_told_with_them_too() -> None:
    assert judge_of([]) == PROOF
    absent = Tried(errors=(NoTestsError("profile network has no test whose name matches 'new'"),))
    assert judge_of(["e2e:new"]).judge(absent).verdict == "skip", "the commit is older than the test"
    known = Tried((Check("DNS", "a", "b", True, "resolved"),), tests=(TestResult("a", "passed", known="why"),))
    assert judge_of(["e2e:a"]).judge(known).verdict == "skip"
    failed = Tried(errors=(KubeV6Error("no space"),), tests=())
    assert judge_of(["e2e"]).judge(failed) == PROOF.judge(failed)


A, B = "a" * 40, "b" * 40


@pytest.mark.parametrize(
    ("status", "output", "meaning"),
    [
        (
            0,
            f"Bisecting: 7 revisions left to test after this (roughly 3 steps)\n[{A}] the title\n",
            Next(A, "7 revisions left to test after this (roughly 3 steps)"),
        ),
        (0, f"Bisecting: a merge base must be tested\n[{A}] x\n", Next(A, "a merge base must be tested")),
        (0, f"{A} is the first bad commit\ncommit {A}\nAuthor: Ann\n\n    {B}\n", Ended((A,))),
        (
            2,
            "There are only 'skip'ped commits left to test.\nThe first bad commit could be any of:\n"
            f"{A}\n{B}\nWe cannot bisect more!\n",
            Ended((A, B)),
        ),
    ],
)
def test_where_git_is(status: int, output: str, meaning: Next | Ended) -> None:
    assert read(status, output, "") == meaning


def test_what_git_refuses_is_told_in_its_words() -> None:
    said = "error: The merge base aaa is bad.\nThis means the bug has been fixed between aaa and [bbb]."
    with pytest.raises(KubeV6Error, match=r"bisection: The merge base aaa is bad\.; --restart begins anew"):
        read(3, "", said)


FIRST = Commit(A, B, (B,), "Ann Example <ann@example.org> 1 +0000", 1, "proxy: Fewer rules\n\nWhy.\n")
BAD = Judged("bad", "Service from x to y: timed out", "20260301T093000Z-bisect-lab")


def test_the_end_is_one_line_with_commit_author_check_and_both_reports() -> None:
    told = found(FIRST, "the proof", {A: BAD, B: Judged("good", "62 checks, all ok", "20260301T092800Z-bisect-lab")})
    assert told == (
        'aaaaaaaaaaaa "proxy: Fewer rules" by Ann Example <ann@example.org> is the first bad commit by the proof: '
        "Service from x to y: timed out; the report is drawn by `kubev6 report 20260301T093000Z-bisect-lab`, and of "
        "its parent `kubev6 report 20260301T092800Z-bisect-lab`"
    )
    assert found(FIRST, "the proof", {A: BAD}).endswith("Z-bisect-lab`; its parent was not tried")


def test_a_commit_that_was_tried_is_one_line_and_so_is_each_that_may_be_it() -> None:
    assert step(FIRST, "skip", 61.4, "3 left") == "skip    aaaaaaaaaaaa proxy: Fewer rules (61 s; 3 left)"
    assert one_of([FIRST], {A: BAD}).splitlines()[1:] == [
        '  aaaaaaaaaaaa "proxy: Fewer rules": bad, Service from x to y: timed out'
    ]
