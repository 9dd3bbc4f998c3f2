"""Which Go compiles which tree of Kubernetes, and where it comes from, as tables."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from configs.errors import ConfigError, KubeV6Error
from configs.plan.go import DEBIANS, PACKAGES, go_problem, minor, package_for, takes_orders
from configs.plan.versions import numbers
from configs.schema.loading import load_release
from tasks.docker import go_image
from tasks.docker.apt_sources import AptSources, Suite
from tasks.docker.toolchain import Toolchain
from tasks.release import compile
from tasks.release.compile import Reported
from tasks.release.compiler import Compiler, debian, known_with_go

OWN = Toolchain("kubev6/toolchain:x", "go1.19.8 linux/amd64", ("etcd-server=3.4.23-4", "golang-go=2:1.19~1"))


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.24.6\n", "1.24"),
        ("go1.26.2", "1.26"),
        ("go1.8.3 linux/amd64", "1.8"),
        ("1.27rc1", "1.27"),
        ("", ""),
        ("devel +abc", ""),
    ],
)
def test_the_minor_version_of_a_go_is_what_counts(text: str, version: str) -> None:
    assert minor(text) == version


@pytest.mark.parametrize(
    ("kubernetes", "demand", "package", "suite"),
    [
        ("1.9", "", "golang-go", "bookworm"),
        ("1.20", "", "golang-go", "bookworm"),
        ("1.24", "1.18", "golang-go", "bookworm"),
        ("1.26", "1.19", "golang-go", "bookworm"),
        ("1.28", "1.20", "golang-1.21-go", "bookworm-backports"),
        ("1.30", "1.22", "golang-1.22-go", "bookworm-backports"),
        ("1.32", "1.23", "golang-1.23-go", "bookworm-backports"),
        ("1.34", "1.24", "golang-1.24-go", "trixie"),
        ("1.35", "1.25", "golang-1.25-go", "trixie-backports"),
        ("1.36", "1.26", "golang-1.26-go", "trixie-backports"),
        ("later", "1.27", "golang-1.27-go", "forky"),
    ],
)
def test_the_oldest_go_of_debians_that_does_compiles_a_tree(
    kubernetes: str, demand: str, package: str, suite: str
) -> None:
    found = package_for(demand)
    assert (found.package, found.suite) == (package, suite), kubernetes
    assert go_problem(found.go, demand) == ""


def test_a_tree_that_wants_a_newer_go_than_debian_has_is_refused() -> None:
    with pytest.raises(ValueError, match=r"its tree wants Go 1\.99, and the newest that Debian has is 1\.27"):
        package_for("1.99")


@pytest.mark.parametrize(
    ("said", "demand", "wrong"),
    [
        ("1.24", "1.24", ""),
        ("1.25", "1.24", ""),
        ("1.26", "1.24", ""),
        ("1.24", "", ""),
        (
            "1.27",
            "1.24",
            "Go 1.27 is more than 2 minor versions newer than the 1.24 that its tree wants; Go 1.24 would do",
        ),
        ("1.23", "1.24", "Go 1.23 is older than the 1.24 that its tree wants; Go 1.24 would do"),
        ("1.27", "1.99", "Go 1.27 is older than the 1.99 that its tree wants; an image such as golang:1.99 would do"),
        ("1.20", "1.20", "Debian has no Go 1.20; it has 1.19, 1.21, 1.22, 1.23, 1.24, 1.25, 1.26, 1.27"),
    ],
)
def test_a_go_that_a_release_names_has_to_do(said: str, demand: str, wrong: str) -> None:
    if not wrong:
        assert package_for(demand, said).go == said
        return
    with pytest.raises(ValueError, match="^" + wrong.replace(".", r"\.")):
        package_for(demand, said)


def test_debian_12s_go_compiles_what_is_older_than_it() -> None:
    assert go_problem("1.19", "1.16") == ""
    assert go_problem("1.8", "1.24").startswith("Go 1.8 is older than the 1.24")
    assert go_problem("", "1.24") == go_problem("1.8", "") == ""


def test_packages_stand_in_order_and_each_comes_from_one_suite() -> None:
    assert [each.go for each in PACKAGES] == sorted({each.go for each in PACKAGES}, key=numbers)
    assert PACKAGES[0] == DEBIANS
    assert all(each.package == f"golang-{each.go}-go" for each in PACKAGES[1:])


@pytest.mark.parametrize(
    ("go", "orders"), [("go1.19.8 linux/amd64", False), ("go1.20.1 x", False), ("go1.21.0 x", True)]
)
def test_a_go_that_would_download_another_is_told_not_to(go: str, orders: bool) -> None:
    assert takes_orders(go) is orders
    told = Compiler("x", go, "1").environment
    assert told == ({"GOTOOLCHAIN": "local", "FORCE_HOST_GO": "y"} if orders else {})


def test_each_compiler_has_a_build_cache_of_its_own_and_another_key() -> None:
    own, newer = debian(OWN), Compiler("kubev6/toolchain-go:1.24-x", "go1.24.4 linux/amd64", "a" * 64)
    named = Compiler("sha256:b", "go1.24.4 linux/amd64", f"sha256:{'b' * 64}", "/usr/local/go")
    assert [each.cache for each in (own, newer, named)] == ["go-build", "go-build-" + "a" * 12, "go-build-" + "b" * 12]
    assert own.library == newer.library == {}
    assert list(named.library.values()) == ["/usr/local/go/pkg/linux_amd64_cgo"]
    reported = Reported("v1.34.2", "0" * 40, 0)
    assert len({compile.compile_key("t", reported, OWN, each) for each in (own, newer, named)}) == 3


def test_apt_is_told_of_the_newer_suite_of_the_same_archive_and_takes_nothing_else_from_there() -> None:
    sources = AptSources(
        (
            Suite("http://mirror.example/security/", "bookworm-security", ("main",)),
            Suite("http://mirror.example/debian/", "bookworm", ("main", "contrib")),
        ),
        (),
    )
    files = {name: text.decode() for name, text in go_image.files(sources, "trixie-backports").items()}
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert files["kubev6-newer.list"] == (
        f"deb [signed-by={keyring}] http://mirror.example/debian/ trixie-backports main\n"
    )
    assert files["kubev6-newer"].splitlines()[1:] == [
        "Package: *",
        "Pin: release n=trixie-backports",
        "Pin-Priority: 50",
    ]
    with pytest.raises(KubeV6Error, match="no source for Debian bookworm, so it is not known where trixie is"):
        go_image.files(AptSources((), ()), "trixie")


def test_an_image_is_known_by_the_toolchain_that_it_was_made_from(own_data: Path) -> None:  # noqa: ARG001
    trixies = next(each for each in PACKAGES if each.go == "1.24")
    other = Toolchain("kubev6/toolchain:y", OWN.go, (*OWN.packages, "more=1"))
    assert known_with_go(OWN, DEBIANS) == debian(OWN)
    assert known_with_go(OWN, trixies) is None
    assert go_image.reference(OWN, trixies).startswith("kubev6/toolchain-go:1.24-")
    assert go_image.reference(OWN, trixies) != go_image.reference(other, trixies)
    assert len(go_image.references(OWN)) == len(PACKAGES) - 1
    assert go_image.references(None) == frozenset()
    record = go_image.record_file(OWN, trixies)
    record.parent.mkdir(parents=True)
    record.write_text('{"image": "i", "go": "go1.24.4 linux/amd64", "packages": ["golang-1.24-go=1.24.4-1"]}')
    found = known_with_go(OWN, trixies)
    assert found is not None
    assert (found.image, found.go, found.root) == ("i", "go1.24.4 linux/amd64", "")
    record.write_text("{}")
    assert known_with_go(OWN, trixies) is None


@pytest.mark.parametrize(
    ("toolchain", "told"),
    [
        ({"image": "golang:1.26", "go": "1.26"}, "names both image and go; one of them is wanted"),
        ({"go": "1.24.6"}, "build.toolchain.go"),
        ({"go": "latest"}, "build.toolchain.go"),
        ({"golang": "1.24"}, "no such key"),
    ],
)
def test_a_toolchain_that_cannot_be_is_refused(tmp_path: Path, toolchain: dict[str, str], told: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        yaml.safe_dump({"name": "x", "kubernetes": "1.34.2", "build": {"series": "s", "toolchain": toolchain}})
    )
    with pytest.raises(ConfigError) as caught:
        load_release(file)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_release_may_name_a_version_of_go(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text('{name: x, kubernetes: 1.34.2, build: {series: s, toolchain: {go: "1.24"}}}')
    release = load_release(file)
    assert release.build is not None
    assert release.build.toolchain is not None
    assert release.build.toolchain.go == "1.24"
