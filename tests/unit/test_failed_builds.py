"""Whether a build that failed is tried again by a run that nobody looks at."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import CombinedError, KubeV6Error, NodeError
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from tasks import deployed
from tasks.kubernetes.upgrade import PutBackError
from tasks.release.compile import CompileError
from tasks.release.failed_builds import Attempt
from tests.unit.sample import manifest

RELEASE, CLUSTER = load_release("debian-1.20"), load_cluster("lab")
KEY, OTHER = "a" * 64, "b" * 64
DOES_NOT_COMPILE = CompileError("compiling v1 failed: proxy.go:7:2: undefined: x")
IS_BAD = CombinedError(
    (
        NodeError("lab", "proof after the upgrade", "Service from a to b: timed out"),
        PutBackError("cluster lab was put back to v1.20.2, and its proof holds"),
    )
)
FULL = KubeV6Error("compiling v1 failed: no space left on device")
UNREACHABLE = NodeError("kube-worker-1", "connect", "no route to host", transient=True)

pytestmark = pytest.mark.usefixtures("own_data")


def attempt(run: str = "second", cluster: Cluster | None = CLUSTER, *, again: bool = False) -> Attempt:
    return Attempt(RELEASE, cluster, run, again=again)


def fail(error: KubeV6Error, key: str = KEY, cluster: Cluster | None = CLUSTER) -> None:
    """A run that ends by an error, as a deploy's comes: under what the night says of it."""
    first = attempt("first", cluster, again=True)
    first.refuse_same(key)
    with pytest.raises(KubeV6Error, match="deploy on lab"), first.remembered():
        raise KubeV6Error(f"deploy on lab: {error}") from error


def refused(again: Attempt, key: str = KEY) -> str:
    """What is said of trying that; empty when it is tried."""
    try:
        again.refuse_same(key)
    except KubeV6Error as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (DOES_NOT_COMPILE, "compiling v1 failed: proxy.go:7:2: undefined: x"),
        (IS_BAD, "lab: proof after the upgrade: Service from a to b: timed out"),
    ],
    ids=["compiler", "proof"],
)
@pytest.mark.parametrize("cluster", [CLUSTER, None], ids=["deployed", "built"])
def test_a_build_that_failed_by_itself_is_not_tried_again(
    error: KubeV6Error, seen: str, cluster: Cluster | None
) -> None:
    fail(error, cluster=cluster)
    assert refused(attempt(cluster=cluster)) == (
        f"nothing has changed since run first, in which this build failed: {seen}; mend what it is made of; or have it "
        "tried again as it is, by the parameter refresh: images"
    )
    third = attempt("third", cluster)
    with pytest.raises(KubeV6Error, match="since run first"), third.remembered():
        third.refuse_same(KEY)
    assert "since run first" in refused(attempt(cluster=cluster)), "the run that saw it is named, and none that did not"


@pytest.mark.parametrize("error", [FULL, UNREACHABLE], ids=["disk", "machine"])
def test_what_a_machine_is_to_blame_for_is_tried_again(error: KubeV6Error) -> None:
    fail(error)
    assert not refused(attempt())
    fail(IS_BAD)
    fail(error)
    assert refused(attempt()), "nor does it say anything for a build"


def test_another_build_and_the_same_one_elsewhere_are_tried() -> None:
    fail(IS_BAD)
    assert not refused(attempt(), OTHER)
    assert not refused(attempt(), ""), "its tools have to be made first"
    assert not refused(attempt(again=True))
    assert not refused(attempt(cluster=None))
    assert not refused(attempt(cluster=CLUSTER.model_copy(update={"name": "other"})))
    assert not refused(attempt(cluster=CLUSTER.model_copy(update={"workers": 1}))), "its file has changed"
    changed = RELEASE.model_copy(update={"images": RELEASE.images.model_copy(update={"coredns": "1.8.0"})})
    assert not refused(Attempt(changed, CLUSTER, "second", again=False))


def test_what_has_come_up_since_is_forgotten_and_so_is_a_cluster_that_is_gone() -> None:
    fail(IS_BAD)
    deployed.remember(CLUSTER, manifest().model_copy(update={"key": KEY}), RELEASE, proved=True)
    assert not refused(attempt()), "a person has brought it there"
    deployed.remember(CLUSTER, manifest().model_copy(update={"key": OTHER}), RELEASE, proved=True)
    assert refused(attempt())
    deployed.forget(CLUSTER)
    assert not refused(attempt())

    fail(IS_BAD)
    attempt().succeeded()
    assert not refused(attempt())


def test_what_is_kept_and_cannot_be_read_any_more_keeps_nothing_from_being_tried(own_data: Path) -> None:
    fail(IS_BAD)
    (kept,) = own_data.glob("clusters/lab/failed-*.json")
    kept.write_text("{")
    assert not refused(attempt())
