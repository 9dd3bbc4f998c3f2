"""Which release a deploy takes, and what it says when there is none to take."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from configs.errors import KubeV6Error
from configs.manifest import BinaryEntry, Manifest, SourceEntry
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release, shipped
from flows import choose_release
from flows.choose_release import choices, for_plan, prebuilt
from tasks.release.refresh import Refresh, again
from tasks.store import Store

pytestmark = pytest.mark.usefixtures("own_data")
UNREACHABLE = """
name: {name}
kubernetes: 1.20.2
fetch: {{binaries: {{kubeadm: {{url: "http://no-such-host.invalid/kubeadm"}}}}}}
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def cluster() -> Cluster:
    return load_cluster("lab")


def kept(store: Store, name: str) -> Manifest:
    """A release of one executable, in the store."""
    sha256, size = store.add_stream([b"kubeadm"])
    manifest = Manifest(
        name=name,
        version="v1.20.2",
        key="a" * 64,
        created="2026-01-01T00:00:00+00:00",
        source=SourceEntry(kind="built", origin="test"),
        binaries=(BinaryEntry(name="kubeadm", sha256=sha256, size=size),),
        images=(),
    )
    store.write(manifest)
    return manifest


def test_the_clusters_own_release_is_taken_from_the_store(store: Store, cluster: Cluster) -> None:
    manifest = kept(store, "debian-1.20")
    chosen = prebuilt(cluster, "", store)
    assert (chosen.manifest, chosen.why) == (manifest, "this cluster's release, from the store")


def test_a_damaged_release_is_named_and_nothing_else_is_taken_instead(store: Store, cluster: Cluster) -> None:
    manifest = kept(store, "debian-1.20")
    store.blob(manifest.binaries[0].sha256).unlink()
    with pytest.raises(KubeV6Error) as caught:
        prebuilt(cluster, "", store)
    assert "debian-1.20 is damaged in the store: kubeadm: sha256:" in str(caught.value)
    assert "missing; the choices: debian-1.20: damaged in the store, can be built" in str(caught.value)
    assert for_plan(cluster, store)[1] == manifest


def test_what_cannot_be_downloaded_lists_the_choices_and_is_not_tried_again(
    tmp_path: Path, store: Store, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(store, "mine")
    there = tmp_path / "far.yaml"
    there.write_text(UNREACHABLE.format(name="far"))
    for named, before in (
        (str(there), "far could not be fetched"),
        ("", "the store has no debian-1.20, and far could"),
    ):
        monkeypatch.setattr(choose_release, "HOW_TO", str(there))
        with pytest.raises(KubeV6Error) as caught:
            prebuilt(cluster, named, store)
        assert str(caught.value).startswith(before)
        assert "the choices: mine: in the store (--prebuilt mine); debian-1.20: can be built" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not caught.value.transient


def test_a_clusters_own_release_that_is_published_is_fetched_before_the_how_tos(
    tmp_path: Path, store: Store, cluster: Cluster
) -> None:
    there = tmp_path / "far.yaml"
    there.write_text(UNREACHABLE.format(name="far"))
    own = cluster.model_copy(update={"release": str(there)})
    with pytest.raises(KubeV6Error, match=r"^far could not be fetched: kubeadm: http://no-such-host\.invalid/kubeadm"):
        prebuilt(own, "", store)


def test_what_is_damaged_and_published_is_fetched_again(tmp_path: Path, store: Store, cluster: Cluster) -> None:
    manifest = kept(store, "far")
    store.blob(manifest.binaries[0].sha256).unlink()
    there = tmp_path / "far.yaml"
    there.write_text(UNREACHABLE.format(name="far"))
    with pytest.raises(KubeV6Error, match=r"far could not be fetched: kubeadm: http://no-such-host\.invalid/kubeadm"):
        prebuilt(cluster, str(there), store)


def test_every_release_is_a_choice_once(store: Store) -> None:
    kept(store, "debian-1.20")
    named = [line.partition(":")[0] for line in choices(store)]
    assert sorted(named) == sorted(set(shipped("releases")))


def test_a_release_that_is_fetched_has_no_stages_of_a_build(
    store: Store, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = load_release("v1.9.0-alpha.0.ipv6.0").model_copy(update={"build": None})
    manifest, fetched = kept(store, release.name), []

    def fetch(*_: object, anew: bool, **__: object) -> Manifest:
        fetched.append(anew)
        return manifest

    monkeypatch.setattr(choose_release, "load_release", lambda _: release)
    monkeypatch.setattr(choose_release, "refuse_misfit", lambda *_: None)
    monkeypatch.setattr(choose_release, "fetch_release", fetch)
    with pytest.raises(KubeV6Error, match="is fetched and has no stage compile"):
        choose_release.built(cluster, store, refresh="compile")
    for refresh in get_args(Refresh):
        if again(refresh, "source") or not refresh:
            choose_release.built(cluster, store, refresh=refresh)
    assert fetched == [False, True, True]
