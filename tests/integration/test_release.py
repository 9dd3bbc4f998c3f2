"""That a release which the store holds already is taken from there, with nothing made again and no Docker."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.manifest import BinaryEntry, Manifest, SourceEntry
from configs.schema.loading import load_release
from configs.schema.release import Release
from tasks.docker import container_engine, toolchain
from tasks.docker.toolchain import Toolchain
from tasks.release import compiler
from tasks.release.build import release_key
from tasks.release.refresh import Refresh
from tasks.release.series import debian_source, series, series_file
from tasks.release.series.debian_source import PATCH_BRANCH
from tasks.release.series.repository import commit_all, create_repository
from tasks.release.series.source import Source
from tasks.release.store import Store
from tests.fakes import substitute
from tests.integration.flow_of_build import build_release

pytestmark = pytest.mark.usefixtures("prefect_server")
TOOLS = Toolchain("kubev6/toolchain:x", "go1.19.8 linux/amd64", ("golang-go=2:1.19~1",))
AUTHOR, DATE = "Ann Example <ann@example.org>", "1700000000 +0000"


class NoEngineError(Exception):
    """Raised in place of an engine."""


@pytest.fixture
def obtained(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A source and a toolchain as an earlier build left them, and no Docker any more."""
    place = own_data.parent / "cache" / "source" / "kubernetes-1.0"
    repo = create_repository(place, committed=1_700_000_000)
    (place / "main.go").write_text("one\n")
    base = commit_all(repo, "upstream\n", author=AUTHOR, date=DATE)
    repo.git.checkout("--quiet", "-b", PATCH_BRANCH)
    for name in ("first", "second"):
        (place / f"{name}.go").write_text("new\n")
        commit_all(repo, f"{name}\n\nPatch-Name: {name}\n", author=AUTHOR, date=DATE)
    repo.git.checkout("--quiet", "--detach", base)
    inputs = {"version": "1.0", "base": base, "timestamp": 1_700_000_000}
    (place / ".git" / "kubev6.json").write_text(
        json.dumps({**inputs, "overlay": debian_source._overlay_digest("kubernetes")})
    )
    toolchain.record_file().parent.mkdir(parents=True)
    toolchain.record_file().write_text(json.dumps(asdict(TOOLS)))

    def no_engine() -> None:
        raise NoEngineError

    substitute(monkeypatch, container_engine, "client", no_engine)
    found = debian_source.find("kubernetes", None)
    assert found is not None
    return found


def wanted(root: Path, *patches: str) -> Release:
    path = root / "small.yaml"
    path.write_text("base: kubernetes\npatches:\n" + "".join(f"- patch: {name}\n" for name in patches))
    release = load_release("debian-1.20")
    assert release.build is not None
    return release.model_copy(update={"build": release.build.model_copy(update={"series": str(path)})})


def keep(store: Store, release: Release, obtained: Source) -> Manifest:
    """Put a release into the store as a build of it would have."""
    assert release.build is not None
    picked = series.pick(series_file.load(release.build.series), obtained)
    sha256, size = store.add_stream([b"kubeadm"])
    manifest = Manifest(
        name=release.name,
        version="v1.20.2+kubev6.small.0000000",
        key=release_key(release, picked, TOOLS, compiler.debian(TOOLS)),
        created="2026-01-01T00:00:00+00:00",
        source=SourceEntry(kind="built", origin="test"),
        binaries=(BinaryEntry(name="kubeadm", sha256=sha256, size=size),),
        images=(),
    )
    store.write(manifest)
    return manifest


def test_what_the_store_holds_is_taken(obtained: Source, tmp_path: Path) -> None:
    store = Store()
    both = wanted(tmp_path, "first", "second")
    kept = keep(store, both, obtained)

    assert build_release(both, store=store) == kept


def test_an_older_build_becomes_the_current_one_again(obtained: Source, tmp_path: Path) -> None:
    store = Store()
    older = keep(store, wanted(tmp_path, "first"), obtained)
    newer = keep(store, wanted(tmp_path, "first", "second"), obtained)
    assert store.current(newer.name) == newer

    assert build_release(wanted(tmp_path, "first"), store=store) == older
    assert store.current(newer.name) == older


def test_another_series_has_to_be_built(obtained: Source, tmp_path: Path) -> None:
    store = Store()
    keep(store, wanted(tmp_path, "first"), obtained)

    with pytest.raises(NoEngineError):
        build_release(wanted(tmp_path, "second"), store=store)


def test_a_release_that_lost_a_blob_has_to_be_built(obtained: Source, tmp_path: Path) -> None:
    store = Store()
    kept = keep(store, wanted(tmp_path, "first"), obtained)
    store.blob(kept.binaries[0].sha256).unlink()

    with pytest.raises(NoEngineError):
        build_release(wanted(tmp_path, "first"), store=store)


def test_a_release_with_a_damaged_blob_has_to_be_built(obtained: Source, tmp_path: Path) -> None:
    store = Store()
    kept = keep(store, wanted(tmp_path, "first"), obtained)
    store.blob(kept.binaries[0].sha256).write_bytes(b"KUBEADM")

    with pytest.raises(NoEngineError):
        build_release(wanted(tmp_path, "first"), store=store)


@pytest.mark.parametrize("stage", ["source", "compile", "images", "all"])
def test_a_stage_that_is_made_again_is_not_taken_from_the_store(
    obtained: Source, tmp_path: Path, stage: Refresh
) -> None:
    store = Store()
    kept = keep(store, wanted(tmp_path, "first"), obtained)

    with pytest.raises(NoEngineError):
        build_release(wanted(tmp_path, "first"), store=store, refresh=stage)
    assert store.current(kept.name) == kept
    assert debian_source.find("kubernetes", None) == obtained


def test_a_series_that_is_picked_again_to_the_same_end_is_built_no_more(
    obtained: Source, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store()
    kept = keep(store, wanted(tmp_path, "first"), obtained)
    assert build_release(wanted(tmp_path, "first"), store=store) == kept
    with caplog.at_level("INFO", logger="kubev6.steps"):
        assert build_release(wanted(tmp_path, "first"), store=store, refresh="series") == kept
    assert "small: patches: ended: 1 applied, 0 already upstream" in caplog.messages


@pytest.mark.parametrize("lost", ["objects", "kubev6.json"])
def test_a_source_that_has_lost_its_commits_is_got_again(obtained: Source, tmp_path: Path, lost: str) -> None:
    path = obtained.repository / ".git" / lost
    if path.is_dir():
        for each in path.rglob("*"):
            if each.is_file():
                each.unlink()
    else:
        path.write_text("{")
    assert debian_source.find("kubernetes", None) is None
    with pytest.raises(NoEngineError):
        build_release(wanted(tmp_path, "first"), store=Store())


def test_what_was_picked_before_is_picked_again_when_it_was_lost(obtained: Source, tmp_path: Path) -> None:
    patches = series_file.load(wanted_series(tmp_path))
    before = series.pick(patches, obtained)
    lost = obtained.repository / ".git" / "objects" / before.commit[:2] / before.commit[2:]
    lost.unlink()
    assert series.pick(patches, obtained) == before
    assert lost.exists()


def wanted_series(root: Path) -> str:
    build = wanted(root, "second").build
    assert build is not None
    return build.series


def test_a_place_for_a_remote_that_there_is_none_of_is_refused(obtained: Source, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="series small has no remotes"):
        build_release(wanted(tmp_path, "first"), store=Store(), sources={"upstream": str(obtained.repository)})
