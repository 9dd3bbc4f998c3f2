"""A whole release built from commits by a compiler that it names: a small tree, laid out as Kubernetes' was in 2017."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.settings import PREFECT_API_URL

from configs.errors import KubeV6Error
from configs.manifest import CNI_PLUGINS, Manifest
from configs.schema.loading import load_release
from configs.schema.release import Release
from tasks.docker import base_image, container_engine, toolchain
from tasks.docker import build as docker_build
from tasks.events import Event, StepProgressed
from tasks.paths import cache_dir
from tasks.release import compile, compiler, results
from tasks.release.fetch.mirror import Mirror, path_of_file, path_of_image
from tasks.release.refresh import Refresh
from tasks.release.store import Store
from tests.fakes import substitute
from tests.integration.flow_of_build import build_release
from tests.integration.git_project import Project
from tests.integration.test_fetch import archive_of_plugins
from tests.unit.test_store import layer, saved
from tests.waiting import eventually

GO = "kubev6-test/golang:without-rsync"
VERSION = "1.9.0-alpha.0.ipv6.0"
COMPANIONS = ("etcd-amd64:3.0.17", "k8s-dns-kube-dns-amd64:1.14.4", "k8s-dns-sidecar-amd64:1.14.4")
MADE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
CNI = "https://publisher.invalid/cni-plugins-amd64-v0.6.0.tgz"

CHECK = """\
go_version=($(go version))
if [[ "${go_version[2]}" < "${minimum_go_version}" && "${go_version[2]}" != "devel" ]]; then
    echo "!!! ${go_version[*]} is older than ${minimum_go_version}"
    exit 2
fi
"""
BUILD = """\
set -eu
minimum_go_version=go1.8.3
. hack/lib/golang.sh
. "$KUBE_GIT_VERSION_FILE"
mkdir -p _output/local/go/bin _output/local/bin
touch "$(go env GOROOT)/pkg/$(go env GOOS)_$(go env GOARCH)_cgo/library"
for target in $WHAT; do
    go build -ldflags "-X main.version=$KUBE_GIT_VERSION" -o "_output/local/go/bin/${target##*/}" "./$target"
done
find _output/local/go/bin -type f -exec rsync -pc {} _output/local/bin \\;
"""
PROGRAM = """\
package main

import (
\t"os"

\t"k8s.io/kubernetes/pkg/words"
)

var version string

func main() { os.Stdout.WriteString("NAME " + version + " " + words.Said + "\\n") }
"""
KUBELET = """\
package options

