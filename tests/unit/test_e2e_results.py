"""What became of upstream's tests, what was to be expected of it, and how ginkgo is told which to run."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Literal

import pytest

from configs.errors import ConfigError, KubeV6Error
from configs.schema.e2e import KnownFailure, Profile
from configs.schema.loading import load_profile, shipped
from flows.run.record import TestOfRun
from kubev6.console.e2e import since, summary
from tasks.kubernetes.e2e_results import Circumstances, Reported, TestResult, junit, known_failures, results
from tasks.kubernetes.ginkgo import Facts, Selection, exactly, options, passes
from tasks.node_agent.junit import reasons_in, reported
from tasks.release.suite import targets

A, B, C = "[sig-network] A works", "[sig-network] B works [Serial]", "[sig-network] C works"
LAB = Circumstances("v1.20.2+kubev6.debian-1.20.e4f6458", lab=True, lacking=("nginx",), stand_ins=("coredns",))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({}, True),
        ({"since": "1.20"}, True),
        ({"since": "1.21"}, False),
        ({"before": "1.20"}, False),
        ({"before": "1.21"}, True),
        ({"lab": True}, True),
        ({"lab": False}, False),
        ({"lacks": "nginx"}, True),
        ({"lacks": "httpd"}, False),
        ({"stand_in": "coredns"}, True),
        ({"stand_in": "etcd"}, False),
        ({"lab": True, "since": "1.21"}, False),
    ],
)
def test_a_test_is_expected_to_fail_where_all_holds_that_is_said(condition: dict[str, object], expected: bool) -> None:
    known = KnownFailure.model_validate({"test": "A .*", "reason": "because", **condition})
    profile = Profile(name="mine", known=(known,))
    assert known_failures(profile, [A, C], LAB) == ({A: "because"} if expected else {})


@pytest.mark.parametrize(
    ("said", "known", "outcome", "words", "unexpected"),
    [
        (["passed"], "", "passed", "passed", False),
        (["failed"], "", "failed", "failed", True),
        (["skipped"], "", "skipped", "skipped", False),
        ([], "", "not run", "not run", True),
        ([], "why", "not run", "not run", True),
        (["failed"], "why", "failed", "failed, as is known", False),
        (["passed"], "why", "passed", "passed, though it is known to fail", True),
        (["skipped"], "why", "skipped", "skipped", False),
        (["passed", "failed", "passed"], "", "failed", "failed 1 of 3 times", True),
        (["passed", "failed"], "why", "failed", "failed 1 of 2 times", False),
    ],
)
def test_what_a_test_came_to_is_to_be_expected_or_not(
    said: list[Literal["passed", "failed", "skipped"]], known: str, outcome: str, words: str, unexpected: bool
) -> None:
    told = [Reported(A, each) for each in said]
    (test,) = results([A], told, {A: known} if known else {})
    assert (test.outcome, test.words, test.unexpected) == (outcome, words, unexpected)


def test_what_fails_though_nobody_chose_it_is_told_too() -> None:
    """The set-up of all tests, when the cluster is not ready for any."""
    found = results([A], [Reported("BeforeSuite", "failed", message="no nodes")], {})
    assert [(test.name, test.words, test.message) for test in found] == [
        (A, "not run", ""),
        ("BeforeSuite", "failed", "no nodes"),
    ]


def test_of_several_times_the_longest_and_the_first_reason_count() -> None:
    said = [Reported(A, "passed", 3.0), Reported(A, "failed", 9.0, "timed out"), Reported(A, "failed", 1.0, "refused")]
    (test,) = results([A], said, {})
    assert (test.seconds, test.message, test.passes, test.failures) == (9.0, "timed out", 1, 2)


@pytest.mark.parametrize(
    ("outcome", "message", "sentence"),
    [
        (
            "failed",
            "/go/src/test/e2e/framework/framework.go:629\nNov 28 10:41:44.865: Affinity should hold but didn't.\n"
            "/go/src/test/e2e/network/service.go:205",
            "failed: Affinity should hold but didn't.",
        ),
        ("failed", "service.go:205 @ 11/28/26 10:41:44", "failed"),
        ("failed", "", "failed"),
        ("failed", "x" * 300, f"failed: {'x' * 199}…"),
        ("skipped", "needs two nodes", "skipped"),
    ],
)
def test_why_a_test_failed_is_a_line_of_what_it_says(
    outcome: Literal["failed", "skipped"], message: str, sentence: str
) -> None:
    assert TestResult(A, outcome, message=message).sentence == sentence


def test_junit_says_what_was_not_expected_and_holds_whatever_a_test_prints() -> None:
    tests = (
        TestResult(A, "passed", 1.5, passes=1),
        TestResult(B, "failed", 2.0, "got \x1b[31m<nothing> & \udcff", failures=1),
        TestResult(C, "failed", 1.0, "refused", "it is known", failures=1),
    )
    suite = ElementTree.fromstring(junit(tests, "network on lab"))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "0")
    failure = suite.find(f"testcase[@name='{B}']/failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("failed", "got [31m<nothing> & ")
    assert suite.find(f"testcase[@name='{C}']/skipped[@message='it is known']") is not None


def test_tests_that_want_the_cluster_for_themselves_come_last_and_alone() -> None:
    paths = {"ginkgo": "/g/ginkgo", "e2e.test": "/e/e2e.test"}
    selection = Selection((r"\[sig-network\]",), (r"\[Slow\]",), (A, B, C))
    beside, alone = passes(paths, 1, Facts("cluster.local", 2), selection, 4, 1)
    assert beside[:2] + beside[2:3] == ["/g/ginkgo", "--noColor", "--nodes=4"]
    assert r"--skip=(?:\[Slow\])|(?:\[Serial\])|(?:\[Disruptive\])" in beside
    assert "--nodes=1" in alone
    assert {"--num-nodes=2", "--dns-domain=cluster.local"} <= {*beside} & {*alone}
    (focus,) = (word.removeprefix("--focus=") for word in alone if word.startswith("--focus="))
    assert [bool(re.search(focus, name)) for name in (A, B, C)] == [False, True, False]
    assert not any(word.startswith("--skip") for word in alone)
    directories = [next(word for word in each if word.startswith("--report-dir")) for each in (beside, alone)]
    assert len(set(directories)) == 2, "one does not overwrite the other's report"


def test_without_such_tests_nothing_is_skipped_and_each_is_repeated() -> None:
    found = passes({"ginkgo": "g", "e2e.test": "e"}, 2, Facts("example", 1), Selection((), (), (A,)), 2, 3)
    assert len(found) == 3
    assert found[0][:3] == ["g", "--no-color", "--procs=2"]
    assert not any(word.startswith(("--focus", "--skip")) for words in found for word in words)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("[sig-network] DNS should provide DNS for services  [Conformance]", "[sig-network] DNS should provide DNS"),
        ("[sig-network] Proxy version v1 (a+b) ", "[sig-network] Proxy version v1 (a+b) and more"),
    ],
)
def test_exactly_one_test_is_chosen_by_its_name_however_much_white_space_it_has(name: str, other: str) -> None:
    (expression,) = exactly([" ".join(name.split())])
    assert re.search(expression, f"Kubernetes e2e suite {name}")
    assert not re.search(expression, f"Kubernetes e2e suite {other}")


def test_more_names_than_fit_into_one_argument_come_to_several_commands() -> None:
    names = tuple(f"[sig-network] test {number} {'of something ' * 20}" for number in range(1000))
    found = passes({"ginkgo": "g", "e2e.test": "e"}, 1, Facts("x", 2), Selection(exactly(names), (), names), 4, 1)
    focuses = [word.removeprefix("--focus=") for words in found for word in words if word.startswith("--focus=")]
    assert len(found) == len(focuses) > 2
    assert max(map(len, focuses)) < 128 * 1024
    assert sum(focus.count("(?:") for focus in focuses) == len(names)


def test_a_report_that_is_damaged_is_told_and_the_others_count(tmp_path: Path) -> None:
    (tmp_path / "junit_01.xml").write_text(FIRST)
    (tmp_path / "junit_02.xml").write_text(FIRST[:200])
    *good, bad = reported(str(tmp_path), [A, B])
    assert [test["name"] for test in good] == [A, B]
    assert (bad["name"], bad["outcome"]) == ("junit_02.xml", "failed")


@pytest.mark.parametrize(
    ("names", "target"),
    [
        ("  cmd/kubectl\n  vendor/github.com/onsi/ginkgo/ginkgo\n", "vendor/github.com/onsi/ginkgo/ginkgo"),  # 1.20
        ("    github.com/onsi/ginkgo/v2/ginkgo\n", "github.com/onsi/ginkgo/v2/ginkgo"),
        ('    ginkgo\n    [ "${target}" = "github.com/onsi/ginkgo/ginkgo" ]\n', "ginkgo"),  # 1.34
    ],
)
def test_what_runs_the_tests_is_called_as_the_tree_calls_it(tmp_path: Path, names: str, target: str) -> None:
    for file in ("test/e2e/e2e_test.go", "test/images/agnhost/agnhost.go", "hack/lib/golang.sh"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(names if file.endswith(".sh") else "package main\n")
    assert targets(tmp_path) == ("test/e2e/e2e.test", target, "test/images/agnhost")
    (tmp_path / "hack/lib/golang.sh").write_text("cmd/kubectl\n")
    with pytest.raises(KubeV6Error, match=r"hack/lib/golang\.sh names no ginkgo"):
        targets(tmp_path)


def test_several_expressions_are_one_option() -> None:
    assert options(["a", "b"], [], prefix="ginkgo.") == ("--ginkgo.focus=(?:a)|(?:b)",)


FIRST = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="Kubernetes e2e suite" tests="3" failures="1" errors="0" time="9.3">
  <testcase name="[sig-network] A works" classname="Kubernetes e2e suite" time="4.5"></testcase>
  <testcase name="[sig-network] B  works [Serial]" classname="Kubernetes e2e suite" time="2.5">
    <failure type="Failure">/go/src/dns.go:10&#xA;Expected true</failure><system-out>much</system-out>
  </testcase>
  <testcase name="[sig-network] C works" classname="Kubernetes e2e suite" time="0"><skipped></skipped></testcase>
  <testcase name="BeforeSuite" classname="Kubernetes e2e suite" time="0"></testcase>
</testsuite>
"""
SECOND = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="4"><testsuite name="Kubernetes e2e suite">
  <testcase name="[SynchronizedBeforeSuite]" status="passed" time="1.0"></testcase>
  <testcase name="[It] [sig-network] A works" status="passed" time="1.25"></testcase>
  <testcase name="[It] [sig-network] B works [Serial]" status="skipped" time="0"><skipped message="skipped"></skipped>
  </testcase>
  <testcase name="[It] [sig-network] C works" status="skipped" time="0.1">
    <skipped message="skipped - Only supported for providers [gce]"></skipped></testcase>
  <testcase name="[It] [sig-network] D works" status="failed" time="2">
    <failure message="timed out" type="failed">at dns.go:10</failure></testcase>
