"""Another Go beside Debian 12's: which one a tree gets, and a real image with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.plan.go import DEBIANS, PACKAGES, GoPackage
from configs.schema.loading import load_release
from configs.schema.release import GoToolchain, Release
from tasks.docker import go_image, toolchain
from tasks.paths import cache_dir
from tasks.release import compile
from tasks.release.build import go_wanted
from tasks.release.compiler import with_go
from tasks.release.fetch.mirror import Mirror
from tasks.release.series.repository import commit_all, create_repository
from tasks.release.series.series import Picked
from tasks.release.series.source import Source
from tasks.release.store import Store
from tests.integration.flow_of_build import build_release
from tests.integration.git_project import Project
from tests.unit.test_store import layer, saved

TRY = """
cd /tmp
printf 'package main\\nfunc main() { println(1) }\\n' >one.go
go run one.go 2>&1
printf 'module m\\ngo 1.99\\n' >go.mod
go version
"""
"""Compiles and runs a program, and then says which Go it is where another one is asked for."""
TRIXIES = next(each for each in PACKAGES if each.go == "1.24")


def tree(place: Path, go: str | None) -> tuple[Source, Picked]:
    """A picked tree that demands a Go."""
    repository = create_repository(place, committed=1_700_000_000)
    (place / "main.go").write_text("package main\n")
    if go is not None:
        (place / ".go-version").write_text(go)
    base = commit_all(repository, "base\n", author="Ann Example <ann@example.org>", date="1700000000 +0000")
    found = str(repository.git.rev_parse(f"{base}^{{tree}}"))
    return Source("kubernetes", "1", "test", place, base, 1_700_000_000), Picked("s", base, base, found, ())


def release(said: GoToolchain | None = None) -> Release:
    wanted = load_release("v1.34.2")
    assert wanted.build is not None
    return wanted.model_copy(update={"build": wanted.build.model_copy(update={"toolchain": said})})


@pytest.mark.parametrize(
    ("demand", "said", "wanted"),
    [
        ("1.24.6\n", None, TRIXIES),
        (None, None, DEBIANS),
        ("1.18.1\n", None, DEBIANS),
        ("1.24.6\n", GoToolchain(go="1.24"), TRIXIES),
        ("1.23.3\n", GoToolchain(go="1.24"), TRIXIES),
        ("1.24.6\n", GoToolchain(image="golang:1.24"), "golang:1.24"),
    ],
)
def test_the_tree_itself_says_which_go_it_is_compiled_with_where_its_release_does_not(
    demand: str | None, said: GoToolchain | None, wanted: GoPackage | str, tmp_path: Path
) -> None:
    assert go_wanted(release(said), *tree(tmp_path / "tree", demand))[0] == wanted


def test_a_go_that_is_too_old_for_the_tree_is_refused_with_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        go_wanted(release(GoToolchain(go="1.24")), *tree(tmp_path / "tree", "1.26.2\n"))
    assert str(caught.value) == (
        "release v1.34.2: Go 1.24 is older than the 1.26 that its tree wants; Go 1.26 would do; "
        "name another one in build.toolchain of the release's file"
    )


def test_the_image_has_the_other_go_and_is_otherwise_our_toolchain(own_data: Path) -> None:  # noqa: ARG001
    own = toolchain.ready()
    made = go_image.ready(own, TRIXIES)
    assert made.go.startswith("go1.24.")
    assert {each.partition("=")[0] for each in set(made.packages) - set(own.packages)} == {
        "golang-1.24-go",
        "golang-1.24-src",
    }
    assert set(own.packages) <= set(made.packages)
    said: list[str] = []
    compiler = with_go(own, TRIXIES)
    assert (compiler.image, compiler.identity) == (made.image, made.identity)
    toolchain.run(
        compiler.image,
        ["bash", "-euc", TRY],
        name="go",
        deadline=120,
        environment={"GOCACHE": "/tmp/cache", **compiler.environment},
        as_caller=True,
        on_line=said.append,
    )
    # The second is in a module that wants a newer Go: one that may would look for that, and here is no network.
    assert said == ["1", f"go version {made.go}"]


BUILD = """\
set -eu
[ "$FORCE_HOST_GO $GOTOOLCHAIN" = "y local" ] || { echo "!!! would download Go $(cat .go-version)"; exit 2; }
case "$(go env GOVERSION)" in go1.24.*) ;; *) echo "!!! $(go version) does not do"; exit 2 ;; esac
mkdir -p _output/local/go/bin
for target in $WHAT; do
    go build -o "_output/local/go/bin/${target##*/}" "./$target"
done
"""
TREE = {
    ".go-version": "1.24.6\n",
    "Makefile": "SHELL := /bin/bash\nexport GOFLAGS WHAT\nall:\n\t@bash hack/build.sh\n",
    "hack/build.sh": BUILD,
    "build/pause/linux/pause.c": "int main() { return 0; }\n",
    "cmd/kubeadm/app/constants/constants.go": 'package constants\n\nconst (\n\tPauseVersion = "3.10.1"\n)\n',
    # min is a function of Go's own since 1.21.
    **{f"cmd/{name}/main.go": "package main\n\nfunc main() { println(min(1, 2)) }\n" for name in compile.TARGETS},
}
IMAGES = ("registry.example/etcd:3.6.5-0", "registry.example/coredns/coredns:v1.12.1")


def test_a_release_of_a_newer_tree_is_compiled_by_the_go_that_it_demands(
    own_data: Path,  # noqa: ARG001
    prefect_server: None,  # noqa: ARG001
    tmp_path: Path,
) -> None:
    project = Project(tmp_path / "kubernetes")
    commit = project.commit("v1.34.5", dict(TREE))
    (tmp_path / "modern.yaml").write_text(
        f"remotes: {{upstream: {project.path}}}\nbase: {{remote: upstream, commit: '{commit}'}}\npatches: []\n"
    )
    file = tmp_path / "release.yaml"
    file.write_text(
        "name: modern\nkubernetes: 1.34.5\nbuild: {series: modern.yaml}\n"
        "fetch:\n  binaries: {kubeadm: {url: https://publisher.invalid/kubeadm}}\n"
        f"  images: [{', '.join(IMAGES)}]\n"
    )
    mirror = Mirror(str(tmp_path / "mirror"))
    for reference in IMAGES:
        place = Path(mirror.image(reference))
        place.parent.mkdir(parents=True)
        place.write_bytes(b"".join(saved([layer(reference.encode())])))
    release, store = load_release(file), Store()

    manifest = build_release(release, store=store, mirror=mirror)

    assert manifest.toolchain.startswith("go1.24.")
    assert manifest.version.startswith("v1.34.5+kubev6.modern.")
    assert {image.name: image.tag for image in manifest.images if image.name in ("etcd", "coredns", "pause")} == {
        "etcd": "3.6.5-0",
        "coredns": "v1.12.1",
        "pause": "3.10.1",
    }
    caches = [path.name for path in cache_dir().glob("go-build*") if path.is_dir() and any(path.iterdir())]
    assert len([name for name in caches if name != "go-build"]) == 1, "a compiler has a cache of its own"
    # Known without asking Docker by now, so the same build is found where it is.
    assert build_release(release, store=store, mirror=mirror) == manifest

    older = release.model_copy(
        update={"build": release.build and release.build.model_copy(update={"toolchain": GoToolchain(go="1.23")})}
    )
    with pytest.raises(ConfigError, match=r"Go 1\.23 is older than the 1\.24 that its tree wants; Go 1\.24 would do"):
        build_release(older, store=store, mirror=mirror)
