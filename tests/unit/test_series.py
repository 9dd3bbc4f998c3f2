"""Series files: what is refused, and that the shipped ones are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.schema.loading import load_release, shipped
from tasks.release.series import debian_source, git_remote, series_file
from tasks.release.series.series_file import DebianSeries, GitSeries


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("- a\n", "holds a list"),
        ("base: [", "is not YAML: line 2"),
        ("patches: []\n", "base: is missing"),
        ("base: kubernetes\n", "patches: is missing"),
        ("base: kubernetes\npatches: [{}]\n", "patches[0].patch: is missing"),
        ("base: kubernetes\npatches: [{patch: a, order: 1}]\n", "patches[0].order: no such key; known here: patch"),
        ("base: kubernetes\npatches: [{patch: ''}]\n", "patches[0].patch: '': string should have at least 1"),
        (
            "base: kubernetes\npatches: []\nsquash: true\n",
            "squash: no such key; known here: desc",
        ),
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


@pytest.mark.parametrize(
    "text",
    [
        "remotes: {up: 'https://me:secret@host.example/x'}\nbase: {remote: up, commit: '1234567'}\npatches: []\n",
        "remotes: {up: {url: 'https://secret@host.example/x'}}\nbase: kubernetes\npatches: []\n",
        "remotes: {up: {url: 'https://me:secret@host.example/x', 'refs': 'https://me:secret@host.example/x'}}\n",
        "remotes: {up: !<https://me:secret@host.example/x> a}\n",
    ],
)
def test_a_password_or_a_token_in_an_address_is_refused_and_not_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        series_file.load(path)

    assert "host.example/x" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["ssh://git@host.example/x", "git@host.example:x", "/srv/a@b:c"])
def test_a_user_in_an_address_by_ssh_is_no_secret(tmp_path: Path, address: str) -> None:
    path = tmp_path / "right.yaml"
    path.write_text(f"remotes: {{up: '{address}'}}\nbase: {{remote: up, commit: '1234567'}}\npatches: []\n")

    found = series_file.load(path)

    assert isinstance(found, GitSeries)
    assert found.remotes["up"].url == address


@pytest.mark.parametrize("login", ["me:secret", "secret"])
def test_a_place_that_is_named_with_a_password_or_a_token_is_refused_without_telling_it(
    login: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"^remote up: https://host\.example/x is named with a login; ") as caught:
        git_remote.locate("up", f"https://{login}@host.example/x", base=tmp_path)

    assert "secret" not in str(caught.value)


def test_a_name_that_cannot_be_part_of_a_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "My_Series.yaml"
    path.write_text("base: kubernetes\npatches: []\n")

    with pytest.raises(ConfigError, match="name: 'My_Series': string should match"):
        series_file.load(path)


def test_a_series_file_is_not_called_as_working_trees_are(tmp_path: Path) -> None:
    path = tmp_path / "working-tree.mine.yaml"
    path.write_text("base: kubernetes\npatches: []\n")
    with pytest.raises(ConfigError, match=r"what is called working-tree is a working tree; give the file another name"):
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
    found = series_file.load(path.stem)
    if not isinstance(found, series_file.GitSeries):
        assert found.patches
        return
    # A tag of upstream has nothing on top; everything else has.
    tag = f"refs/tags/{path.stem}"
    assert bool(found.patches) is (found.remotes["upstream"].refs != (tag,))
    assert found.patches or len(found.base.commit) == 40


HANSEN, LEBLANC, MARTINS = "Daneyon Hansen", "Dane LeBlanc", "André Martins"
SEVEN = """
2e66dc7fe97d694964ac2da31dfdf144b329ae78 47621 Updates RangeSize func and tests for IPv6
b4fc9fa8b22dd24fe3c53297dfb87027388d0049 48551 Add IPv6 support to iptables proxier
617bbe74ac1f0d2f5baae8ed52ff1f7a066e8497 50929 Add kubeadm config for setting kube-proxy bind address
f35e341aa23913d5c4f28567552fd3a3081431bc 50478 Fix kube-proxy to use proper iptables commands for IPv6 operation
26bd0196e726916c872bf8d4d8a5eeac55482a78 52028 Add required family flag for conntrack IPv6 operation
17450549aa21758f14278cd5d72fc78de14396da 52033 Removed the IPv6 prefix size limit for cluster-cidr
d9a2fbc33a77198a347d85c1aa96ea2e7f9e9470 None Changed dns probes to type SRV and use diverdane kube-dns images
"""
"""The commits of the how-to's release in their order, each with the pull request in which it was proposed."""
FATES = (
    (HANSEN, "merged 2017-10-13"),
    (LEBLANC, "merged 2017-09-23"),
    (LEBLANC, "closed, superseded by 55972"),
    (LEBLANC, "merged 2017-10-11"),
    (LEBLANC, "merged 2017-10-04"),
    (MARTINS, "merged 2017-10-11"),
    (LEBLANC, "fork only"),
)
"""Who wrote each of them, and what became of it."""


