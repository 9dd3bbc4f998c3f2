"""Which release a deploy takes, and what it says when there is none to take."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from configs.errors import KubeV6Error
from configs.manifest import BinaryEntry, Manifest, SourceEntry
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release, shipped
from flows import deploy
from tasks.events import Event, ReleaseChosen
from tasks.release import choose as choose_release
from tasks.release.choose import (
    BUILT,
    FETCHED,
    HELD,
    HELD_BY_FILE,
    Choice,
    Chosen,
    Decision,
    choices,
    decide,
    for_plan,
    grouped,
    how,
)
from tasks.release.fetch.fetch import fetch_release
from tasks.release.fetch.mirror import Mirror
from tasks.release.refresh import Refresh, again
from tasks.release.store import Store
from tests.fakes import substitute
from tests.unit.test_program import elf

pytestmark = pytest.mark.usefixtures("own_data")
UNREACHABLE = """
name: {name}
kubernetes: 1.20.2
fetch: {{binaries: {{kubeadm: {{url: "http://no-such-host.invalid/kubeadm"}}}}}}
"""
FETCH, BUILD = "--prebuilt NAME, where its publisher is reachable", "`kubev6 build NAME`, then --prebuilt NAME"
KUBEADM = elf() + b"kubeadm"
SHA256 = hashlib.sha256(KUBEADM).hexdigest()


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


def provide(decision: Decision, store: Store, mirror: Mirror | None = None, refresh: Refresh = "") -> Chosen:
    """What a flow does of tasks, without Prefect."""

    def fetch() -> Manifest:
        return fetch_release(decision.release, store=store, mirror=mirror, force=bool(refresh))

    taken = choose_release.held(decision, store, refresh)
    return taken or choose_release.fetched(decision, store, mirror, fetch)


def prebuilt(cluster: Cluster, named: str, store: Store, mirror: Mirror | None = None) -> Chosen:
    """What `deploy --prebuilt` takes."""
    return provide(decide(cluster, True, named, store), store, mirror)


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """A mirror that has the one executable of a release that nobody else can give."""
    for name in ("kubeadm", "kubeadm-elsewhere"):
        there = tmp_path / "mirror" / "no-such-host.invalid" / name
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(KUBEADM)
    return Mirror(str(tmp_path / "mirror"))


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """The file of that release."""
    there = tmp_path / "far.yaml"
    there.write_text(UNREACHABLE.format(name="far"))
    return there


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
    others = ", ".join(name for name in shipped("releases") if name != "debian-1.20")
    assert str(caught.value).endswith(
        f"missing; `kubev6 build debian-1.20` builds it again; the other choices: {others}: "
        f"can be fetched ({FETCH}), or can be built ({BUILD})"
    )
    assert for_plan(cluster, True, "", store)[1] == manifest


def test_a_release_whose_manifest_is_damaged_is_named_too_and_a_published_one_fetched_again(
    store: Store, cluster: Cluster, far: Path, mirror: Mirror
) -> None:
    for name in ("debian-1.20", "far"):
        kept(store, name)
        (store.root / "releases" / name / "current" / "manifest.json").write_text("{")
    with pytest.raises(KubeV6Error, match=r"debian-1\.20/current/manifest\.json: is no release manifest"):
        prebuilt(cluster, "", store)
    assert prebuilt(cluster, str(far), store, mirror).why.endswith(str(mirror.root))


def test_what_cannot_be_downloaded_lists_the_choices_and_is_not_tried_again(
    tmp_path: Path, store: Store, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(store, "mine")
    there = tmp_path / "far.yaml"
    there.write_text(UNREACHABLE.format(name="far"))
    for named, before in (
        (str(there), "far (named) could not be fetched: "),
        ("", "far (the how-to's release, since the store has no debian-1.20) could not be fetched: "),
    ):
        substitute(monkeypatch, choose_release, "HOW_TO", str(there))
        with pytest.raises(KubeV6Error) as caught:
            prebuilt(cluster, named, store)
        assert str(caught.value).startswith(before)
        mine = "mine: in the store by a release file of yours (--prebuilt FILE)"
        assert f"the choices: {mine}; debian-1.20: can be built ({BUILD}); v1" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not caught.value.transient


def test_a_clusters_own_release_that_is_published_is_fetched_before_the_how_tos(
    tmp_path: Path, store: Store, cluster: Cluster
) -> None:
    there = tmp_path / "far.yaml"
    there.write_text(UNREACHABLE.format(name="far"))
    own = cluster.model_copy(update={"release": str(there)})
    with pytest.raises(
        KubeV6Error,
        match=r"^far \(this cluster's release\) could not be fetched: kubeadm: http://no-such-host\.invalid/kubeadm",
    ):
        prebuilt(own, "", store)


def test_what_is_damaged_and_published_is_fetched_again(tmp_path: Path, store: Store, cluster: Cluster) -> None:
    manifest = kept(store, "far")
    store.blob(manifest.binaries[0].sha256).unlink()
    there = tmp_path / "far.yaml"
    there.write_text(UNREACHABLE.format(name="far"))
    with pytest.raises(
        KubeV6Error, match=r"far \(named\) could not be fetched: kubeadm: http://no-such-host\.invalid/kubeadm"
    ):
        prebuilt(cluster, str(there), store)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/kubeadm", "/kubeadm-elsewhere"),
        ('/kubeadm"', f'/kubeadm", sha256: "{SHA256}"'),
    ],
    ids=["another address", "a checksum"],
)
def test_a_release_whose_file_has_changed_is_fetched_again(
    store: Store, cluster: Cluster, mirror: Mirror, far: Path, before: str, after: str
) -> None:
    first = prebuilt(cluster, str(far), store, mirror)
    assert first.why == f"named, from the mirror {mirror.root}"
    assert prebuilt(cluster, str(far), store).manifest == first.manifest
    far.write_text(far.read_text().replace(before, after))
    assert for_plan(cluster, True, str(far), store)[1] is None

    again = prebuilt(cluster, str(far), store, mirror)

    assert again.why == f"named, from the mirror {mirror.root} as its file has changed"
    assert again.manifest.key != first.manifest.key
    assert prebuilt(cluster, str(far), store).why == "named, from the store"
    assert for_plan(cluster, True, str(far), store)[1] == again.manifest


def test_a_file_that_has_changed_and_cannot_be_fetched_says_what_is_another_now(
    store: Store, cluster: Cluster, mirror: Mirror, far: Path
) -> None:
    prebuilt(cluster, str(far), store, mirror)
    far.write_text(far.read_text().replace('/kubeadm"', f'/kubeadm", sha256: "{"0" * 64}"'))
    with pytest.raises(KubeV6Error) as caught:
        prebuilt(cluster, str(far), store)
    said = str(caught.value)
    assert said.startswith("far (named) could not be fetched: kubeadm: http://no-such-host.invalid/kubeadm cannot be")
    assert "; its file has changed since it was fetched, and the store lacks kubeadm; " in said
    assert "\n" not in said


def test_what_was_fetched_and_is_published_no_more_is_not_taken_for_what_its_file_says(
    store: Store, cluster: Cluster, mirror: Mirror, far: Path
) -> None:
    prebuilt(cluster, str(far), store, mirror)
    far.write_text("name: far\nkubernetes: 1.20.2\nbuild: {series: debian-1.20}\n")
    with pytest.raises(KubeV6Error, match=r"^release far is in the store as its file was before, and it is not"):
        prebuilt(cluster, str(far), store)


def test_what_was_built_is_taken_whatever_its_file_says_by_now(store: Store, cluster: Cluster, far: Path) -> None:
    manifest = kept(store, "far")
    assert prebuilt(cluster, str(far), store) == Chosen(load_release(far), manifest, "named, from the store")


def test_a_release_that_was_fetched_by_another_file_is_a_choice_but_not_as_it_is(
    store: Store, cluster: Cluster, mirror: Mirror, far: Path
) -> None:
    shipped_one = "v1.34.2"
    far.write_text(UNREACHABLE.format(name=shipped_one))
    prebuilt(cluster, str(far), store, mirror)
    (said,) = [str(choice) for choice in choices(store) if choice.name == shipped_one]
    assert said == "v1.34.2: in the store as its file was before, can be fetched, or can be built"


def test_which_release_it_is_to_be_is_known_before_any_of_it_is_here(store: Store, cluster: Cluster) -> None:
    """What the lab's machines are made from follows from it, and they are made while it is fetched."""

    def decided(prebuilt: bool, named: str = "") -> tuple[str, str, str]:
        decision = decide(cluster, prebuilt, named, store)
        return decision.release.name, decision.release.runtime, decision.why

    how_to = "v1.9.0-alpha.0.ipv6.0"
    assert decided(False) == ("debian-1.20", "containerd", "this cluster's release")
    assert decided(True) == (how_to, "docker", "the how-to's release, since the store has no debian-1.20")
    assert decided(True, "debian-1.20") == ("debian-1.20", "containerd", "named")
    assert for_plan(cluster, True, "", store) == (load_release(how_to), None)
    kept(store, "debian-1.20")
    assert decided(True) == ("debian-1.20", "containerd", "this cluster's release")
    assert decided(True, how_to) == (how_to, "docker", "named")


