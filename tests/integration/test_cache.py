"""What is kept, and what a prune makes of it, with real files."""

from __future__ import annotations

import builtins
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import docker
import pytest

import flows.fetch
from configs.errors import KubeV6Error
from configs.manifest import Manifest
from configs.plan.go import PACKAGES
from flows.steps import release as steps
from kubev6.cli import main
from tasks.cache import kept
from tasks.cache import prune as pruning
from tasks.docker import container_engine, go_image, toolchain
from tasks.docker.toolchain import Toolchain
from tasks.exclusive import exclusive
from tasks.in_use import in_use, unused, users
from tasks.paths import cache_dir, data_dir
from tasks.release.fetch import checksums, mirror_directory
from tasks.release.store import Store
from tasks.replace import remove
from tests.another_process import holding
from tests.fakes import substitute
from tests.integration.git_project import Project
from tests.unit import sample
from tests.unit.test_store import layer, release, saved
from tests.waiting import eventually

LONG_AGO = time.time() - 100 * 24 * 3600


@pytest.fixture(autouse=True)
def no_engine(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The images of this machine are not this test's, nor those of the processes that it starts."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{own_data}/no-engine")
    assert container_engine.running() is None


def written(path: Path, content: str = "x" * 5000, *, old: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    if old:
        for each in (path, path.parent):
            os.utime(each, (LONG_AGO, LONG_AGO))
    return path


def builds(*contents: bytes) -> list[Manifest]:
    """Builds of one release, the last of which is the current one."""
    store, made = Store(), []
    for number, content in enumerate(contents):
        made.append(release(store, f"{number}" * 64, content))
        store.write(made[-1])
    return made


def deployed(manifest: Manifest) -> None:
    written(data_dir() / "clusters" / "lab" / "release.json", manifest.model_dump_json())


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[bool, str]]:
    """Each thing by its kind and name: whether it would go, and why or why not."""
    assert main(["cache", "ls", "--json"]) == 0
    return {
        f"{each['kind']} {each['name']}": (each["prune"], each["because"])
        for each in json.loads(capsys.readouterr().out)
    }


def test_older_builds_go_with_what_only_they_have_and_those_that_are_deployed_stay(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store, (gone, running, current) = Store(), builds(b"one", b"two", b"three")
    deployed(running)
    written(store.blob("0" * 64))
    size_before = sum(path.stat().st_size for path in store.root.rglob("*"))
    told = listed(capsys)
    assert told["release test 000000000000"] == (True, "older build")
    assert told["release test 111111111111"] == (False, "deployed on lab")
    assert told["release test 222222222222"] == (False, "current build")
    assert told["blobs of no release"] == (True, "no release refers to them")

    assert main(["cache", "prune", "--dry-run"]) == 0
    assert "would be freed" in capsys.readouterr().out
    assert sum(path.stat().st_size for path in store.root.rglob("*")) == size_before, "nothing was touched"

    assert main(["cache", "prune", "--yes"]) == 0
    out = capsys.readouterr().out
    assert "release test 000000000000: older build, " in out
    assert store.check(running) == store.check(current) == ()
    assert store.find("test", gone.key) is None
    left = {path.name for path in (store.root / "blobs" / "sha256").iterdir()}
    needed = {digest.removeprefix("sha256:") for each in (running, current) for _, digest, _ in store.blobs(each)}
    for_other_tools = left - needed
    assert (
        left
        == needed | for_other_tools
        == {digest.removeprefix("sha256:") for each in (running, current) for digest in store.digests(each)}
    )
    assert len(for_other_tools) == 2, "one manifest of each image"
    (named,) = json.loads((store.root / "index.json").read_text())["manifests"]
    assert named["digest"].removeprefix("sha256:") in for_other_tools
    assert named["annotations"] == {"org.opencontainers.image.ref.name": "pause:3.2"}
    assert main(["cache", "prune", "--yes"]) == 0
    assert "Nothing is to go." in capsys.readouterr().out


def test_what_was_made_of_upstreams_tests_stays_as_long_as_the_build_that_they_are_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store, (older, current) = Store(), builds(b"one", b"two")
    tests = release(store, older.key, b"e2e.test of one").model_copy(update={"name": "test.e2e"})
    store.keep_tests(older, tests)
    deployed(older)
    assert "blobs of no release" not in listed(capsys)
    assert main(["cache", "prune", "--yes"]) == 0
    assert store.check(tests) == ()
    assert [manifest.name for manifest in store.list()] == ["test"]

    deployed(current)
    assert main(["cache", "prune", "--yes"]) == 0
    assert store.check(tests)
    assert store.check(current) == ()
    store.keep_tests(older, tests)  # of a build that is gone nothing is begun anew
    assert [build.name for build in store.builds()] == ["test 111111111111"]


def test_builds_of_a_working_tree_do_not_become_ever_more(capsys: pytest.CaptureFixture[str]) -> None:
    store, made = Store(), builds(*(f"{number}".encode() for number in range(kept.NEWEST + 3)))
    for age, each in enumerate(reversed(made)):
        place = store.root / "releases" / "test" / each.key[:12]
        for path in (place / "manifest.json", place):
            os.utime(path, (time.time() - age, time.time() - age))
    deployed(made[0])
    nobodys = written(store.blob("f" * 64))
    with used_by_another_process():
        kept.bound("test")
        assert len(store.builds()) == len(made), "it may be what that one is about to use"
    kept.bound("test")
    assert [manifest.key for manifest in made if store.find("test", manifest.key)] == [
        made[0].key,
        *(each.key for each in made[-kept.NEWEST :]),
    ]
    assert not any(store.check(each) for each in (made[0], *made[-kept.NEWEST :]))
    assert all(store.check(each) for each in made[1:3])
    assert nobodys.exists(), "that is for a person to decide"
    assert capsys.readouterr().err == ""


def test_what_was_fetched_stays_until_it_is_old(capsys: pytest.CaptureFixture[str]) -> None:
    store = Store()
    sha256, size = store.add_stream([b"an archive of plugins"])
    checksums.remember(store, "https://publisher.invalid/cni.tgz", sha256, size, checksums.FIRST)
    digest, image_size = store.add_docker_image(_image())
    checksums.remember(store, "publisher.invalid/pause:1", "0" * 64, image_size, checksums.FIRST, manifest=digest)

    assert listed(capsys)["blobs downloaded before"] == (False, "used today")
    assert main(["cache", "prune", "--yes"]) == 0
    assert store.blob(sha256).exists()
    assert store.has_image(digest)
    for path in (store.root / "blobs" / "sha256").iterdir():
        os.utime(path, (LONG_AGO, LONG_AGO))
    assert main(["cache", "prune", "--yes"]) == 0
    assert not store.blob(sha256).exists()


def _image() -> Iterator[bytes]:
    return saved([layer(b"pause")])


def test_of_a_manifest_that_cannot_be_read_nothing_goes_that_may_be_its(capsys: pytest.CaptureFixture[str]) -> None:
    (current,) = builds(b"one")
    (data_dir() / "releases" / "test" / "current" / "manifest.json").write_text("{")
    assert listed(capsys)["release test 000000000000"] == (False, "current build")
    assert main(["cache", "prune", "--yes", "--all"]) == 0
    assert Store().check(current) == ()


def test_what_a_cluster_runs_has_to_be_known(capsys: pytest.CaptureFixture[str]) -> None:
    builds(b"one", b"two")
    written(data_dir() / "clusters" / "lab" / "release.json", "{")
    assert main(["cache", "prune", "--yes"]) == 1
    assert "clusters/lab/release.json cannot be understood" in capsys.readouterr().err
    assert len(Store().builds()) == 2


def test_of_the_cache_what_is_old_or_was_left_behind_goes(capsys: pytest.CaptureFixture[str]) -> None:
    cache, (current,) = cache_dir(), builds(b"one")
    store = Store()
    source = current.source.model_copy(
        update={"series": "mine", "origin": "Debian source package kubernetes 1.20", "patches": ()}
    )
    store.write(current.model_copy(update={"source": source, "key": "9" * 64}))
    stays = [
        written(cache / "results" / "mine" / "kubelet", old=True),
        written(cache / "results" / "mine.e2e" / "e2e.test", old=True),
        written(cache / "results" / "pause" / "pause", old=True),
        written(cache / "results" / "fresh" / "kubelet"),
        written(cache / "stamps" / "mine" / "stamp", old=True),
        written(cache / "worktree" / "mine" / "main.go", old=True),
        written(cache / "worktree" / ".mine.index", old=True),
        written(cache / "source" / "kubernetes-1.20" / "main.go", old=True),
        written(cache / "source" / "kubernetes-1.21" / "main.go", old=True),  # used lately, as its lock tells
        written(cache / "source" / ".kubernetes-1.21.lock"),
        written(cache / "go-build" / "00" / "entry-d", old=True),
        written(cache / "go-build-000000000000" / "00" / "entry-d", old=True),
        written(cache / "partial" / ("a" * 64)),
        written(cache / "partial" / f"{'a' * 64}.json"),
        written(cache / "somebody" / "elses", old=True),
        written(cache / "labs.lock", old=True),
        written(data_dir() / "logs" / "run.log", old=True),
        written(data_dir() / "runs" / "run.json", old=True),
        written(data_dir() / "labs" / "lab" / "key", old=True),
        written(data_dir() / "prefect" / "prefect.db", old=True),
    ]
    goes = [
        written(cache / "results" / "other" / "kubelet", old=True),
        written(cache / "results" / ".mine.unfinished" / "kubelet"),
        written(cache / "stamps" / "other" / "stamp", old=True),
        written(cache / "worktree" / "other" / "main.go", old=True),
        written(cache / "worktree" / ".other.index", old=True),
        written(cache / "worktree" / ".mine.anew" / "main.go"),
        written(cache / "source" / "kubernetes-1.19" / "main.go", old=True),
        written(cache / "source" / ".unpacked-kubernetes-abc" / "main.go"),
        written(cache / "partial" / ("b" * 64), old=True),
        written(cache / "partial" / f"{'b' * 64}.json", old=True),
        written(cache / "bin" / "kubectl-000000000000"),
        written(cache / ".go-build.1" / "00" / "entry-d"),
        written(cache / ".go-build-000000000000.1" / "00" / "entry-d"),
        written(cache / "worktree" / ".going-1-older" / "main.go"),
    ]
    os.utime(cache / "worktree" / "mine", (LONG_AGO, LONG_AGO))

    assert main(["cache", "prune", "--yes"]) == 0

    assert [str(path) for path in stays if not path.exists()] == []
    assert [str(path) for path in goes if path.exists()] == []
    assert not list(cache.rglob(".going-*"))

    capsys.readouterr()
    assert main(["cache", "prune", "--all", "--yes"]) == 0
    left = {
        path.relative_to(cache).parts[0] for path in cache.rglob("*") if path.is_file() and ".lock" not in path.name
    }
    assert left == {"somebody"}
    assert [manifest.key for manifest in store.list()] == ["9" * 64]
    assert all(path.exists() for path in stays if path.is_relative_to(data_dir()))


def test_what_cannot_be_removed_is_one_line_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, (older, _) = Store(), builds(b"one", b"two")
    left = written(cache_dir() / "results" / ".mine.unfinished" / "kubelet")

    def refused(path: Path) -> None:
        if path.name == "000000000000":
            raise PermissionError(13, "Permission denied", str(path))
        remove(path)

    substitute(monkeypatch, pruning, "remove", refused)
    assert main(["cache", "prune", "--yes"]) == 1
    err = capsys.readouterr().err
    assert "releases/test/000000000000 cannot be removed: Permission denied" in err
    assert not left.exists()
    assert store.check(older) == (), "what it refers to stays with it"


def test_a_prune_asks_first(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    builds(b"one", b"two")
    assert main(["cache", "prune"]) == 1
    assert "cache prune asks first, and there is no terminal" in capsys.readouterr().err
    substitute(monkeypatch, sys.stdin, "isatty", lambda: True)
    substitute(monkeypatch, builtins, "input", lambda _: "n")
    assert main(["cache", "prune"]) == 1
    assert "Nothing was done." in capsys.readouterr().out
    assert len(Store().builds()) == 2


used_by_another_process = partial(holding, "from tasks.in_use import in_use", 'in_use("build of test")')


def test_a_prune_waits_for_a_build_and_says_so() -> None:
    store, (older, current) = Store(), builds(b"one", b"two")
    blob = store.blob(older.binaries[0].sha256)
    with used_by_another_process() as build:
        words = [sys.executable, "-m", "kubev6", "cache", "prune", "--yes"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as prune:
            assert prune.stdout is not None
            said = ""
            while "in use by" not in said:
                said = prune.stdout.readline()
                assert said, "it ended without waiting"
            assert f"in use by build of test (process {build.pid}); waiting for it to end" in said
            assert blob.exists()
            # What the build has made until it ends is not removed.
            store.write(older)
            build.kill()
            rest = prune.stdout.read()
    assert prune.returncode == 0, rest
    assert store.check(older) == ()
    assert store.current("test") == older
    assert store.find("test", current.key), "it was not what the person has agreed to"


def test_many_may_use_the_cache_at_once_and_are_named_while_they_do() -> None:
    assert users() == ""
    with used_by_another_process() as other, in_use("deploy on lab"), in_use("build of test"):
        said = users()
        assert f"build of test (process {other.pid})" in said
        assert f"deploy on lab (process {os.getpid()})" in said
    eventually(lambda: users() == "")


def test_who_comes_while_a_prune_is_at_work_waits_for_it() -> None:
    words = [sys.executable, "-c", "from tasks.in_use import in_use\nwith in_use('build of test'): pass"]
    with (
        unused("kubev6 cache prune", on_wait=lambda who: pytest.fail(f"it waits for {who}")),
        subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as build,
    ):
        try:
            assert build.stderr is not None
            said = build.stderr.readline()
            assert said.startswith(f"kubev6 cache prune (process {os.getpid()}) works on it since 20")
            assert "; waiting for it to end" in said
            assert users() == ""
        finally:
            build.kill()


def test_a_series_is_not_picked_while_a_prune_is_at_work(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    base = project.commit("base", {"a": "1\n"})
    file = tmp_path / "demo.yaml"
    file.write_text(f"remotes: {{up: {project.path}}}\nbase: {{remote: up, commit: '{base}'}}\npatches: []\n")
    words = [sys.executable, "-m", "kubev6", "series", "apply", str(file)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as applying:
        assert applying.stdout is not None
        with unused("kubev6 cache prune", on_wait=lambda who: pytest.fail(f"it waits for {who}")):
            said = applying.stdout.readline()
            assert f"kubev6 cache prune (process {os.getpid()}) works on it since 20" in said
        rest = applying.stdout.read()
    assert applying.returncode == 0, rest


@pytest.mark.usefixtures("prefect_server")
def test_a_mirror_is_written_while_nothing_may_be_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []

    def fetched(*_: object) -> Manifest:
        said.append(users())
        return sample.manifest()

    def mirrored(*_: object) -> int:
        said.append(users())
        return 0

    substitute(monkeypatch, steps, "find_fetched", fetched)
    substitute(monkeypatch, steps, "with_probe", lambda manifest, *_: manifest)
    substitute(monkeypatch, mirror_directory, "write", mirrored)
    assert flows.fetch.fetch("v1.34.2", to="/nowhere") == sample.manifest()
    assert said == [f"fetch of v1.34.2 (process {os.getpid()})"] * 2


def test_a_lock_that_was_removed_while_somebody_waited_for_it_is_taken_again(own_data: Path) -> None:
    lock = own_data / "lock"
    with exclusive(lock, what="first"):
        lock.unlink()
        with exclusive(lock, what="second"):  # it is another file
            assert "second" in lock.read_text()


def test_a_data_directory_that_cannot_be_written_is_one_line(own_data: Path) -> None:
    own_data.write_text("a file")
    with pytest.raises(KubeV6Error, match="cannot be written"), in_use("build of test"):
        pytest.fail("it went on")


def test_of_the_engines_images_only_those_go_that_nothing_is_made_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = int(time.time())
    own = Toolchain(toolchain.reference(), "go1.19.8 linux/amd64", ("golang-go=2:1.19~1",))
    written(toolchain.record_file()).write_text(json.dumps(asdict(own)))
    tags = {
        "a": toolchain.reference(),
        "b": "kubev6/toolchain:000000000000",
        "c": "kubev6/lab-node:bookworm",
        "d": f"kubev6/etcd:3.{os.getpid()}",
        "e": "kubev6/etcd:3.999999999",
        "f": "<none>:<none>",
        "g": "<none>:<none>",
        "h": "kubev6/toolchain:111111111111",
        "i": go_image.reference(own, PACKAGES[-1]),
        "j": f"kubev6/toolchain-go:{PACKAGES[-1].go}-000000000000",
    }
    found = [{"Id": each, "RepoTags": [tag], "Size": 1, "Created": now} for each, tag in tags.items()]
    found[5]["Created"] = int(LONG_AGO)
    removed: list[str] = []
    engine = docker.DockerClient("unix:///nowhere", version="1.41")
    substitute(monkeypatch, engine.api, "images", lambda **_: found)
    substitute(monkeypatch, engine.api, "containers", lambda **_: [{"ImageID": "h"}])
    substitute(monkeypatch, engine.api, "remove_image", lambda image: removed.append(image))
    substitute(monkeypatch, container_engine, "running", lambda: engine)
    for each in "ai":
        assert listed(capsys)[f"Docker image {tags[each]}"] == (False, "of the recipe as it stands")
    assert main(["cache", "prune", "--all", "--yes"]) == 0
    assert sorted(removed) == ["b", "e", "f", "j"]
