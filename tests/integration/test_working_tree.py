"""A working tree as it stands, in the place of a series: what of it counts, and that it is left alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from configs.errors import ConfigError, KubeV6Error
from configs.schema.loading import load_cluster
from tasks.events import Event, StepEnded
from tasks.paths import cache_dir
from tasks.release import build, choose
from tasks.release.series import series, series_file, series_source, tree_watch, working_tree
from tasks.release.series.check_out import check_out
from tests.fakes import substitute
from tests.integration.git_project import Project
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("own_data")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "src" / "kubernetes")
    made.commit(
        "base",
        {
            "cmd/kubelet/main.go": "package main\n",
            "gone.go": "package gone\n",
            ".gitignore": "/_output\n",
            ".gitattributes": "* text=auto eol=lf ident\n",
        },
    )
    return made


def tree_of(project: Project) -> dict[str, bytes]:
    """What would be compiled, by name."""
    wanted = series_file.load(project.path)
    source = series_source.obtain(wanted)
    place = check_out(series.pick(wanted, source), source)
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def everything_in(directory: Path) -> dict[str, tuple[int, str]]:
    """Each file with its time and content, those of the repository too; git gives objects that it has seen the time."""
    return {
        str(path.relative_to(directory)): (
            0 if "objects" in path.parts else path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_what_stands_there_is_taken_whatever_git_knows_of_it_and_nothing_there_is_touched(project: Project) -> None:
    (project.path / ".git" / "info" / "exclude").write_text("*.mine\n")
    files = {
        "cmd/kubelet/main.go": b"package main // changed\n",
        "new/new.go": b"package new\n",
        "windows.txt": b"one\r\n$Id$\r\n",
        "a b\nc.go": b"package odd\n",
    }
    for name, content in files.items():
        (project.path / name).parent.mkdir(exist_ok=True)
        (project.path / name).write_bytes(content)
    (project.path / "gone.go").unlink()
    for name in ("_output/made", "notes.mine"):
        (project.path / name).parent.mkdir(exist_ok=True)
        (project.path / name).write_text("not of the tree")
    (project.path / "new" / "link").symlink_to("new.go")
    (project.path / "new" / "new.go").chmod(0o755)
    project.git("add", "new/new.go")
    before = everything_in(project.path)

    seen = tree_of(project)

    assert everything_in(project.path) == before
    assert {name: seen.pop(name) for name in files} == files
    assert set(seen) == {".gitignore", ".gitattributes", "new/link"}
    place = next(path for path in (project.path / "new").iterdir() if path.name == "new.go")
    assert os.access(place, os.X_OK)


def test_what_has_changed_since_it_was_read_last_is_told(project: Project, heard: list[Event]) -> None:
    def outcome() -> str:
        working_tree.obtain(series_file.working_tree(project.path))
        return next(each.text for each in reversed(heard) if isinstance(each, StepEnded))

    assert outcome() == f"{project.path}, for the first time"
    assert outcome() == "nothing has changed"
    project.commit("a commit alone changes no file", {})
    assert outcome() == "nothing has changed"
    (project.path / "cmd/kubelet/main.go").write_text("package main // changed\n")
    assert outcome() == "changed: cmd/kubelet/main.go"
    assert working_tree.told(["a", "b", "c", "d", "e"]) == "changed: a, b, c and 2 others"


def test_the_same_tree_is_the_same_source_whenever_it_is_read_and_whatever_was_committed(project: Project) -> None:
    first = working_tree.obtain(series_file.working_tree(project.path))
    (project.path / "new.go").write_text("package new\n")
    changed = working_tree.obtain(series_file.working_tree(project.path))
    project.commit("it", {"new.go": "package new\n"})
    assert working_tree.obtain(series_file.working_tree(project.path)) == changed
    (project.path / "new.go").unlink()
    assert working_tree.obtain(series_file.working_tree(project.path)) == first


def test_a_directory_inside_a_linked_tree_and_one_with_no_commit_stand_for_the_whole(
    project: Project, tmp_path: Path
) -> None:
    linked = tmp_path / "linked"
    project.git("worktree", "add", "--quiet", "--detach", str(linked))
    assert working_tree.top(linked / "cmd" / "kubelet") == linked
    (linked / "cmd/kubelet/main.go").write_text("package main // of the other\n")
    source = working_tree.obtain(series_file.working_tree(linked))
    assert "of the other" in str(source.open().git.show(f"{source.base}:cmd/kubelet/main.go"))
    fresh = Project(tmp_path / "fresh")
    (fresh.path / "only.go").write_text("package only\n")
    assert set(tree_of(fresh)) == {"only.go"}


def test_a_tree_of_something_else_is_refused(tmp_path: Path) -> None:
    """As one's home directory may be, whose repository is found above an archive that was unpacked there."""
    home = Project(tmp_path / "home")
    (home.path / "src" / "kubernetes").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"home is no tree of Kubernetes: it has no cmd/kubelet; name the top"):
        working_tree.top(home.path / "src" / "kubernetes")


