"""`kubev6 bisect` over real commits with git's own bisection; what comes of a build is a fake, and each is counted."""

from __future__ import annotations

import re
import subprocess
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import pytest

from configs.errors import KubeV6Error, NodeError
from configs.manifest import BinaryEntry, Manifest, SourceEntry
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from kubev6.cli import bisect, main
from tasks import deployed
from tasks.kubernetes.checks import Check
from tasks.kubernetes.judge import Tried
from tasks.kubernetes.upgrade import PutBackError
from tasks.paths import cache_dir
from tasks.release import build, choose
from tasks.release.compile import CompileError
from tasks.release.series import series_file, working_tree
from tests.fakes import substitute
from tests.integration.git_project import BEN, Project

pytestmark = pytest.mark.usefixtures("own_data")
MANY = 16
HOLDS = Tried(checks=(Check("Service", "kube-worker-1", "[fd00:1234::7]", True, "fetched"),))
FAILS = Tried(
    errors=(
        NodeError("lab", "proof after the upgrade", "Service from kube-worker-1 to [fd00:1234::7]: timed out"),
        PutBackError("cluster lab was put back to what it ran before, and its proof holds"),
    )
)
DOES_NOT_COMPILE = Tried(errors=(CompileError("compiling failed: proxy.go:7:2: undefined: x"),))
UNREACHABLE = Tried(errors=(NodeError("kube-worker-1", "connect", "no route to host", transient=True),))


def cluster_runs(commit: str) -> None:
    manifest = Manifest(
        name="debian-1.20-dev",
        version="v1.20.2+kubev6.working-tree",
        key="0" * 64,
        created="now",
        source=SourceEntry(kind="built", origin="here", commit=commit),
        binaries=(BinaryEntry(name="kubelet", sha256="0" * 64, size=1),),
        images=(),
    )
    deployed.remember(load_cluster("lab"), manifest, load_release("debian-1.20"), proved=True)


class Builds:
    """What comes of a commit on the cluster: by a file of it. Each is counted."""

    def __init__(self, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
        self.project, self._capsys = project, capsys
        self.tried: list[str] = []
        self.stopped_after = 1000

    def brought(self, args: Namespace, cluster: Cluster, given: Sequence[str]) -> tuple[str, Tried]:  # noqa: ARG002
        if len(self.tried) == self.stopped_after:
            raise KeyboardInterrupt
        source, *_, commit = given
        there_is = Project(Path(source)).git
        self.tried.append(there_is("show", "--format=%s", "--no-patch", commit))
        there = there_is("ls-tree", "--name-only", commit).split()
        run = f"run-of-{commit[:7]}"
        if "unreachable" in there:
            return run, UNREACHABLE
        if "uncompilable" in there:
            return run, DOES_NOT_COMPILE
        if "fault" in there:
            return run, FAILS
        cluster_runs(commit)
        return run, HOLDS

    def bisect(self, good: str, bad: str, *more: str) -> tuple[int, list[str], str]:
        """The command: its status, lines and errors."""
        return self.run(good, bad, "--source", str(self.project.path), *more)

    def run(self, *words: str) -> tuple[int, list[str], str]:
        """The same with other words."""
        status = main(["bisect", *words])
        told = self._capsys.readouterr()
        return status, told.out.splitlines(), " ".join(told.err.split())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "kubernetes")
    made.commit("base", {"cmd/kubelet/main.go": "package main\n"})
    made.git("tag", "base")
    return made