def test_a_topology_that_the_how_tos_release_does_not_suit_is_told_why_it_is_that(
    store: Store, cluster: Cluster
) -> None:
    with pytest.raises(KubeV6Error) as caught:
        decide(cluster.model_copy(update={"runtime": "containerd"}), True, "", store)
    assert str(caught.value).startswith(
        "v1.9.0-alpha.0.ipv6.0 (the how-to's release, since the store has no debian-1.20): cluster lab: runtime: "
    )


def test_every_release_is_a_choice_once(store: Store) -> None:
    kept(store, "debian-1.20")
    assert sorted(choice.name for choice in choices(store)) == sorted(set(shipped("releases")))


@pytest.mark.parametrize(
    ("listed", "line", "ways"),
    [
        ([], "", []),
        ([Choice("a", "", (BUILT,))], f"a: can be built ({BUILD})", [f"can be built: {BUILD}"]),
        (
            [Choice(name, "", (FETCHED, BUILT)) for name in "abc"],
            f"a, b, c: can be fetched ({FETCH}), or can be built ({BUILD})",
            [f"can be fetched: {FETCH}", f"can be built: {BUILD}"],
        ),
        (
            [
                Choice("a", "", (HELD,)),
                Choice("b", "", (BUILT,)),
                Choice("c", "", (HELD,)),
                Choice("d", "damaged in the store", (BUILT,)),
            ],
            f"a, c: in the store (--prebuilt NAME); b: can be built ({BUILD}); d: damaged in the store, can be built",
            ["in the store: --prebuilt NAME", f"can be built: {BUILD}"],
        ),
        (
            [Choice("a", "", (HELD_BY_FILE,)), Choice("b", "", ("in the store, of the working tree /src",))],
            "a: in the store by a release file of yours (--prebuilt FILE); b: in the store, of the working tree /src",
            ["in the store by a release file of yours: --prebuilt FILE"],
        ),
    ],
    ids=["none", "one", "all in the same way", "in several ways", "of yours"],
)
def test_choices_that_are_had_in_the_same_way_are_told_together(
    listed: list[Choice], line: str, ways: list[str]
) -> None:
    assert grouped(listed) == line
    assert list(how(listed)) == ways