@pytest.mark.parametrize(
    ("lists", "fits"),
    [
        (("CHANGELOG/CHANGELOG-1.20.md", "CHANGELOG/CHANGELOG-1.19.md"), True),
        (("CHANGELOG/CHANGELOG-1.19.md",), True),  # before the first alpha version of the next one
        (("CHANGELOG/CHANGELOG-1.21.md", "CHANGELOG/CHANGELOG-1.20.md"), False),
        (("CHANGELOG-1.9.md", "CHANGELOG-1.10.md"), False),
        ((), True),
    ],
)
def test_a_tree_of_another_minor_version_than_its_release_is_refused_with_what_helps(
    project: Project, lists: tuple[str, ...], fits: bool
) -> None:
    project.commit("changes", dict.fromkeys((*lists, "CHANGELOG/README.md"), "# Changes\n"))
    release = choose.working_tree(load_cluster("lab"), str(project.path), "").release
    if fits:
        assert build.obtain_source(release, {}, "").origin == str(project.path)
        return
    with pytest.raises(
        ConfigError, match=r"by its CHANGELOG, and release debian-1.20-dev is 1.20.2; name with --release"
    ):
        build.obtain_source(release, {}, "")


def test_a_kubeadm_that_takes_no_digests_gets_no_working_tree(project: Project) -> None:
    with pytest.raises(ConfigError, match="whose kubeadm takes no digests of images"):
        choose.working_tree(load_cluster("kube-v6-lab"), str(project.path), "")


@pytest.mark.parametrize("what", ["nothing", "a directory", "a bare repository", "a file"])
def test_what_is_no_working_tree_is_refused(tmp_path: Path, what: str) -> None:
    place = tmp_path / "place"
    if what == "a directory":
        place.mkdir()
    elif what == "a bare repository":
        shutil.move(Project(tmp_path / "other").path / ".git", place)
    elif what == "a file":
        place.write_text("")
    with pytest.raises(ConfigError, match=r"place is no working tree of git's; name the top directory of a checkout"):
        working_tree.top(place)


def test_a_series_of_another_source_is_not_asked_for_with_a_working_tree(project: Project) -> None:
    for given in ({"sources": {"upstream": "/elsewhere"}}, {"onto": "master"}):
        with pytest.raises(ConfigError, match="is a working tree, which is taken as it stands"):
            series_source.obtain(series_file.load(project.path), **given)


def repository_of(project: Project) -> Path:
    return cache_dir() / "git" / series_file.working_tree(project.path).name / ".git"


def test_a_lock_of_a_run_that_was_killed_and_a_damaged_index_of_ours_are_no_hindrance(project: Project) -> None:
    first = tree_of(project)
    (repository_of(project) / "index.lock").write_text("")
    assert tree_of(project) == first
    (repository_of(project) / "index").write_bytes(b"DIRC and nothing that it should be")
    assert tree_of(project) == first


