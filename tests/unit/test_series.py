"""Series files: what is refused, and that the shipped ones are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.schema import load_release, shipped
from tasks import series, source


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
        series.load(path)

    assert str(path) in caught.value.message
    assert says in caught.value.message
    assert "\n" not in caught.value.message


def test_a_name_that_cannot_be_part_of_a_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "My_Series.yaml"
    path.write_text("base: kubernetes\npatches: []\n")

    with pytest.raises(ConfigError, match="name: string should match"):
        series.load(path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"there is no series .*one of: .*debian-1\.20"):
        series.load("no-such")


@pytest.mark.parametrize("name", shipped("releases"))
def test_the_series_of_every_shipped_release_fits_it(name: str) -> None:
    release = load_release(name)
    if release.build is None:
        return

    found = series.load(release.build.series)

    assert found.base == release.build.source.debian.package
    assert len({reference.patch for reference in found.patches}) == len(found.patches)


def test_the_shipped_overlays_can_be_read() -> None:
    for path in source.OVERLAY.glob("*.yaml"):
        for overlay in source.read_overlays(path.stem):
            assert overlay.path.startswith("/")
            assert not overlay.into.startswith("/")
