"""Series files: what is refused, and that the shipped ones are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.schema.loading import load_release, shipped
from tasks.series import debian_source, series_file
from tasks.series.series_file import DebianSeries, GitSeries


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no mapping"),
        ("- a\n", "holds no mapping"),
        ("base: [", "cannot be read"),
        ("patches: []\n", "base: field required"),
        ("base: kubernetes\n", "patches: field required"),
        ("base: kubernetes\npatches: [{}]\n", "patches[0].patch: field required"),
        ("base: kubernetes\npatches: [{patch: a, order: 1}]\n", "patches[0].order: extra inputs"),
        ("base: kubernetes\npatches: [{patch: ''}]\n", "patches[0].patch: string should have at least 1"),
        ("base: kubernetes\npatches: []\nsquash: true\n", "squash: extra inputs"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_field(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        series_file.load(path)

    assert str(path) in caught.value.message
    assert says in caught.value.message
    assert "\n" not in caught.value.message


def test_a_name_that_cannot_be_part_of_a_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "My_Series.yaml"
    path.write_text("base: kubernetes\npatches: []\n")

    with pytest.raises(ConfigError, match="name: string should match"):
        series_file.load(path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"there is no series .*one of: .*debian-1\.20"):
        series_file.load("no-such")


@pytest.mark.parametrize("name", shipped("releases"))
def test_the_series_of_every_shipped_release_fits_it(name: str) -> None:
    release = load_release(name)
    if release.build is None:
        return

    found = series_file.load(release.build.series)

    if isinstance(found, DebianSeries):
        assert release.build.source is None or release.build.source.debian.package == found.base
        assert len({reference.patch for reference in found.patches}) == len(found.patches)
    else:
        assert release.build.source is None


@pytest.mark.parametrize("path", sorted(series_file.SERIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_series_can_be_read(path: Path) -> None:
    assert series_file.load(path.stem).patches


def test_the_how_to_s_release_is_seven_commits_and_their_registry_is_rewritten() -> None:
    found = series_file.load("v1.9.0-alpha.0.ipv6.0")

    assert isinstance(found, GitSeries)
    assert found.base.commit == "98ed5dd8a26929245e4aa30f110242ac7bb7cbbd"
    assert [patch.pull_request for patch in found.patches] == [47621, 48551, 50929, 50478, 52028, 52033, None]
    assert all(len(patch.commit) == 40 and patch.title and patch.author and patch.fate for patch in found.patches)
    (rewrite,) = found.rewrites
    assert rewrite.replace.startswith("diverdane/")
    assert rewrite.by.startswith("{{ .ImageRepository }}/")


def git_series(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "demo.yaml"
    path.write_text("remotes: {up: https://example.org/demo}\nbase: {remote: up, commit: 0123abc}\n" + text)
    return path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("patches: [{remote: up}]\n", "patches[0].commit: field required"),
        ("patches: [{remote: up, commit: master}]\n", "patches[0].commit: string should match"),
        ("patches: [{remote: up, commit: 0123456}]\n", "patches[0].commit: input should be a valid string"),
        (
            "patches: [{remote: fork, commit: abc0123}]\n",
            "patches[0].remote: there is no remote 'fork'; its remotes are up",
        ),
        (
            "patches: [{remote: up, commit: abc0123}, {remote: up, commit: abc0123}]\n",
            "patches[1].commit: 'abc0123' is",
        ),
        ("patches: [{remote: up, commit: abc0123, ref: '--x'}]\n", "patches[0].ref: string should match"),
        ("patches: []\nrewrites: [{title: t, paths: [], replace: a, by: b}]\n", "rewrites[0].paths: tuple should have"),
    ],
)
def test_a_wrong_series_of_commits_is_refused_with_its_name_and_field(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        series_file.load(git_series(tmp_path, text))

    assert "demo.yaml: " in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["--upload-pack=x", "", "a b"])
def test_an_address_that_git_would_take_for_something_else_is_refused(tmp_path: Path, url: str) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(f"remotes: {{up: '{url}'}}\nbase: {{remote: up, commit: 0123abc}}\npatches: []\n")

    with pytest.raises(ConfigError, match=r"remotes\.up\.url: string should match"):
        series_file.load(path)


def test_the_shipped_overlays_can_be_read() -> None:
    for path in debian_source.OVERLAY.glob("*.yaml"):
        for overlay in debian_source.read_overlays(path.stem):
            assert overlay.path.startswith("/")
            assert not overlay.into.startswith("/")