def test_what_cannot_be_kept_is_one_line_that_names_the_tree(project: Project) -> None:
    tree_of(project)
    blob = hashlib.sha1(b"blob 4\0new\n", usedforsecurity=False).hexdigest()
    (repository_of(project) / "objects" / blob[:2]).write_text("no directory")
    (project.path / "new.go").write_text("new\n")
    with pytest.raises(KubeV6Error, match=f"{project.path} cannot be read: "):
        tree_of(project)


def test_a_repository_that_was_made_again_in_the_same_place_is_read_as_one_that_is_new(
    project: Project, heard: list[Event]
) -> None:
    tree_of(project)
    shutil.rmtree(project.path)
    Project(project.path).commit("another", {"cmd/kubelet/main.go": "package other\n"})
    assert set(tree_of(project)) == {"cmd/kubelet/main.go"}
    told = [each.text for each in heard if isinstance(each, StepEnded) and each.title == "read"]
    assert told == [f"{project.path}, for the first time"] * 2


def test_what_counts_is_what_the_trees_own_git_counts(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.path / "_output").mkdir()
    (project.path / "_output" / "kept.go").write_text("package kept\n")
    project.git("add", "--force", "_output/kept.go")
    (project.path / "mine").write_text("of an editor")
    assert {"_output/kept.go", "mine"} < set(tree_of(project))
    (tmp_path / "ignored").write_text("mine\n")
    (tmp_path / "gitconfig").write_text(f"[core]\n\texcludesFile = {tmp_path / 'ignored'}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    assert set(tree_of(project)) & {"_output/kept.go", "mine"} == {"_output/kept.go"}
    (project.path / "cmd/kubelet/main.go").unlink()
    (project.path / "cmd/kubelet/main.go").mkdir()
    (project.path / "cmd/kubelet/main.go/file").write_text("a directory by now")
    assert "cmd/kubelet/main.go/file" in tree_of(project)


def test_a_part_of_the_tree_that_is_elsewhere_is_refused_with_its_name(project: Project, tmp_path: Path) -> None:
    Project(project.path / "mine").commit("of its own", {"a.go": "package a\n"})
    with pytest.raises(KubeV6Error, match="kubernetes: mine is a repository of its own, and would be missing"):
        tree_of(project)
    project.git("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(project.path / "mine"), "theirs")
    shutil.rmtree(project.path / "mine")
    with pytest.raises(KubeV6Error, match="kubernetes: theirs is a submodule"):
        tree_of(project)
    sparse = tmp_path / "sparse"
    project.git("clone", "--quiet", str(project.path), str(sparse))
    subprocess.run(
        ["git", "-C", sparse, "sparse-checkout", "set", "--no-cone", "/cmd"], check=True, capture_output=True
    )
    with pytest.raises(KubeV6Error, match=r"sparse: \S+ is left out by a sparse checkout"):
        tree_of(Project(sparse))


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("cmd/kubelet/main.go", True),
        (".gitignore", True),
        (".git/index", False),
        (".git", False),
        ("_output/bin/kubelet", False),
        ("pkg/_output/file.go", True),
        ("_outputs", True),
    ],
)
def test_what_git_and_the_makefiles_keep_in_a_tree_wakes_nobody(tmp_path: Path, path: str, counts: bool) -> None:
    assert tree_watch.counts(tmp_path, str(tmp_path / path)) is counts


def test_a_change_is_waited_for_however_deep(project: Project) -> None:
    (project.path / "pkg/deep/down").mkdir(parents=True)
    with tree_watch.changes(project.path) as wait, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        # Until it listens, a change is made again and again.
        eventually(lambda: bool((project.path / "pkg/deep/down/new.go").write_text(uuid4().hex)) and waiting.done())
        waiting.result(30)


def test_where_changes_cannot_be_waited_for_it_is_said_with_what_helps(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watch(*_: object, **__: object) -> None:
        raise OSError("OS file watch limit reached.")

    substitute(monkeypatch, tree_watch, "watch", watch)
    with tree_watch.changes(project.path) as wait, pytest.raises(KubeV6Error, match=r"limit reached.*max_user_watches"):
        wait()
