"""The release files that are shipped, and what a release file may say of downloads."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from configs.errors import ConfigError
from configs.manifest import NODE_BINARIES
from configs.plan import versions
from configs.plan.derived import etcd_problem
from configs.plan.upstream import Constants, constants_of, release_text, series_text
from configs.schema.loading import CONFIGS, load_release, shipped
from tasks.release.build import companions
from tasks.release.fetch.fetch_image import entry_of
from tasks.release.fetch.mirror import path_of_file, path_of_image
from tasks.release.series import series_file

GOOD = {"name": "x", "kubernetes": "1.34.2", "fetch": {"binaries": {"kubeadm": {"url": "https://dl.example/kubeadm"}}}}
PUBLISHED = [name for name in shipped("releases") if load_release(name).fetch is not None]


def names_and_tags(release: str) -> dict[str, str]:
    """Names and tags below the registry that kubeadm asks for, of a shipped release."""
    fetch = load_release(release).fetch
    assert fetch is not None
    entries = [entry_of(reference, f"sha256:{'0' * 64}", 1, "") for reference in fetch.images]
    return {entry.name: entry.tag for entry in entries}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_release_has_every_executable_and_no_two_files_for_one_place(name: str) -> None:
    release = load_release(name)
    assert release.fetch is not None
    assert sorted(release.fetch.binaries) == sorted(NODE_BINARIES)
    assert release.cni is not None
    assert f"v{release.cni.version}.tgz" in release.cni.url
    places = [path_of_file(file.url) for file in (*release.fetch.binaries.values(), release.cni)]
    places += [path_of_image(reference) for reference in release.fetch.images]
    assert len(places) == len(set(places))


def test_the_how_tos_release_is_what_the_how_to_downloads() -> None:
    release = load_release("v1.9.0-alpha.0.ipv6.0")
    assert release.fetch is not None
    assert release.cni is not None
    for name, file in release.fetch.binaries.items():
        assert file.url == f"https://github.com/leblancd/kubernetes/releases/download/v1.9.0-alpha.0.ipv6.0/{name}"
    assert (release.runtime, release.cni.version) == ("docker", "0.6.0")
    assert release.cni.url.endswith("/v0.6.0/cni-plugins-amd64-v0.6.0.tgz")
    wanted = names_and_tags(release.name)
    for component in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"):
        image = versions.image_name(component, release.kubernetes)
        assert wanted[image] == versions.image_tag(release.kubernetes)
    assert (wanted["etcd-amd64"], wanted["pause-amd64"]) == ("3.0.17", "3.0")
    for image in ("kube-dns", "dnsmasq-nanny", "sidecar"):
        assert wanted[f"k8s-dns-{image}-amd64"] == "1.14.4"


def test_the_upstream_release_is_what_its_kubeadm_asks_for() -> None:
    release = load_release("v1.34.2")
    assert release.fetch is not None
    assert release.runtime == "containerd"
    assert versions.kubeadm_api(release.kubernetes) == "v1beta4"
    for name, file in release.fetch.binaries.items():
        assert file.url == f"https://dl.k8s.io/release/v1.34.2/bin/linux/amd64/{name}"
        assert file.sha256_url == f"{file.url}.sha256"
    # kubeadm config images list --image-repository REGISTRY: one level below it, coredns too.
    assert names_and_tags("v1.34.2") == {
        **dict.fromkeys(("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"), "v1.34.2"),
        "etcd": "3.6.5-0",
        "coredns": "v1.12.1",
        "pause": "3.10.1",
    }


UPSTREAM = {
    "1.33.7": Constants("3.5.24-0", "v1.12.0", "3.10", "1.24"),
    "1.34.2": Constants("3.6.5-0", "v1.12.1", "3.10.1", "1.24"),
    "1.35.0": Constants("3.6.6-0", "v1.13.1", "3.10.1", "1.25"),
    "1.36.0": Constants("3.6.8-0", "v1.14.2", "3.10.2", "1.26"),
    "1.37.0": Constants("3.7.0-0", "v1.14.6", "3.10.2", "1.26"),
}
"""What kubeadm of each shipped upstream release asks for, and the Go of its tree."""


@pytest.mark.parametrize(("version", "constants"), UPSTREAM.items())
def test_each_upstream_release_is_the_one_that_releases_new_writes(version: str, constants: Constants) -> None:
    name = f"v{version}"
    assert (CONFIGS / "releases" / f"{name}.yaml").read_text() == release_text(version, constants, name)
    series = series_file.load(name)
    assert isinstance(series, series_file.GitSeries)
    assert series.path.read_text() == series_text(version, series.base.commit)
    release = load_release(name)
    assert release.build is not None
    assert release.build.series == name
    assert etcd_problem(release, None) == ""
    assert versions.newer_than_rules(version) == ""
    assert companions(release) == (
        f"registry.k8s.io/etcd:{constants.etcd}",
        f"registry.k8s.io/coredns/coredns:{constants.coredns}",
    )


def test_every_minor_version_from_1_33_on_that_the_rules_know_is_shipped() -> None:
    minors = {".".join(version.split(".")[:2]) for version in UPSTREAM}
    assert minors == {f"1.{minor}" for minor in range(33, int(versions.NEWEST.split(".")[1]) + 1)}
    assert {f"v{version}" for version in UPSTREAM} < set(PUBLISHED)


@pytest.mark.parametrize(
    ("text", "go", "wrong"),
    [
        ('\tDefaultEtcdVersion = "3.6.5-0"\n\tCoreDNSVersion = "v1.12.1"\n', "", "no PauseVersion"),
        ("", "", "no DefaultEtcdVersion and no CoreDNSVersion and no PauseVersion"),
        ('DefaultEtcdVersion = "3"\nCoreDNSVersion = "v1; rm"\nPauseVersion = "3"\n', "", "no CoreDNSVersion"),
        ('DefaultEtcdVersion = "3"\nCoreDNSVersion = "v1"\nPauseVersion = "3"\n', "<html>", "Go is '<html>'"),
    ],
)
def test_a_tree_that_does_not_say_what_a_release_is_made_of_is_refused(text: str, go: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        constants_of(text, go)


@pytest.mark.parametrize(
    ("where", "value", "told"),
    [
        ("url", "dl.example/kubeadm", ["fetch.binaries.kubeadm.url", "'dl.example/kubeadm'", "is no address"]),
        ("url", "ftp://dl.example/kubeadm", ["is no address"]),
        ("url", "https://dl.example", ["is not host and path of a file alone"]),
        ("url", "https://dl.example/kubeadm?version=1", ["is not host and path of a file alone"]),
        ("url", "https://dl.example/../kubeadm", ["is not host and path of a file alone"]),
        ("url", "https://dl.example//kubeadm", ["is not host and path of a file alone"]),
        ("url", "https://me:secret@dl.example/kubeadm", ["holds a login", ".netrc"]),
        ("sha256", "abc", ["fetch.binaries.kubeadm.sha256", "'abc'"]),
        ("sha256_url", "x", ["fetch.binaries.kubeadm.sha256_url", "is no address"]),
        ("md5", "x", ["fetch.binaries.kubeadm.md5", "no such key", "sha256_url"]),
    ],
)
def test_a_download_that_cannot_be_right_is_told(tmp_path: Path, where: str, value: str, told: list[str]) -> None:
    file = {"url": "https://dl.example/kubeadm", where: value}
    error = refused(tmp_path, {**GOOD, "fetch": {"binaries": {"kubeadm": file}}})
    for words in told:
        assert words in error
    assert "secret" not in error


def test_two_checksums_of_one_file_are_refused(tmp_path: Path) -> None:
    file = {"url": "https://dl.example/x", "sha256": "0" * 64, "sha256_url": "https://dl.example/x.sha256"}
    error = refused(tmp_path, {**GOOD, "fetch": {"binaries": {"kubeadm": file}}})
    assert "fetch.binaries.kubeadm: " in error
    assert "names both sha256 and sha256_url" in error


@pytest.mark.parametrize(
    "reference", ["etcd", "registry.example/etcd", "etcd:", "UP/etcd:1", "etcd:1@sha256:0", "a//b:1"]
)
def test_an_image_without_its_tag_is_refused(tmp_path: Path, reference: str) -> None:
    error = refused(tmp_path, {**GOOD, "fetch": {**GOOD["fetch"], "images": [reference]}})  # type: ignore[dict-item]
    assert f"fetch.images[0]: '{reference}' is no image with its tag" in error


def test_a_release_without_an_executable_to_fetch_is_refused(tmp_path: Path) -> None:
    assert "fetch.binaries" in refused(tmp_path, {**GOOD, "fetch": {"binaries": {}}})


def refused(tmp_path: Path, data: dict[str, object]) -> str:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError) as caught:
        load_release(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)