</testsuite></testsuites>
"""


SKIPPING = """
------------------------------
S [SKIPPING] [0.542 seconds]
[sig-network] C
/go/src/k8s.io/kubernetes/test/e2e/network/framework.go:23
  works [BeforeEach]
  /go/src/k8s.io/kubernetes/test/e2e/network/dns.go:67

  Only supported for providers [gce]

  /go/src/k8s.io/kubernetes/test/e2e/network/dns.go:68
------------------------------
"""


def test_both_ginkgos_reports_say_what_was_run_and_what_came_of_it(tmp_path: Path) -> None:
    (tmp_path / "junit_01.xml").write_text(FIRST)
    (tmp_path / "e2e.log").write_text("no report")
    first = [
        {"name": A, "seconds": 4.5, "outcome": "passed", "message": ""},
        {"name": B, "seconds": 2.5, "outcome": "failed", "message": "/go/src/dns.go:10\nExpected true"},
    ]
    assert reported(str(tmp_path), [A, B]) == first
    skipped = {"name": C, "seconds": 0.0, "outcome": "skipped", "message": "Only supported for providers [gce]"}
    assert reported(str(tmp_path), [A, B, C], reasons_in(SKIPPING.splitlines())) == [*first, skipped]
    (tmp_path / "junit_01.xml").write_text(SECOND)
    assert [(test["name"], test["outcome"], test["message"]) for test in reported(str(tmp_path), [A, C])] == [
        (A, "passed", ""),
        (C, "skipped", "Only supported for providers [gce]"),
        ("[sig-network] D works", "failed", "timed out"),
    ]


def test_one_line_says_how_many_came_to_what_and_what_has_changed() -> None:
    tests = (TestResult(A, "passed", passes=1), TestResult(B, "failed", failures=1), TestResult(C, "passed", passes=1))
    assert summary(tests, 61.0) == "3 tests: 2 passed; 1 failed. 1 min 1 s in all."
    before = [TestOfRun.of(TestResult(A, "failed", failures=1)), TestOfRun.of(tests[1])]
    assert since(before, tests) == [f"Since the last run: {A}: failed then, passed now"]


@pytest.mark.parametrize("name", shipped("e2e"))
def test_a_shipped_profile_says_why_each_test_is_known_to_fail(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.description
    assert all(len(known.reason.split()) > 2 for known in profile.known)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: mine\nfocus: ['(']", r"focus\[0\].*is no regular expression"),
        ("name: mine\nknown: [{test: a}]", r"known\[0\]\.reason"),
        ("name: mine\nknown: [{test: a, reason: b, since: '1'}]", r"known\[0\]\.since"),
        ("name: mine\nfocusses: [a]", "focusses"),
    ],
)
def test_a_profile_that_cannot_be_right_is_one_line_that_says_where(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_profile(file)
    with pytest.raises(ConfigError, match=r"no profile of tests called networks; .*conformance, .*network"):
        load_profile("networks")