@pytest.fixture
def builds(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Builds:
    found = Builds(project, capsys)
    substitute(monkeypatch, bisect, "_brought", found.brought)
    cluster_runs("")
    return found


def commits(project: Project, fault: int, others: dict[int, dict[str, str | None]] | None = None) -> list[str]:
    """Some commits on the base, of which one brings the fault."""
    made = []
    for number in range(1, MANY + 1):
        files: dict[str, str | None] = {"proxy.go": f"package proxy // {number}\n", **(others or {}).get(number, {})}
        if number == fault:
            files["fault"] = ""
        made.append(project.commit(f"commit {number}", files, author=BEN))
    return made


def short(commit: str) -> str:
    return commit[:12]


@pytest.mark.parametrize("fault", range(1, MANY + 1))
def test_a_fault_among_sixteen_commits_is_found_in_at_most_five_builds(
    project: Project, builds: Builds, fault: int
) -> None:
    made = commits(project, fault)
    before = project.git("for-each-ref"), project.git("status", "--porcelain")

    status, lines, _ = builds.bisect("base", "master")

    assert status == 0
    assert len(builds.tried) <= 5
    assert builds.tried[0] == f"commit {MANY}", "the bad one is tried first"
    assert re.match(rf"bad     {short(made[-1])} commit 16 \(\d+ s; the last of 16 commits\)$", lines[0])
    assert re.match(
        r"(good|bad)\s+\w{12} commit 8 \(\d+ s; 7 revisions left to test after this \(roughly 3 steps", lines[1]
    )
    (told,) = (line for line in lines if "is the first bad commit" in line)
    first = made[fault - 1]
    assert told.startswith(
        f'{short(first)} "commit {fault}" by Ben Ünal <ben@example.org> is the first bad commit by the proof: lab: '
        f"proof after the upgrade: Service from kube-worker-1 to [fd00:1234::7]: timed out; "
        f"the report is drawn by `kubev6 report run-of-{first[:7]}`"
    )
    if fault > 1:
        parent = made[fault - 2]
        assert told.endswith(f"and of its parent `kubev6 report run-of-{parent[:7]}`")
        assert lines[-1] == f'Cluster lab runs {short(parent)} "commit {fault - 1}", the last good one.'
    else:
        base = short(project.git("rev-parse", "base"))
        assert told.endswith("its parent was not tried")
        assert lines[-2] == (
            f"GOOD ({base}) was not tried, and no other commit was good; `kubev6 bisect {base}~1 {base}` tries it."
        )
        assert lines[-1] == "Cluster lab runs what it ran before."
    assert (project.git("for-each-ref"), project.git("status", "--porcelain")) == before
    assert not list((project.path / ".git").glob("BISECT*"))


def test_one_that_is_stopped_goes_on_where_it_was_and_another_pair_begins_another(
    project: Project, builds: Builds
) -> None:
    made = commits(project, 11)
    builds.stopped_after = 2
    status, lines, said = builds.bisect("base", "master")
    assert (status, len(lines)) == (130, 2)
    assert "running it again goes on from here" in said

    builds.stopped_after = 1000
    status, lines, _ = builds.bisect("base", "HEAD")
    assert status == 0
    assert lines[0] == "Goes on where it was: 2 commits judged before (--restart begins anew)."
    assert short(made[10]) in lines[-2]
    assert len(builds.tried) == len(set(builds.tried)) <= 5

    done = len(builds.tried)
    status, lines, _ = builds.bisect("base", "master")
    assert (status, len(builds.tried)) == (0, done), "what is known is told again without a build"
    assert short(made[10]) in lines[-2]
    status, lines, _ = builds.bisect("base", "master", "--restart")
    assert (status, len(builds.tried)) == (0, 2 * done)
    builds.bisect("base~0", "master~1")
    assert builds.tried[2 * done] == "commit 15"
    assert len(list((cache_dir() / "git").glob("bisect.*"))) == 2


def test_what_fails_of_the_machines_is_no_verdict_and_is_tried_again(project: Project, builds: Builds) -> None:
    made = commits(project, 5, {8: {"unreachable": ""}, 9: {"unreachable": None}})
    status, lines, said = builds.bisect("base", "master")
    assert status == 1
    assert [line.split()[0] for line in lines] == ["bad", "unknown"]
    assert (
        f'commit {short(made[7])} "commit 8" could not be judged: kube-worker-1: connect: no route to host; mend'
        in said
    )

    builds.bisect("base", "master")
    assert builds.tried == ["commit 16", "commit 8", "commit 8"], "the same again, and nothing else"


def test_a_commit_that_does_not_compile_is_skipped(project: Project, builds: Builds) -> None:
    made = commits(project, 11, {8: {"uncompilable": ""}, 9: {"uncompilable": None}})
    status, lines, _ = builds.bisect("base", "master")
    assert status == 0
    assert f"skip    {short(made[7])} commit 8 " in "\n".join(lines)
    assert f'{short(made[10])} "commit 11"' in lines[-2]
    assert len(builds.tried) <= 7


def test_where_only_such_commits_are_left_all_that_it_may_be_are_named(project: Project, builds: Builds) -> None:
    made = commits(project, 9, {7: {"uncompilable": ""}, 11: {"uncompilable": None}})
    status, lines, _ = builds.bisect("base", "master")
    assert status == 1
    at = lines.index("The first bad commit is one of 5, of which git can tell no more:")
    assert {line.split()[0] for line in lines[at + 1 : at + 6]} == {short(commit) for commit in made[6:11]}
    assert "skip, compiling failed: proxy.go:7:2: undefined: x" in "\n".join(lines[at:])
    assert lines[-1] == f'Cluster lab runs {short(made[5])} "commit 6", the last good one.'


def test_a_fault_that_was_merged_is_found_on_its_own_branch(project: Project, builds: Builds) -> None:
    project.git("checkout", "--quiet", "-b", "topic")
    for number in range(4):
        files: dict[str, str | None] = {f"topic-{number}.go": "", **({"fault": ""} if number == 2 else {})}
        project.commit(f"topic {number}", files)
    project.git("checkout", "--quiet", "master")
    for number in range(4):
        project.commit(f"master {number}", {f"master-{number}.go": ""})
    project.git("merge", "--quiet", "--no-ff", "-m", "merge topic", "topic")
    project.commit("after", {"after.go": ""})

    status, lines, _ = builds.bisect("base", "master")

    assert status == 0
    assert '"topic 2" by' in lines[-2]
    assert len(builds.tried) <= 5


@pytest.mark.parametrize("is_shallow", [False, True])
def test_the_patches_of_a_series_are_searched_from_its_base_on(
    project: Project, builds: Builds, tmp_path: Path, is_shallow: bool
) -> None:
    """Where their repository is on this machine it is not copied, and there is no more of its history than it has."""
    project.commit("the base", {"other.go": ""})
    patches = commits(project, 6)
    project.git("checkout", "--quiet", "-b", "now", "base")
    project.commit("newer base", {"b.go": ""})
    remote = tmp_path / "remote"
    how = ["--depth=1", "--branch=now"] if is_shallow else ["--no-local"]
    subprocess.run(["git", "clone", "--quiet", *how, project.path.as_uri(), remote], check=True, capture_output=True)
    file = tmp_path / "mine.yaml"
    named = "".join(f"  - {{remote: theirs, commit: {patch}}}\n" for patch in patches)
    base = project.git("rev-parse", "now")
    places = f"remotes: {{mine: {remote}, theirs: {project.path}}}\nbase: {{remote: mine, commit: {base}}}\n"
    file.write_text(f"{places}patches:\n{named}")

    status, lines, said = builds.run("--series", str(file), "--no-progress")

    assert status == 0, said
    assert re.search(r'\w{12} "commit 6" by Ben Ünal <ben@example.org> is the first bad commit by the proof', lines[-2])
    assert lines[-1].endswith('"commit 5", the last good one.')
    assert len(builds.tried) <= 5
    done = len(builds.tried)
    assert builds.run("--series", str(file), "--no-progress")[1][-2] == lines[-2]
    assert len(builds.tried) == done
    file.write_text(f"{places}patches: []\n")
    assert "series mine has no patch to be searched" in builds.run("--series", str(file), "--no-progress")[2]


@pytest.mark.parametrize(
    "words", [(), ("a", "b"), ("a", "--source", "."), ("a", "b", "--source", ".", "--series", "s")]
)
def test_what_is_searched_has_to_be_said_in_one_way(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bisect", *words])


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, r'BAD, which is \w{12} "last", holds the proof; name a commit that compiles and with which'),
        ({"uncompilable": ""}, r'BAD, which is \w{12} "last", cannot be judged: compiling failed: proxy.go:7:2'),
    ],
)
def test_where_the_bad_one_is_not_bad_nothing_is_searched(
    project: Project, builds: Builds, files: dict[str, str | None], why: str
) -> None:
    for number in range(4):
        project.commit(f"commit {number}", {"proxy.go": str(number)})
    project.commit("last", files)
    status, _, said = builds.bisect("base", "master")
    assert (status, builds.tried) == (1, ["last"])
    assert re.search(why, said)
    builds.bisect("base", "master")
    assert builds.tried == ["last", "last"], "what was wrong with it may be mended by then"


