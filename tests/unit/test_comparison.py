"""What differs between two recorded runs, and whether that is worse: tables of what is given and what comes out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import pytest

from flows.run.record import (
    CheckOfRun,
    Dns64OfRun,
    ErrorOfRun,
    ImageOfRun,
    Nat64OfRun,
    Outcome,
    PatchOfRun,
    RunRecord,
    SeriesOfRun,
    Status,
    StepOfRun,
    TestOfRun,
)
from flows.run.summary import under_way
from kubev6.report.comparison.checks import Checks, compare_checks
from kubev6.report.comparison.compare import Comparison, compare
from kubev6.report.comparison.parts import Difference, ImagePair, compare_images, compare_nodes, compare_topologies
from kubev6.report.comparison.patches import compare_patches
from kubev6.report.comparison.times import compare_times
from tests.unit import sample_run
from tests.unit.sample_run import step

GOOD = sample_run.finished()


def compared(first: RunRecord, second: RunRecord) -> Comparison:
    return compare(first, second, ("one", "other"))


def changed(**update: Any) -> RunRecord:
    return GOOD.model_copy(update=update)


# --- checks ---


def test_upstreams_tests_are_compared_as_checks_are() -> None:
    def tested(**words: str) -> RunRecord:
        tests = (
            TestOfRun(name=name, outcome=each, words=each, unexpected=each == "failed") for name, each in words.items()
        )
        return changed(command="e2e", checks=(), tests=tuple(tests))

    found = compared(tested(A="passed", B="passed", C="skipped"), tested(A="passed", B="failed", C="skipped"))
    assert [(pair.words, pair.first, pair.second) for pair in found.checks.fail_now] == [("B", "ok", "failed")]
    assert found.checks.appeared == ()
    assert found.worse[0].startswith("1 check that held fails now: B")


def asked(*checks: tuple[str, bool], name: str = "pod to pod") -> list[CheckOfRun]:
    return [
        CheckOfRun(name=name, source="a", target=target, ok=ok, seen="as it should be" if ok else "timed out")
        for target, ok in checks
    ]


def groups(found: Checks) -> dict[str, list[str]]:
    """The targets of each group that has any."""
    names = ("fail_now", "hold_again", "fail_still", "appeared", "gone")
    return {name: [pair.target for pair in getattr(found, name)] for name in names if getattr(found, name)}


@pytest.mark.parametrize(
    ("first", "second", "groups_of_it"),
    [
        ([], [], {}),
        ([("x", True)], [("x", True)], {}),
        ([("x", True), ("y", True)], [("y", False), ("x", True)], {"fail_now": ["y"]}),
        ([("x", False)], [("x", True)], {"hold_again": ["x"]}),
        ([("x", False)], [("x", False)], {"fail_still": ["x"]}),
        ([], [("x", True), ("y", False)], {"appeared": ["y", "x"]}),
        ([("x", True), ("y", False)], [], {"gone": ["y", "x"]}),
        ([("x", True), ("x", True)], [("x", True), ("x", False), ("x", True)], {"fail_now": ["x"]}),
    ],
)
def test_checks_are_sorted_by_what_became_of_them(
    first: list[tuple[str, bool]], second: list[tuple[str, bool]], groups_of_it: dict[str, list[str]]
) -> None:
    assert groups(compare_checks(asked(*first), asked(*second))) == groups_of_it


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [("NodePort", "node-1:30123", "node-1:31999"), ("NodePort", "node-1", "node-1"), ("no other node", "lab", "rack")],
)
def test_what_another_run_has_otherwise_by_chance_is_no_other_check(name: str, first: str, second: str) -> None:
    assert compare_checks(asked((first, True), name=name), asked((second, True), name=name)) == Checks()
    (pair,) = compare_checks(asked((first, True), name=name), asked((second, False), name=name)).fail_now
    assert pair.target == second


def test_the_port_of_anything_else_counts() -> None:
    found = compare_checks(asked(("[fd00::1]:443", True), name="API"), asked(("[fd00::1]:6443", True), name="API"))
    assert groups(found) == {"appeared": ["[fd00::1]:6443"], "gone": ["[fd00::1]:443"]}


@pytest.mark.parametrize(
    ("first", "second", "seen"),
    [(True, False, "timed out"), (False, True, "timed out"), (None, True, "as it should be")],
)
def test_what_was_seen_is_that_of_the_run_in_which_it_failed(first: bool | None, second: bool, seen: str) -> None:
    before = [] if first is None else asked(("x", first))
    found = compare_checks(before, asked(("x", second)))
    (pair,) = (*found.fail_now, *found.hold_again, *found.appeared)
    assert pair.seen == seen
    assert pair.words == "pod to pod from a to x"


def test_a_check_without_a_source_is_called_by_its_name() -> None:
    test = CheckOfRun(name="[sig-network] Services should serve", source="", target="", ok=False, seen="")
    (pair,) = compare_checks([], [test]).appeared
    assert pair.words == "[sig-network] Services should serve"


# --- what is worse ---


@pytest.mark.parametrize("first", get_args(Status))
@pytest.mark.parametrize("second", get_args(Status))
def test_only_an_end_that_proves_less_is_worse(first: Status, second: Status) -> None:
    proves = {"succeeded": 2, "proof failed": 1, "tests failed": 1}
    found = compared(changed(status=first), changed(status=second, started=GOOD.started + timedelta(days=1)))
    assert bool(found.worse) == (proves.get(second, 0) < proves.get(first, 0))


def test_a_check_that_held_makes_it_worse_and_is_named() -> None:
    bad = sample_run.badly_proved()
    proofs, ends = compared(GOOD, bad).worse
    assert proofs.startswith("12 checks that held fail now: pod to pod from pod on kube-control-plane to ")
    assert proofs.endswith("; and 9 more")
    assert ends == "the run went from Succeeded to Proof failed"
    assert compared(bad, bad.model_copy(update={"seconds": 3.0})).worse == ()
    assert compared(bad, GOOD).worse == ()


@pytest.mark.parametrize(
    ("checks_before", "said"),
    [(asked(("x", False)), ("1 check that the first run did not ask fails: pod to pod from a to y",)), ([], ())],
)
def test_a_new_check_that_fails_is_worse_unless_nothing_was_asked_before(
    checks_before: list[CheckOfRun], said: tuple[str, ...]
) -> None:
    first = changed(status="proof failed", checks=tuple(checks_before))
    second = changed(status="proof failed", checks=tuple(asked(("y", False))))
    assert compared(first, second).worse == said


def test_a_slower_run_or_other_patches_are_not_worse() -> None:
    assert compared(GOOD, changed(seconds=GOOD.seconds * 100, series=None, release=None, images=())).worse == ()


# --- times ---


def test_seconds_in_which_several_things_are_under_way_count_once() -> None:
    assert under_way([]) == 0
    assert under_way([(0, 2), (1, 3), (10, 11), (10.2, 10.4)]) == 4


@pytest.mark.parametrize(
    ("first", "second", "beyond_noise"),
    [
        (10.0, 10.0, False),
        (0.1, 1.0, False),  # nine times as long, and still less than a second
        (0.1, 1.1, True),
        (100.0, 130.0, False),
        (100.0, 134.0, True),
        (134.0, 100.0, True),
        (None, 0.5, False),
        (None, 2.0, True),
        (2.0, None, True),
    ],
)
def test_what_the_same_work_may_take_is_noise(first: float | None, second: float | None, beyond_noise: bool) -> None:
    before, after = ([step("build", "compile", 5, each)] if each else [] for each in (first, second))
    (time,) = compare_times(before, after)
    assert (time.first, time.second, time.beyond_noise) == (first, second, beyond_noise)
    assert time.by == pytest.approx((second or 0) - (first or 0), abs=0.001)


def test_times_are_those_of_all_machines_together_and_the_one_that_differs_most_is_named() -> None:
    first = [step("a", "runtime", 0, 10), step("b", "runtime", 5, 10), step("lab", "proof", 15, 1)]
    second = [step("a", "runtime", 0, 11), step("b", "runtime", 5, 25), step("lab", "proof", 40, 1.5)]
    runtime, proof = compare_times(first, second)
    assert (runtime.title, runtime.first, runtime.second, runtime.by) == ("runtime", 15, 30, 15)
    assert (runtime.subjects, runtime.most_on, runtime.most_by) == (2, "b", 15)
    assert (proof.title, proof.subjects, proof.most_on) == ("proof", 1, "lab")
    faster = compare_times(second, first)[0]
    assert (faster.by, faster.most_on, faster.most_by) == (-15, "b", -15)


@pytest.mark.parametrize(
    ("outcomes", "outcome"),
    [
        (["ended", "ended"], "ended"),
        (["ended", "failed"], "failed"),
        (["not ended", "failed"], "failed"),
        (["not ended", "ended"], "not ended"),
        ([], None),
    ],
)
def test_a_step_that_did_not_end_everywhere_is_told(outcomes: list[Outcome], outcome: str | None) -> None:
    steps = [
        StepOfRun(subject=str(number), title="runtime", start=0, seconds=1, outcome=each)
        for number, each in enumerate(outcomes)
    ]
    (time,) = compare_times(steps, [step("a", "runtime", 0, 1)])
    assert (time.first_outcome, time.second_outcome) == (outcome, "ended")


def test_a_step_that_was_tried_again_ended() -> None:
    failed = step("a", "push", 0, 1).model_copy(update={"outcome": "failed"})
    (time,) = compare_times([step("a", "push", 2, 1), failed], [])
    assert (time.first_outcome, time.first) == ("ended", 2)


# --- patches ---


def series(*patches: str) -> SeriesOfRun:
    """Each patch as ``TITLE@SOURCE``; one that is upstream has a star."""
    found = []
    for each in patches:
        title, _, source = each.removesuffix("*").partition("@")
        fate = "already upstream" if each.endswith("*") else "applied"
        found.append(PatchOfRun(title=title, author="", source=source, fate=fate))
    return SeriesOfRun(name="mine", patches=tuple(found))


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("", "", []),
        ("a@1 b@2", "a@1 b@2", []),
        ("a@1", "a@1 b@2", [("b", "added", None, 2)]),
        ("a@1 b@2", "b@2", [("a", "removed", 1, None)]),
        ("a@1 b@2", "a@1 b@2*", [("b", "other fate", 2, 2)]),
        ("a@1 b@2", "a@1 b@3", [("b", "other source", 2, 2)]),
        ("a@1", "other-words@1", []),  # the same commit
        ("a@1 b@2 c@3", "c@3 a@1 b@2", [("c", "moved", 3, 1)]),
        ("a@1 b@2 c@3 d@4", "b@2 c@3 d@4 a@1", [("a", "moved", 1, 4)]),
        ("a@1 b@2", "b@3* a@1", [("b", "other fate, other source, moved", 2, 1)]),
        ("fix@1 fix@2", "fix@2", [("fix", "removed", 1, None)]),
        ("fix@ fix@", "fix@ fix@ fix@", [("fix", "added", None, 3)]),  # as records of before have them
        ("a@1 b@2", "c@3", [("c", "added", None, 1), ("a", "removed", 1, None), ("b", "removed", 2, None)]),
    ],
)
def test_patches_are_told_that_came_went_or_stand_otherwise(
    first: str, second: str, told: list[tuple[str, str, int | None, int | None]]
) -> None:
    found = compare_patches(series(*first.split()), series(*second.split()))
    assert [
        (each.title, ", ".join(each.what), each.first and each.first.number, each.second and each.second.number)
        for each in found
    ] == told


def test_of_a_series_in_another_order_as_few_patches_as_possible_have_moved() -> None:
    before = series(*(f"p@{number}" for number in range(100)))
    order = [*range(10, 50), 7, *range(10), *range(50, 100)]
    order.pop(order.index(7, 41))
    after = before.model_copy(update={"patches": tuple(before.patches[number] for number in order)})
    assert [each.second and each.second.source for each in compare_patches(before, after)] == [
        *("7", "0", "1", "2", "3", "4", "5", "6", "8", "9"),
    ]


# --- release, images, topology ---


def test_of_releases_and_series_what_differs_is_told() -> None:
    assert GOOD.release is not None
    assert GOOD.series is not None
    other = changed(
        release=GOOD.release.model_copy(update={"version": "v1", "kind": "fetched", "toolchain": "", "stand_ins": {}}),
        series=GOOD.series.model_copy(update={"commit": "1" * 40, "tree": "2" * 40}),
    )
    found = compared(GOOD, other)
    assert found.release == (
        Difference("version", sample_run.VERSION, "v1"),
        Difference("kind", "built", "fetched"),
        Difference("toolchain", "go1.19.8 linux/amd64", ""),
        Difference("stand-ins", "cluster-dns-stand-in for CoreDNS", ""),
    )
    assert [each.name for each in found.series] == ["commit", "tree"]
    assert found.patches == ()
    assert "release" not in found.same
    assert "patches" not in found.same
    assert "topology" in found.same


def image(name: str, digest: str, tag: str = "v1", registry: str = "https://[fd00::64]:5000") -> ImageOfRun:
    return ImageOfRun(registry=registry, name=name, tag=tag, digest=f"sha256:{digest}")


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ([image("etcd", "a")], [image("etcd", "a", "20260301", "http://other:5000")], []),
        ([image("etcd", "a")], [image("etcd", "a"), image("etcd", "a", "20260301")], []),
        ([image("etcd", "a")], [image("etcd", "b")], [ImagePair("etcd", ("v1@sha256:a",), ("v1@sha256:b",))]),
        ([image("etcd", "a")], [image("pause", "b")], [("etcd", 1, 0), ("pause", 0, 1)]),
        ([image("etcd", "a")], [image("etcd", "b"), image("etcd", "a")], [("etcd", 1, 2)]),  # as when it went back
    ],
)
def test_images_differ_by_their_bytes(first: list[ImageOfRun], second: list[ImageOfRun], found: list[Any]) -> None:
    told = compare_images(first, second)
    assert list(told) == found or [(each.name, len(each.first), len(each.second)) for each in told] == found


def test_machines_that_came_went_or_are_something_else_are_told() -> None:
    before, after = sample_run.topology(4), sample_run.topology(5)
    worker = after.nodes[2].model_copy(update={"roles": ("control-plane", "worker")})
    after = after.model_copy(update={"nodes": (*after.nodes[:2], worker, *after.nodes[4:])})
    assert compare_nodes(before, before) == ()
    assert compare_nodes(before, after) == (
        Difference(
            "kube-worker-1",
            "worker, fd00::101, pods fd00:101::/64",
            "control-plane, worker, fd00::101, pods fd00:101::/64",
        ),
        Difference("kube-worker-2", "worker, fd00::102, pods fd00:102::/64", ""),
        Difference("kube-worker-3", "", "worker, fd00::103, pods fd00:103::/64"),
    )


def test_networks_and_servers_that_differ_are_told() -> None:
    lab = sample_run.topology(lab={"networking": "networkd", "debian": "bookworm", "containerd": None})
    rack = sample_run.topology(
        name="rack",
        lab=None,
        nat64=Nat64OfRun(prefix="64:ff9b::/96", by="existing", address="fd00::1"),
        dns64=Dns64OfRun(by="unbound"),
    )
    assert compare_topologies(lab, lab) == ()
    assert compare_topologies(lab, rack) == (
        Difference("cluster", "lab", "rack"),
        Difference("NAT64", "fd00:64:ff9b::/96, tayga", "64:ff9b::/96, existing, fd00::1"),
        Difference("DNS64", "bind", "unbound"),
        Difference("lab", "networking networkd, debian bookworm", ""),
    )


# --- the whole ---


def test_two_runs_that_came_to_the_same_say_so() -> None:
    found = compared(GOOD, changed(started=GOOD.started + timedelta(hours=1)))
    assert found.same == ("checks", "release", "patches", "topology")
    assert (found.worse, found.notes, found.only_in) == ((), (), {})
    assert not any(time.beyond_noise for time in found.times)


def test_parts_that_only_one_run_has_are_named_and_not_compared() -> None:
    bare = RunRecord(command="build", subject="x", started=GOOD.started, images=(image("etcd", "a"),))
    found = compared(GOOD, bare)
    assert found.only_in == {
        **dict.fromkeys(("checks", "release", "patches", "topology"), "first"),
        "images": "second",
    }
    assert (found.release, found.series, found.patches, found.images, found.nodes) == ((), (), (), (), ())
    assert compared(bare, GOOD).only_in["images"] == "first"


@pytest.mark.parametrize(
    ("first", "second", "note"),
    [
        ({}, {"topology": sample_run.topology(name="rack")}, "about different clusters, lab and rack"),
        ({"status": "running"}, {}, "the first run had not ended"),
        ({}, {"status": "running"}, "the second run had not ended"),
        ({}, {"started": GOOD.started - timedelta(days=1)}, "the second run is the older one"),
    ],
)
def test_what_has_to_be_known_of_the_two_is_noted(first: dict[str, Any], second: dict[str, Any], note: str) -> None:
    (noted,) = compared(changed(**first), changed(**second)).notes
    assert note in noted


def test_errors_are_told_apart_by_the_run_that_has_them() -> None:
    first, second = (
        changed(errors=tuple(ErrorOfRun(message=message) for message in messages))
        for messages in (("the disk is full", "no route"), ("no route", "timed out"))
    )
    errors = compared(first, second).errors
    assert (errors.both, errors.first, errors.second) == (("no route",), ("the disk is full",), ("timed out",))