const (
\tdefaultPodSandboxImageName    = "publisher.invalid/pause"
\tdefaultPodSandboxImageVersion = "3.0"
)
"""
TREE = {
    "Makefile": "SHELL := /bin/bash\nexport GOFLAGS WHAT\nall:\n\t@bash hack/build.sh\n",
    "hack/build.sh": BUILD,
    "hack/lib/golang.sh": CHECK,
    "pkg/words/words.go": 'package words\n\nconst Said = "first"\n',
    "build/pause/pause.c": "int main() { return 0; }\n",
    "build/pause/Makefile": "TAG = 3.1\n",
    "cmd/kubelet/app/options/container_runtime.go": KUBELET,
    **{
        f"{'plugin/' if name == 'kube-scheduler' else ''}cmd/{name}/main.go": PROGRAM.replace("NAME", name)
        for name in compile.TARGETS
    },
}


@dataclass
class Built:
    """A release that was built here, and what it was built from."""

    file: Path
    release: Release
    sources: dict[str, str]
    mirror: Mirror
    store: Store
    manifest: Manifest

    def again(self, refresh: Refresh = "", store: Store | None = None) -> Manifest:
        where = store or self.store
        return build_release(self.release, store=where, sources=self.sources, mirror=self.mirror, refresh=refresh)

    def log(self) -> str:
        return next(self.store.root.glob("logs/compile-*.log")).read_text()


@pytest.fixture(scope="module")
def go() -> Iterator[str]:
    """An image that compiles and has no rsync, as those with Go; not one of ours."""
    client = container_engine.client()
    recipe = f"FROM {toolchain.ready().image}\nRUN rm --force /usr/bin/rsync /usr/bin/jq\n"
    client.images.build(fileobj=io.BytesIO(recipe.encode()), tag=GO, rm=True)
    yield GO
    client.images.remove(GO, force=True)


@pytest.fixture(scope="module")
def built(go: str, prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:  # noqa: ARG001
    root = tmp_path_factory.mktemp("build")
    kept = cache_dir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KUBEV6_DATA", str(root / "data"))
        patched.setenv("KUBEV6_CACHE", str(root / "cache"))
        # What was compiled of Go's own library and of our programs need not be compiled again for this.
        (kept / "go-build").mkdir(parents=True, exist_ok=True)
        cache_dir().mkdir()
        (cache_dir() / "go-build").symlink_to(kept / "go-build")
        shutil.copytree(kept / "toolchain", cache_dir() / "toolchain")
        project = Project(root / "kubernetes")
        base = project.commit("base", dict(TREE))
        project.commit("other words", {"pkg/words/words.go": 'package words\n\nconst Said = "second"\n'})
        release = write_release(root, go, base, project.git("rev-parse", "HEAD"))
        mirror, store = write_mirror(root / "mirror"), Store()
        sources = {"upstream": str(project.path)}
        manifest = build_release(release, store=store, sources=sources, mirror=mirror)
        yield Built(root / "release.yaml", release, sources, mirror, store, manifest)


def write_release(root: Path, image: str, base: str, *patches: str) -> Release:
    series = root / "small-2017.yaml"
    picked = "".join(f"  - {{remote: upstream, commit: '{each}'}}\n" for each in patches)
    series.write_text(
        "remotes: {upstream: https://publisher.invalid/kubernetes}\n"
        f"base: {{remote: upstream, commit: '{base}'}}\npatches:\n{picked}"
    )
    path = root / "release.yaml"
    images = [f"team/{name}-amd64:v{VERSION}" for name in MADE]
    images += [f"team/{reference}" for reference in COMPANIONS]
    path.write_text(
        f"name: small-2017\nkubernetes: {VERSION}\nruntime: docker\n"
        f"build: {{series: {series}, toolchain: {{image: '{image}'}}}}\n"
        "fetch:\n  binaries: {kubeadm: {url: https://publisher.invalid/kubeadm}}\n"
        f"  images: [{', '.join(images)}, gcr.example/pause-amd64:3.0]\n"
        f"cni: {{version: 0.6.0, url: {CNI}}}\n"
    )
    return load_release(path)


def write_mirror(place: Path) -> Mirror:
    """A mirror that holds what is not built, and nothing else."""
    files = {path_of_image(f"team/{each}"): b"".join(saved([layer(each.encode())])) for each in COMPANIONS}
    for name, content in {**files, path_of_file(CNI): archive_of_plugins()}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return Mirror(str(place))


def test_its_programs_are_compiled_wherever_the_tree_has_them(built: Built) -> None:
    assert re.fullmatch(rf"v{re.escape(VERSION)}\+kubev6\.small-2017\.[0-9a-f]{{7}}", built.manifest.version)
    for name in ("kubeadm", "kubelet", "kubectl"):
        program = built.store.root / "said" / name
        program.parent.mkdir(exist_ok=True)
        shutil.copyfile(built.store.blob(built.manifest.binary(name).sha256), program)
        program.chmod(0o755)
        said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
        assert said == f"{name} {built.manifest.version} second\n"
    # The makefile's own check takes Go 1.19 for older than 1.8.3.
    assert built.manifest.toolchain.startswith("go1.19")


def test_its_images_are_called_as_kubeadm_of_that_age_asks_for_them(built: Built) -> None:
    tag = built.manifest.version.replace("+", "_")
    others = dict(each.split(":") for each in COMPANIONS)

    seen = {image.name: image.tag for image in built.manifest.images if image.name != "probe"}

    assert seen == {**{f"{name}-amd64": tag for name in MADE}, "pause-amd64": "3.0", **others}
    assert not any(image.stand_in_for for image in built.manifest.images)
    assert built.store.check(built.manifest) == ()


def test_its_cni_plugins_are_the_published_ones(built: Built) -> None:
    assert built.manifest.cni_version == "0.6.0"
    assert {plugin.name for plugin in built.manifest.cni} == set(CNI_PLUGINS)


def test_the_same_inputs_are_not_compiled_twice(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    def compiles(*_: object, **__: object) -> None:
        pytest.fail("it was compiled again")

    substitute(monkeypatch, compile, "compile_tree", compiles)

    assert built.again() == built.manifest


def content(manifest: Manifest) -> tuple[object, ...]:
    """What a release holds, without when it was made and what its downloads were checked against."""
    binaries = [(each.name, each.sha256) for each in (*manifest.binaries, *manifest.cni)]
    return manifest.version, manifest.key, binaries, [(each.name, each.tag, each.digest) for each in manifest.images]


def test_what_was_compiled_and_built_is_taken_by_its_content_while_every_byte_of_it_is_there(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(built.store.root / "blobs", tmp_path / "blobs")
    log, results = next(built.store.root.glob("logs/compile-*.log")), cache_dir() / "results" / "small-2017"
    compiled = log.stat().st_mtime_ns

    def run(*_: object, name: str, **__: object) -> None:
        pytest.fail(f"a container was run: {name}")

    def build(_client: object, reference: str, *_: object, **__: object) -> None:
        pytest.fail(f"an image was built: {reference}")

    with monkeypatch.context() as patched:  # the release is not in that store, but all that it is made of is here
        substitute(patched, toolchain, "run", run)
        substitute(patched, docker_build, "build", build)
        assert content(built.again(store=Store(tmp_path))) == content(built.manifest)

    kubelet = results / "kubelet"
    kubelet.write_bytes(bytes(kubelet.stat().st_size))
    shutil.rmtree(tmp_path / "releases")
    assert content(built.again(store=Store(tmp_path))) == content(built.manifest)
    assert log.stat().st_mtime_ns > compiled, "it was compiled again"
    assert hashlib.sha256(kubelet.read_bytes()).hexdigest() == built.manifest.binary("kubelet").sha256


def test_a_damaged_layer_of_an_image_is_made_again_and_nothing_is_compiled_for_it(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = next(image for image in built.manifest.images if image.name == "kube-proxy-amd64")
    *_, (layer_digest, size) = built.store.image_blobs(image.digest)
    built.store.blob(layer_digest).write_bytes(bytes(size))
    assert [damage.of for damage in built.store.check(built.manifest)] == ["kube-proxy-amd64"]

    def compiles(*_: object, **__: object) -> None:
        pytest.fail("it was compiled again")

    substitute(monkeypatch, compile, "compile_tree", compiles)
    mended = built.again()
    assert mended.binaries == built.manifest.binaries
    assert built.store.check(mended) == ()
    built.manifest = mended  # an image says when it was made


def test_compiling_anew_compiles_everything_and_comes_to_the_same(built: Built) -> None:
    place = cache_dir() / "worktree" / "small-2017"
    inode, entries = place.stat().st_ino, sum(1 for _ in (cache_dir() / "go-build").glob("*/*-d"))
    assert content(built.again("compile")) == content(built.manifest)
    assert "k8s.io/kubernetes/cmd/kubelet" in built.log().splitlines()
    assert place.stat().st_ino != inode, "in a work tree of its own, which took the place of the other"
    assert sum(1 for _ in (cache_dir() / "go-build").glob("*/*-d")) >= entries, "what others have compiled stays"
    left_behind = [
        path for pattern in (".*.anew*", ".go-build.*", ".*unfinished") for path in cache_dir().rglob(pattern)
    ]
    assert left_behind == []


def test_what_failed_to_be_made_anew_leaves_what_there_was(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise KubeV6Error("it does not compile")

    with monkeypatch.context() as patched:
        substitute(patched, toolchain, "run", fails)
        with pytest.raises(KubeV6Error, match="it does not compile"):
            built.again("all")
    assert built.store.check(built.manifest) == ()
    assert (cache_dir() / "worktree" / "small-2017" / "Makefile").exists()
    assert (cache_dir() / "results" / "small-2017" / "kubelet").exists()
    with monkeypatch.context() as patched:
        substitute(patched, compile, "compile_tree", fails)
        assert content(built.again()) == content(built.manifest)


BUILDING = """
import logging, sys
logging.basicConfig(level=logging.INFO)
from configs.schema.loading import load_release
from tasks.release.fetch.mirror import Mirror
from tests.integration.flow_of_build import build_release