def test_what_cannot_be_searched_is_refused_before_anything_is_built(
    project: Project, builds: Builds, tmp_path: Path
) -> None:
    commits(project, 3)
    project.git("branch", "other", "base")
    project.git("checkout", "--quiet", "other")
    project.commit("elsewhere", {"b.go": ""})
    for good, bad, why in (
        ("master", "base", "master and base: the first is not in the history of the second; `git -C"),
        ("other", "master", "other and master: the first is not in the history of the second"),
        ("base", "base^0", "base and base^0 are one commit, "),
        ("nothing", "master", "kubernetes has no commit nothing; name a commit, a tag or a branch that is there"),
        ("base", "master:cmd", "kubernetes has no commit master:cmd"),
    ):
        status, lines, said = builds.bisect(good, bad)
        assert (status, lines) == (1, [])
        assert why in said

    shallow, partial = tmp_path / "shallow", tmp_path / "partial"
    for place, how in ((shallow, "--depth=2"), (partial, "--filter=blob:none")):
        subprocess.run(
            ["git", "clone", "--quiet", "--branch=master", how, project.path.as_uri(), place],
            check=True,
            capture_output=True,
        )
    builds.project = Project(shallow)
    assert "shallow is a shallow clone" in builds.bisect("HEAD~1", "HEAD")[2]
    builds.project = Project(partial)
    assert "partial is a partial clone" in builds.bisect("HEAD~1", "HEAD")[2]

    builds.project = project
    deployed.forget(load_cluster("lab"))
    assert "cluster lab runs nothing that held its proof" in builds.bisect("base", "master")[2]
    assert builds.tried == []