TWELVE = """
65de218e43 e5a4532eaa 9868b2cff4 be6465c970 dcad8776fb b13300bcee
57aecac535 df37fc25a0 9031c7b84d 2b109e8b47 07e8890b2f 382eca6900
"""
"""The commits of the fork's second release in their order, as far as their ids are known."""


def test_the_how_to_s_release_is_seven_commits_and_their_registry_is_rewritten() -> None:
    found = series_file.load("v1.9.0-alpha.0.ipv6.0")

    assert isinstance(found, GitSeries)
    assert found.base.commit == "98ed5dd8a26929245e4aa30f110242ac7bb7cbbd"
    assert [f"{each.commit} {each.pull_request} {each.title}" for each in found.patches] == SEVEN.strip().splitlines()
    assert tuple((each.author, each.fate) for each in found.patches) == FATES
    assert {found.remotes[each.remote].url for each in found.patches} == {"https://github.com/leblancd/kubernetes"}
    assert found.remotes[found.base.remote].url == "https://github.com/kubernetes/kubernetes"
    rewrite, _ = found.rewrites
    assert rewrite.replace.startswith("diverdane/")
    assert rewrite.by.startswith("{{ .ImageRepository }}/")


def test_the_forks_second_release_is_twelve_commits_in_their_order() -> None:
    found = series_file.load("v1.9.0-alpha.1.ipv6.1b")

    assert isinstance(found, GitSeries)
    assert (found.base.remote, found.base.commit[:10]) == ("upstream", "ea07264251")
    assert [each.commit[:10] for each in found.patches] == TWELVE.split()
    assert {each.remote for each in found.patches} == {"leblancd"}
    # An abbreviated id is only found where a ref leads to it.
    assert found.remotes["leblancd"].refs == ("refs/tags/v1.9.0-alpha.1.ipv6.1b",)


def git_series(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "demo.yaml"
    path.write_text("remotes: {up: https://example.org/demo}\nbase: {remote: up, commit: 0123abc}\n" + text)
    return path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("patches: [{remote: up}]\n", "patches[0].commit: is missing"),
        ("patches: [{remote: up, commit: master}]\n", "patches[0].commit: 'master': string should match"),
        ("patches: [{remote: up, commit: 0123456}]\n", "patches[0].commit: 123456: is a number to YAML"),
        (
            "patches: [{remote: fork, commit: abc0123}]\n",
            "patches[0].remote: there is no remote 'fork'; its remotes are up",
        ),
        (
            "patches: [{remote: up, commit: abc0123}, {remote: up, commit: abc0123}]\n",
            "patches[1].commit: 'abc0123' is",
        ),
        ("patches: [{remote: up, commit: abc0123, ref: '--x'}]\n", "patches[0].ref: '--x': string should match"),
        (
            "patches: []\nrewrites: [{title: t, paths: [], replace: a, by: b}]\n",
            "rewrites[0].paths: an empty list",
        ),
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

    with pytest.raises(ConfigError, match=r"remotes\.up\.url: .*: string should match"):
        series_file.load(path)


def test_the_shipped_overlays_can_be_read() -> None:
    for path in debian_source.OVERLAY.glob("*.yaml"):
        for overlay in debian_source.read_overlays(path.stem):
            assert overlay.path.startswith("/")
            assert not overlay.into.startswith("/")