class Hold(logging.Handler):  # whoever compiles waits until it is told to go on
    def emit(self, record):
        if record.getMessage() == "small-2017: compile: started":
            sys.stdin.read()


logging.getLogger().addHandler(Hold())
release, source, mirror = sys.argv[1:]
manifest = build_release(load_release(release), sources={"upstream": source}, mirror=Mirror(mirror))
print(manifest.model_dump_json())
"""


def test_two_builds_of_the_same_at_once_do_the_work_once(built: Built, tmp_path: Path) -> None:
    of_server = {"PREFECT_API_URL": PREFECT_API_URL.value() or ""}
    own = {"KUBEV6_DATA": str(tmp_path / "data"), "KUBEV6_CACHE": str(tmp_path / "cache")}
    environment = {**os.environ, **of_server, **own}
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "go-build").symlink_to((cache_dir() / "go-build").resolve())
    shutil.copytree(cache_dir() / "toolchain", tmp_path / "cache" / "toolchain")
    words = [sys.executable, "-c", BUILDING, str(built.file), built.sources["upstream"], built.mirror.root]
    waits = "series small-2017 is being built"
    with ExitStack() as held:
        both, files = [], []
        for number in range(2):
            out, err = (held.enter_context((tmp_path / f"{number}.{name}").open("w+")) for name in ("out", "err"))
            process = subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=err)
            held.callback(process.kill)
            both.append(process)
            files.append((Path(out.name), Path(err.name)))
        eventually(lambda: any(waits in err.read_text() for _, err in files), 120)
        for process in both:
            assert process.stdin is not None
            process.stdin.close()
        for process in both:
            process.wait(180)
    said = [(out.read_text(), err.read_text()) for out, err in files]

    assert [process.returncode for process in both] == [0, 0], said
    (first, did), (second, waited) = sorted(said, key=lambda each: waits in each[1])
    assert first == second
    assert Manifest.model_validate_json(first).binaries == built.manifest.binaries
    assert re.search(r"is being built: build of small-2017 \(process \d+\) works on it since .*; waiting", waited)
    assert "small-2017: compile: ended" in did
    assert "compile" not in waited
    assert "image" not in waited


def test_a_full_disk_is_one_line(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    substitute(monkeypatch, results, "replace_directory", full)
    with pytest.raises(KubeV6Error, match="cannot be written: No space left on device"):
        built.again("compile")
    assert (cache_dir() / "results" / "small-2017" / "kubelet").exists()


def test_the_command_takes_other_places_for_what_the_series_and_the_release_name(built: Built) -> None:
    words = ["build", str(built.file), "--mirror", built.mirror.root]
    words += [f"--source={remote}={place}" for remote, place in built.sources.items()]

    done = subprocess.run(
        [sys.executable, "-m", "kubev6", *words], capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 0, done.stderr
    assert f"small-2017: {built.manifest.version} is in the store" in done.stdout


def test_one_change_compiles_what_depends_on_it_and_nothing_else(built: Built) -> None:
    place = cache_dir() / "worktree" / "small-2017"
    only = place / "cmd" / "kubectl" / "main.go"
    words = only.read_text()

    def packages() -> list[str]:
        compile.compile_tree(
            place,
            series="small-2017",
            key="0",
            reported=compile.Reported(built.manifest.version, "0" * 40, 0),
            compiler=compiler.named(GO),
        )
        return [line for line in built.log().splitlines() if line.startswith("k8s.io/")]

    assert packages() == []
    # Words that no test before has left in the build cache.
    only.write_text(words.replace("kubectl ", f"kubectl {uuid4().hex} "))
    assert packages() == ["k8s.io/kubernetes/cmd/kubectl"]
    only.write_text(words)


def test_of_a_working_tree_only_what_an_edit_changes_comes_out_different(built: Built, tmp_path: Path) -> None:
    tree = Project(tmp_path / "kubernetes")
    tree.commit("base", dict(TREE))
    build = built.release.build
    assert build is not None
    release = built.release.model_copy(
        update={"name": "small-2017-dev", "build": build.model_copy(update={"series": str(tree.path)})}
    )

    def made() -> dict[str, str]:
        manifest = build_release(release, store=built.store, sources={}, mirror=built.mirror)
        assert manifest.version == f"v{VERSION}+kubev6.working-tree"
        program = tmp_path / "kubelet"
        shutil.copyfile(built.store.blob(manifest.binary("kubelet").sha256), program)
        program.chmod(0o755)
        said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
        assert said.startswith(f"kubelet {manifest.version} ")
        of_programs = {each.name: each.sha256 for each in manifest.binaries}
        return of_programs | {image.name: image.digest for image in manifest.images}

    def changed() -> list[str]:
        before = dict(first)
        first.update(made())
        return sorted(name for name, digest in first.items() if digest != before[name])

    first = made()
    proxy = tree.path / "cmd" / "kube-proxy" / "main.go"
    proxy.write_text(proxy.read_text().replace("kube-proxy ", "kube-proxy of mine "))
    assert changed() == ["kube-proxy-amd64"]
    (tree.path / "pkg" / "words" / "more.go").write_text('package words\n\nfunc init() { print("more") }\n')
    assert changed() == sorted([*(f"{name}-amd64" for name in MADE), *("kubeadm", "kubectl", "kubelet")])
    (tree.path / "docs.md").write_text("Nothing that is compiled.\n")
    tree.commit("and it is committed", {})
    assert changed() == []
    proxy.write_text("package main\n\nfunc main() { undefined() }\n")
    said = r"compiling .*working-tree failed: .*cmd/kube-proxy/main.go:3:15: undefined"
    with pytest.raises(compile.CompileError, match=said):
        made()
    committed = f"{tree.path}@{tree.git('rev-parse', 'HEAD')}"
    release = release.model_copy(update={"build": build.model_copy(update={"series": committed})})
    assert changed() == [], "a commit is compiled as it is, whatever stands in the tree by now"


def test_where_everything_is_compiled_the_progress_says_out_of_how_much(built: Built, heard: list[Event]) -> None:
    place = cache_dir() / "worktree" / "small-2017"
    shutil.rmtree(place / "_output" / "local" / "go" / "bin")  # the linker leaves as it is what would come out the same
    reported = compile.Reported(built.manifest.version, "0" * 40, 0)
    compile.compile_tree(
        place,
        series="small-2017",
        key="0",
        reported=reported,
        compiler=compiler.named(GO),
        force=True,
    )
    counted = [each for each in heard if isinstance(each, StepProgressed) and each.done]
    packages, total = counted[-1].done, counted[-1].total
    assert counted[-1].text == f"{packages} of {total} packages"
    assert packages == total == len(compile.TARGETS) + 1


def test_what_an_old_compiler_installs_of_its_library_is_kept(built: Built) -> None:  # noqa: ARG001
    (kept,) = compiler.named(GO).library

    assert [path.name for path in kept.iterdir()] == ["library"]


def test_a_companion_that_the_mirror_lacks_is_named_and_nothing_is_kept(built: Built, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    mirror = write_mirror(tmp_path / "mirror")
    (tmp_path / "mirror" / path_of_image(f"team/{COMPANIONS[0]}")).unlink()

    with pytest.raises(KubeV6Error) as caught:
        build_release(built.release, store=store, sources=built.sources, mirror=mirror)

    assert f"has no {path_of_image(f'team/{COMPANIONS[0]}')}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert store.list() == ()


def test_an_image_that_cannot_be_had_is_one_line_with_the_choice() -> None:
    with pytest.raises(KubeV6Error) as caught:
        compiler.named("127.0.0.1:9/golang:1.8.3")

    said = str(caught.value)
    assert "the toolchain image 127.0.0.1:9/golang:1.8.3 is not here and cannot be pulled: " in said
    assert "docker load" in said
    assert "take build.toolchain out of the release" in said
    assert "\n" not in said


def test_an_image_that_cannot_compile_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(KubeV6Error) as caught:
        compiler.named(base_image.base_image())

    assert "cannot compile Kubernetes: there is no gcc in it" in str(caught.value)


def test_another_image_under_the_same_tag_is_another_compiler(go: str) -> None:
    client = container_engine.client()
    moved = "kubev6-test/golang:moved"
    client.images.get(go).tag(moved)
    try:
        one = compiler.named(moved)
        recipe = f"FROM {go}\nLABEL other=yes\n"
        client.images.build(fileobj=io.BytesIO(recipe.encode()), tag=moved, rm=True)
        other = compiler.named(moved)
    finally:
        client.images.remove(moved, force=True)

    assert one == compiler.named(go)
    assert one.go == other.go
    assert one.identity != other.identity