def test_what_was_judged_and_cannot_be_read_any_more_is_one_line(project: Project, builds: Builds) -> None:
    commits(project, 3)
    builds.stopped_after = 1
    builds.bisect("base", "master")
    (kept,) = (cache_dir() / "git").glob("bisect.*/judged.json")
    kept.write_text("{")
    assert re.search(
        r"judged\.json cannot be understood: .*; --restart begins anew$", builds.bisect("base", "master")[2]
    )
    builds.stopped_after = 1000
    assert builds.bisect("base", "master", "--restart")[0] == 0


def test_a_commit_is_taken_as_it_is_whatever_stands_in_the_tree(project: Project) -> None:
    old = project.git("rev-parse", "base")
    project.commit("newer", {"cmd/kubelet/main.go": "package main // newer\n"})
    (project.path / "cmd/kubelet/main.go").write_text("package main // not committed\n")
    release = choose.working_tree(load_cluster("lab"), str(project.path), "", old).release
    source = build.obtain_source(release, {}, "")
    assert (source.base, source.origin) == (old, str(project.path))
    picked = build.pick_series(release, source, "")
    assert (picked.commit, picked.tree) == (old, project.git("rev-parse", "base^{tree}"))
    assert working_tree.identity(series_file.working_tree(project.path, old)) == picked.tree
    with pytest.raises(KubeV6Error, match=f"kubernetes has no commit {'0' * 40}; name one that"):
        working_tree.obtain(series_file.working_tree(project.path, "0" * 40))