@pytest.mark.parametrize(
    ("name", "build", "todo"),
    [
        ("debian-1.20", "", "`kubev6 build debian-1.20` builds it again; the other choices: "),
        ("mine", "", "`kubev6 build FILE` builds it again; the other choices: "),
        (
            "debian-1.20",
            "a" * 64,
            "`kubev6 deploy --prebuilt RELEASE` brings the cluster to a release of your choice; ",
        ),
    ],
    ids=["a shipped one", "one of a file", "what ran before"],
)
def test_what_is_damaged_is_told_with_what_to_do_about_it_and_every_phrase_once(
    store: Store, name: str, build: str, todo: str
) -> None:
    manifest = kept(store, name)
    store.blob(manifest.binaries[0].sha256).unlink()
    release = load_release("debian-1.20").model_copy(update={"name": name})
    with pytest.raises(KubeV6Error) as caught:
        choose_release.held(Decision(release, True, "named", build), store)
    said = str(caught.value)
    assert said.startswith(f"release {name} is damaged in the store: kubeadm: sha256:{manifest.binaries[0].sha256}")
    assert f": missing; {todo}" in said
    assert max(map(said.count, (FETCH, BUILD, "v1.34.2"))) == 1
    assert len(said) < 800


def test_a_release_that_is_fetched_has_no_stages_of_a_build(
    store: Store, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = load_release("v1.9.0-alpha.0.ipv6.0").model_copy(update={"build": None})
    manifest = kept(store, release.name)
    substitute(monkeypatch, choose_release, "load_release", lambda _: release)
    substitute(monkeypatch, choose_release, "refuse_misfit", lambda *_: None)
    decision = decide(cluster, False, "", store)
    with pytest.raises(KubeV6Error, match="is fetched and has no stage compile"):
        choose_release.held(decision, store, "compile")
    for refresh in get_args(Refresh):
        if again(refresh, "source") or not refresh:
            assert choose_release.held(decision, store, refresh) is None
    why = choose_release.fetched(decision, store, None, lambda: manifest).why
    assert why == "this cluster's release, which is published and not built, by download"


def test_what_need_not_be_built_is_fetched_again_when_that_is_asked_for_and_has_to_be_what_it_was(
    store: Store, cluster: Cluster, mirror: Mirror, far: Path
) -> None:
    decision = decide(cluster, True, str(far), store)
    first = provide(decision, store, mirror)
    assert provide(decision, store, mirror, refresh="all").why == first.why
    for there in Path(mirror.root).rglob("kubeadm"):
        there.write_bytes(KUBEADM + b" of somebody else")
    assert provide(decision, store, mirror).why == "named, from the store"
    with pytest.raises(KubeV6Error, match=r"far \(named\) could not be fetched: .*sha256"):
        provide(decision, store, mirror, refresh="all")
    assert provide(decision, store, mirror).manifest.binaries[0].sha256 == SHA256


def test_what_is_published_nowhere_is_not_fetched_again(store: Store, cluster: Cluster) -> None:
    kept(store, "debian-1.20")
    with pytest.raises(KubeV6Error, match=r"^release debian-1\.20 cannot be fetched again: .*; leave out --refresh"):
        provide(decide(cluster, True, "", store), store, refresh="all")


def test_what_is_to_be_built_is_made_in_the_order_of_builds_and_not_compiled_for_machines_that_are_unfit(
    store: Store, cluster: Cluster, heard: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    decision, manifest, seen = decide(cluster, False, "", store), kept(store, "debian-1.20"), list[object]()

    def built(*given: object, before_compiling: Callable[[str], object]) -> Manifest:
        seen.append(given)
        before_compiling("key")
        return manifest

    substitute(monkeypatch, deploy, "built", built)
    chosen = deploy.provide(decision, None, "compile", before_compiling=lambda: seen.append("looked at machines"))
    assert chosen == Chosen(decision.release, manifest, "this cluster's release, built from source")
    assert seen == [(decision.release, {}, None, "compile"), "looked at machines"]
    assert [(each.manifest, each.why) for each in heard if isinstance(each, ReleaseChosen)] == [(manifest, chosen.why)]
