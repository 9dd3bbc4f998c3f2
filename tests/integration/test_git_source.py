"""Series of commits from servers, repositories and bundles: what is fetched, what need not be, what is refused."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from configs.errors import ConfigError, KubeV6Error
from tasks import scope
from tasks.events import Bus, Event, StepProgressed
from tasks.release.series import git_fetch, git_source, series, series_file
from tasks.release.series.check_out import check_out
from tasks.release.series.repository import open_repository, read_commit
from tasks.release.series.series import ConflictError, Picked
from tasks.release.series.series_file import GitSeries
from tests.fakes import substitute
from tests.integration.git_project import BEN, Project, served

FILES: dict[str, str | None] = {
    "net/proxy.go": "".join(f"line {number}\n" for number in range(30)),
    "net/other.go": "untouched\n",
    "dns/manifest.go": "image: gcr.io/dns\n",
    "docs/readme.md": "documentation\n",
    "run.sh": "#!/bin/sh\nimage=fork/dns\n",
}
PROXY = FILES["net/proxy.go"] or ""


class Upstream:
    """A project with history, a fork of it, and a pull request.

    Attributes:
        project: The project.
        fork: The fork, which has two commits of its own on an older base.
        base: Commit id in the middle of the project's history.
        patches: Ids of the fork's commits.
        pull: Id of the pull request's head.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.project = Project(root / "project")
        self.first = self.project.commit("first", {**FILES, "old.txt": "old\n"})
        for number in range(40):
            self.project.commit(f"work {number}", {"log.txt": f"{number}\n"})
        fork_point = self.project.git("rev-parse", "HEAD")
        self.base = self.project.commit("the base", {"log.txt": "base\n"})
        self.fork = Project(root / "fork")
        self.fork.git("fetch", "--quiet", str(self.project.path), fork_point)
        self.fork.git("reset", "--quiet", "--hard", fork_point)
        self.patches = (
            self.fork.commit("IPv6 for the proxy", {"net/proxy.go": PROXY.replace("line 3\n", "LINE 3\n")}, author=BEN),
            self.fork.commit("More of it", {"net/proxy.go": PROXY.replace("line 3\n", "LINE 3\nnew\n")}, author=BEN),
        )
        self.project.git("checkout", "--quiet", "-b", "proposal", fork_point)
        self.pull = self.project.commit("A pull request", {"net/proxy.go": PROXY.replace("line 25\n", "LINE 25\n")})
        self.project.git("update-ref", "refs/pull/7/head", self.pull)
        self.project.git("checkout", "--quiet", "master")
        self.project.git("branch", "-D", "proposal")
        for number in range(3):
            self.project.commit(f"later {number}", {"log.txt": f"later {number}\n"})


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Upstream:
    return Upstream(tmp_path_factory.mktemp("made") / "git")


@pytest.fixture
def upstream(_made: Upstream, tmp_path: Path) -> Upstream:
    """Repositories of the test's own."""
    shutil.copytree(_made.root, tmp_path / "git")
    copy = object.__new__(Upstream)
    copy.__dict__.update(_made.__dict__)
    copy.root, copy.project, copy.fork = (
        tmp_path / "git",
        Project(tmp_path / "git/project"),
        Project(tmp_path / "git/fork"),
    )
    return copy


@pytest.fixture
def server(upstream: Upstream) -> Iterator[str]:
    with served(upstream.root) as address:
        yield address


@pytest.fixture(autouse=True)
def _own(own_data: Path) -> Path:
    return own_data


def write_series(root: Path, remotes: dict[str, str], base: str, *patches: str, more: str = "") -> GitSeries:
    """A series file; each patch is ``remote commit`` and whatever keys follow."""
    lines = ["remotes:", *(f"  {name}: {url}" for name, url in remotes.items())]
    lines += [f"base: {{remote: up, commit: '{base}'}}", "patches:"]
    for patch in patches:
        remote, commit, *keys = patch.split(" ", 2)
        lines.append(f"  - {{remote: {remote}, commit: '{commit}'{', ' + keys[0] if keys else ''}}}")
    path = root / "demo.yaml"
    path.write_text("\n".join([*lines, *(["  []"] if not patches else []), more]) + "\n")
    found = series_file.load(path)
    assert isinstance(found, GitSeries)
    return found


def both(upstream: Upstream, where: str | Path, root: Path) -> GitSeries:
    remotes = {"up": f"{where}/project", "fork": f"{where}/fork"}
    return write_series(root, remotes, upstream.base, *(f"fork {commit}" for commit in upstream.patches))


def picked(wanted: GitSeries, **sources: str) -> Picked:
    return series.pick(wanted, git_source.obtain(wanted, sources=sources))


def commits_in(repository: Path) -> set[str]:
    return Project(repository).objects()


def by_hand(upstream: Upstream, base: str, *commits: str) -> str:
    """The tree that git cherry-pick gives."""
    upstream.project.git("fetch", "--quiet", str(upstream.fork.path))
    upstream.project.git("checkout", "--quiet", "--detach", base)
    upstream.project.git("cherry-pick", *commits)
    return upstream.project.git("rev-parse", "HEAD^{tree}")


def test_commits_of_several_servers_are_picked_in_order_with_author_and_date(
    upstream: Upstream, server: str, tmp_path: Path
) -> None:
    remotes = {"up": f"{server}/project", "fork": f"{server}/fork"}
    patches = (f"fork {upstream.patches[0]}", f"up {upstream.pull} pull_request: 7", f"fork {upstream.patches[1]}")
    wanted = write_series(tmp_path, remotes, upstream.base, *patches)
    source = git_source.obtain(wanted)

    result = series.pick(wanted, source)

    assert [entry.title for entry in result.patches] == ["IPv6 for the proxy", "A pull request", "More of it"]
    assert [entry.author for entry in result.patches][:2] == [
        "Ben Ünal <ben@example.org>",
        "Ann Example <ann@example.org>",
    ]
    assert [entry.pull_request for entry in result.patches] == [None, 7, None]
    repo = source.open()
    commit = read_commit(repo, result.commit)
    original = read_commit(repo, upstream.patches[1])
    assert (commit.author, commit.message) == (
        original.author,
        f"More of it\n\nWhy.\n\n(cherry picked from commit {upstream.patches[1]})\n",
    )
    assert commit.committed == read_commit(repo, upstream.base).committed == source.timestamp
    assert result.tree == by_hand(upstream, upstream.base, upstream.patches[0], upstream.pull, upstream.patches[1])


def test_only_the_commits_and_their_parents_are_fetched(upstream: Upstream, server: str, tmp_path: Path) -> None:
    bus, told = Bus(), list[Event]()
    with scope.holding(bus), bus.heard_by(told.append):
        source = git_source.obtain(both(upstream, server, tmp_path))

    progress = [event for event in told if isinstance(event, StepProgressed)]
    counted = next(event for event in progress if event.text.startswith("Receiving objects: 100%"))
    assert (counted.subject, counted.title) == ("demo", "commits")
    assert counted.done == counted.total > 0
    fork_point = upstream.project.git("rev-parse", f"{upstream.base}^")
    assert commits_in(source.repository) == {upstream.base, *upstream.patches, fork_point}


def test_locks_that_a_killed_git_has_left_hold_up_nobody(upstream: Upstream, server: str, tmp_path: Path) -> None:
    """A git that finds one waits for who has it, and gives up; our own repository is locked as a whole."""
    base = write_series(tmp_path, {"up": f"{server}/project"}, upstream.base)
    own = git_source.obtain(base).repository / ".git"
    for name in ("shallow", "packed-refs", *(f"{git_fetch.FETCHED}/{commit}" for commit in upstream.patches)):
        (own / f"{name}.lock").touch()
    assert len(picked(both(upstream, server, tmp_path)).patches) == 2


def test_what_is_here_is_not_fetched_again(upstream: Upstream, tmp_path: Path) -> None:
    with served(upstream.root) as address:
        wanted = both(upstream, address, tmp_path)
        first = picked(wanted)

    assert picked(wanted) == first


def test_what_is_here_is_fetched_anew_when_that_is_asked_for_and_only_then_replaced(
    upstream: Upstream, server: str, tmp_path: Path
) -> None:
    wanted = both(upstream, server, tmp_path)
    before = git_source.obtain(wanted)
    damaged = before.repository / ".git" / "damaged"
    damaged.write_text("x")
    assert git_source.obtain(wanted, force=True) == before
    assert not damaged.exists()
    assert commits_in(before.repository) >= {upstream.base, *upstream.patches}
    assert [path.name for path in before.repository.parent.iterdir() if path.is_dir()] == [before.repository.name]

    for project in (upstream.project, upstream.fork):
        shutil.rmtree(project.path)
    with pytest.raises(KubeV6Error):
        git_source.obtain(wanted, force=True)
    assert git_source.obtain(wanted) == before


def test_the_same_series_gives_the_same_ids_wherever_it_comes_from(
    upstream: Upstream, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = picked(both(upstream, server, tmp_path))

    settings = tmp_path / "gitconfig"
    settings.write_text(
        "[user]\n name = Somebody\n[core]\n autocrlf = true\n[commit]\n gpgSign = true\n"
        "[i18n]\n commitEncoding = latin1\n"
        "[merge]\n conflictStyle = zdiff3\n renames = false\n[diff]\n algorithm = patience\n"
    )
    monkeypatch.setenv("KUBEV6_CACHE", str(tmp_path / "another cache"))
    for name, value in {"GIT_CONFIG_GLOBAL": str(settings), "TZ": "Asia/Tokyo", "LC_ALL": "C"}.items():
        monkeypatch.setenv(name, value)
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.setenv(name, str(tmp_path / "not-this-one"))

    assert picked(both(upstream, upstream.root, tmp_path)) == fetched


@pytest.fixture
def only_refs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers hand out nothing but what refs point at, as under git's first protocol."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "protocol.version")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "0")


@pytest.mark.usefixtures("only_refs")
def test_a_server_that_hands_out_only_refs_is_asked_for_as_much_history_as_it_takes(
    upstream: Upstream, server: str, tmp_path: Path
) -> None:
    source = git_source.obtain(both(upstream, server, tmp_path))

    found = commits_in(source.repository)
    assert {upstream.base, *upstream.patches} <= found
    assert upstream.first not in found
    assert len(found) < 25


@pytest.mark.usefixtures("only_refs")
def test_a_commit_is_found_in_the_history_of_its_pull_request(upstream: Upstream, server: str, tmp_path: Path) -> None:
    upstream.project.git("checkout", "--quiet", upstream.pull)
    upstream.project.git("update-ref", "refs/pull/7/head", upstream.project.commit("fixup", {"x": "x\n"}))
    remotes = {"up": f"{server}/project"}
    wanted = write_series(tmp_path, remotes, upstream.base, f"up {upstream.pull} pull_request: 7")

    assert [entry.fate for entry in picked(wanted).patches] == ["applied"]


def test_an_abbreviated_id_is_found_where_a_ref_leads_to_it(upstream: Upstream, server: str, tmp_path: Path) -> None:
    upstream.fork.git("tag", "-a", "-m", "release", "v1")
    remotes = {"up": f"{server}/project", "fork": f"{{url: {server}/fork, refs: [refs/tags/v1, refs/tags/none]}}"}
    short = (f"fork {commit[:10]}" for commit in upstream.patches)
    wanted = write_series(tmp_path, remotes, upstream.patches[0][:9], *short)

    # The base is found too, on the way to the patches, although nothing leads to it in its own remote.
    result = picked(wanted)

    assert result.base == upstream.patches[0]
    assert [entry.fate for entry in result.patches] == ["already upstream", "applied"]


def test_an_abbreviated_id_that_no_ref_leads_to_is_refused(upstream: Upstream, server: str, tmp_path: Path) -> None:
    wanted = write_series(tmp_path, {"up": f"{server}/project"}, upstream.base[:10])

    with pytest.raises(KubeV6Error, match=f"does not have commit {upstream.base[:10]}.*abbreviated") as caught:
        git_source.obtain(wanted)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["server", "repository", "bundle"])
def test_a_commit_that_a_source_lacks_is_one_line(upstream: Upstream, server: str, tmp_path: Path, where: str) -> None:
    upstream.fork.git("bundle", "create", "--quiet", "../fork.bundle", "master")
    place = {
        "server": f"{server}/fork",
        "repository": str(upstream.fork.path),
        "bundle": f"{upstream.root}/fork.bundle",
    }
    remotes = {"up": f"{server}/project", "fork": place[where]}
    absent = "fork " + "ab" * 20 + " title: Not there"
    wanted = write_series(tmp_path, remotes, upstream.base, f"fork {upstream.patches[0]}", absent)

    with pytest.raises(KubeV6Error) as caught:
        git_source.obtain(wanted)

    assert f"patches[1]: remote fork ({place[where]}) does not have commit {'ab' * 20} (Not there)" in str(caught.value)
    assert "--source fork=" in caught.value.todo
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["server", "repository", "bundle"])
def test_a_ref_has_to_be_at_the_pinned_commit(upstream: Upstream, server: str, tmp_path: Path, where: str) -> None:
    upstream.fork.git("bundle", "create", "--quiet", "../fork.bundle", "master")
    place = {
        "server": f"{server}/fork",
        "repository": str(upstream.fork.path),
        "bundle": f"{upstream.root}/fork.bundle",
    }
    remotes = {"up": str(upstream.project.path), "fork": place[where]}
    first, second = upstream.patches
    pinned = write_series(tmp_path, remotes, upstream.base, f"fork {first}", f"fork {second} ref: master")
    assert len(picked(pinned).patches) == 2

    moved = write_series(tmp_path, remotes, upstream.base, f"fork {first} ref: master")
    with pytest.raises(KubeV6Error, match=f"master of remote fork .* has moved: .*pins {first}, and it is at {second}"):
        git_source.obtain(moved)
    gone = write_series(tmp_path, remotes, upstream.base, f"fork {first} ref: topic")
    with pytest.raises(KubeV6Error, match=r"patches\[0\]: remote fork .* has no ref topic"):
        git_source.obtain(gone)


def test_a_pull_request_that_moved_is_refused_although_its_commit_is_here(
    upstream: Upstream, server: str, tmp_path: Path
) -> None:
    patch = f"up {upstream.pull} ref: refs/pull/7/head"
    wanted = write_series(tmp_path, {"up": f"{server}/project"}, upstream.base, patch)
    picked(wanted)
    upstream.project.git("update-ref", "refs/pull/7/head", upstream.first)

    with pytest.raises(KubeV6Error, match=f"pins {upstream.pull}, and it is at {upstream.first}"):
        picked(wanted)


def test_a_server_that_is_not_there_is_one_line(upstream: Upstream, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"git://127.0.0.1:{probe.getsockname()[1]}"

    with pytest.raises(KubeV6Error, match=r"remote up \(git://.*could not be fetched from: .*refused") as caught:
        git_source.obtain(both(upstream, address, tmp_path))

    assert caught.value.transient
    assert "\n" not in str(caught.value)


def test_a_server_that_says_nothing_is_given_up(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    substitute(monkeypatch, git_fetch, "STALL", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"git://127.0.0.1:{silent.getsockname()[1]}"
        accepted: list[object] = []
        threading.Thread(target=lambda: accepted.append(silent.accept()), daemon=True).start()

        with pytest.raises(KubeV6Error, match=r"remote up .*: said nothing for") as caught:
            git_source.obtain(both(upstream, address, tmp_path))

    assert caught.value.transient


def test_a_repository_on_this_machine_is_not_copied(upstream: Upstream, tmp_path: Path) -> None:
    wanted = both(upstream, upstream.root, tmp_path)
    source = git_source.obtain(wanted)
    assert commits_in(source.repository) == set()

    result = series.pick(wanted, source)

    assert result.tree == by_hand(upstream, upstream.base, *upstream.patches)
    place = check_out(result, source)
    assert (place / "net" / "proxy.go").read_text() == PROXY.replace("line 3\n", "LINE 3\nnew\n")
    assert (place / "docs" / "readme.md").read_text() == "documentation\n"


def test_a_repository_of_somebody_else_is_read_whatever_the_user_has_configured(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gitconfig").write_text("[no section that git can read\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "not-this-one"))
    for path in (upstream.fork.path, *upstream.fork.path.rglob("*")):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    remotes = {"up": str(upstream.project.path), "fork": str(upstream.fork.path)}
    wanted = write_series(tmp_path, remotes, upstream.base, f"fork {upstream.patches[0]}")
    pinned = write_series(tmp_path, remotes, upstream.base, f"fork {upstream.patches[1]} ref: master")

    assert [entry.fate for entry in picked(wanted).patches] == ["applied"]
    assert git_source.obtain(pinned).borrowed


def test_another_place_takes_that_of_the_series_file(upstream: Upstream, tmp_path: Path) -> None:
    wanted = both(upstream, "git://127.0.0.1:9", tmp_path)
    linked = upstream.root / "linked"
    upstream.fork.git("worktree", "add", "--quiet", str(linked))

    result = picked(wanted, up=upstream.project.path.as_uri(), fork=str(linked))

    assert result.tree == by_hand(upstream, upstream.base, *upstream.patches)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("other=/x", r"--source other=\.\.\.: series demo has no remote 'other'; its remotes are up, fork"),
        ("up={root}/nowhere", r"remote up: there is no .*/nowhere"),
        ("up={root}/project/net", r"remote up: .*/net is no git repository"),
        ("up={root}/project/run.sh", r"remote up: .*/run\.sh is a file and no git bundle"),
    ],
)
def test_a_place_that_cannot_be_is_refused(upstream: Upstream, tmp_path: Path, given: str, says: str) -> None:
    remote, place = given.format(root=upstream.root).split("=")

    with pytest.raises(KubeV6Error, match=says) as caught:
        git_source.obtain(both(upstream, upstream.root, tmp_path), sources={remote: place})
    assert "\n" not in str(caught.value)


def test_a_bundle_may_build_upon_what_another_remote_has(upstream: Upstream, server: str, tmp_path: Path) -> None:
    bundle = upstream.root / "fork.bundle"
    upstream.fork.git("bundle", "create", "--quiet", str(bundle), f"{upstream.patches[0]}~1..master")
    wanted = both(upstream, upstream.root, tmp_path)

    assert picked(wanted, fork=str(bundle)).tree == by_hand(upstream, upstream.base, *upstream.patches)
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(KubeV6Error, match=f"builds upon commit {upstream.patches[0][:4]}|builds upon commit") as caught:
        picked(wanted, up=f"{server}/project", fork=str(bundle))
    assert "\n" not in str(caught.value)


def test_a_damaged_bundle_is_one_line_and_leaves_nothing(upstream: Upstream, tmp_path: Path) -> None:
    bundle = upstream.root / "fork.bundle"
    upstream.fork.git("bundle", "create", "--quiet", str(bundle), "master")
    whole = bundle.read_bytes()
    bundle.write_bytes(whole[: len(whole) // 2])
    wanted = both(upstream, upstream.root, tmp_path)

    with pytest.raises(KubeV6Error, match=r"remote fork .*fork\.bundle\): cannot be unpacked: ") as caught:
        picked(wanted, fork=str(bundle))
    assert "\n" not in str(caught.value)
    bundle.write_bytes(whole)
    assert len(picked(wanted, fork=str(bundle)).patches) == 2


def loose(project: Project, name: str) -> Path:
    """The file of an object that is stored by itself."""
    found = project.git("rev-parse", name)
    return project.path / ".git" / "objects" / found[:2] / found[2:]


@pytest.mark.parametrize("name", ["docs/readme.md", "net/other.go", "docs", "run.sh"])
def test_an_object_that_is_missing_elsewhere_does_not_matter(upstream: Upstream, tmp_path: Path, name: str) -> None:
    base = upstream.project.commit("otherwise", {"net/proxy.go": PROXY.replace("line 9\n", "LINE 9\n")})
    expected = by_hand(upstream, base, upstream.pull)
    loose(upstream.project, f"{base}:{name}").unlink()
    wanted = write_series(tmp_path, {"up": str(upstream.project.path)}, base, f"up {upstream.pull}")

    assert picked(wanted).tree == expected


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: (path.chmod(0o600), path.write_bytes(b"rot"))])
def test_a_missing_or_damaged_object_that_a_patch_touches_is_named(
    upstream: Upstream, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    base = upstream.project.commit("otherwise", {"net/proxy.go": PROXY.replace("line 9\n", "LINE 9\n")})
    touched = loose(upstream.project, f"{upstream.pull}:net/proxy.go")
    wanted = write_series(tmp_path, {"up": str(upstream.project.path)}, base, f"up {upstream.pull}")
    spoil(touched)

    name = touched.parent.name + touched.name
    with pytest.raises(KubeV6Error, match=f"'A pull request'.*object {name} is missing or damaged") as caught:
        picked(wanted)
    assert "\n" not in str(caught.value)


def test_a_partial_clone_whose_origin_is_gone_does_not_stop_it(upstream: Upstream, tmp_path: Path) -> None:
    partial = Project(upstream.root / "partial")
    partial.git("remote", "add", "origin", upstream.project.path.as_uri())
    partial.git("fetch", "--quiet", "--filter=blob:none", "origin", "master", "refs/pull/7/head")
    for commit in (upstream.base, upstream.pull, f"{upstream.pull}^"):
        partial.git("cat-file", "blob", f"{commit}:net/proxy.go")  # brings the three that are merged
    expected = by_hand(upstream, upstream.base, upstream.pull)
    wanted = write_series(tmp_path, {"up": str(partial.path)}, upstream.base, f"up {upstream.pull}")
    shutil.rmtree(upstream.project.path)

    source = git_source.obtain(wanted)
    result = series.pick(wanted, source)

    assert result.tree == expected
    with pytest.raises(
        KubeV6Error, match=r"cannot be checked out from partial .*: object [0-9a-f]{40} is missing"
    ) as caught:
        check_out(result, source)
    assert "\n" not in str(caught.value)


def test_a_shallow_clone_is_enough_when_it_holds_the_parents(upstream: Upstream, tmp_path: Path) -> None:
    for depth in (1, 2):
        clone = upstream.root / f"shallow-{depth}"
        clone.mkdir()
        subprocess.run(["git", "init", "--quiet", str(clone)], check=True)
        shallow = Project(clone)
        shallow.git("fetch", "--quiet", f"--depth={depth}", upstream.project.path.as_uri(), "refs/pull/7/head")
        wanted = write_series(tmp_path, {"up": str(clone)}, upstream.pull, f"up {upstream.pull}")
        if depth == 1:
            with pytest.raises(KubeV6Error, match="which it builds upon, is not: it is shallow or damaged there"):
                picked(wanted)
        else:
            assert [entry.fate for entry in picked(wanted).patches] == ["already upstream"]


def test_a_file_that_the_base_has_renamed_is_followed(upstream: Upstream, tmp_path: Path) -> None:
    upstream.project.git("mv", "net/proxy.go", "net/iptables.go")
    renamed = upstream.project.commit("moved", {"net/iptables.go": PROXY.replace("line 9\n", "LINE 9\n")})
    wanted = write_series(tmp_path, {"up": str(upstream.project.path)}, renamed, f"up {upstream.pull}")

    source = git_source.obtain(wanted)
    result = series.pick(wanted, source)

    content = read_file(open_repository(source.repository, borrowed=source.borrowed), f"{result.tree}:net/iptables.go")
    assert content == PROXY.replace("line 9\n", "LINE 9\n").replace("line 25\n", "LINE 25\n")
    assert result.tree == by_hand(upstream, renamed, upstream.pull)


def read_file(repo: object, name: str) -> str:
    return str(repo.git.cat_file("blob", name, strip_newline_in_stdout=False))  # type: ignore[attr-defined]


def test_what_the_base_has_already_is_dropped(upstream: Upstream, tmp_path: Path) -> None:
    base = upstream.project.commit("squashed", {"net/proxy.go": PROXY.replace("line 3\n", "LINE 3\n")})
    wanted = write_series(
        tmp_path,
        {"up": str(upstream.project.path), "fork": str(upstream.fork.path)},
        base,
        *(f"fork {commit}" for commit in upstream.patches),
    )

    assert [(entry.fate, bool(entry.commit)) for entry in picked(wanted).patches] == [
        ("already upstream", False),
        ("applied", True),
    ]


def test_a_conflict_shows_both_sides_and_leaves_nothing(upstream: Upstream, tmp_path: Path) -> None:
    base = upstream.project.commit(
        "otherwise", {"net/proxy.go": PROXY.replace("line 25\n", "LÍNEA 25\n"), "run.sh": None}
    )
    remotes = {"up": str(upstream.project.path)}
    wanted = write_series(tmp_path, remotes, base, f"up {upstream.pull} pull_request: 7")
    source = git_source.obtain(wanted)

    with pytest.raises(ConflictError) as caught:
        series.pick(wanted, source)

    for word in ("patch 1, ", "'A pull request'", "pull request 7", "net/proxy.go (content)", "demo.yaml"):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    (file,) = caught.value.conflicts
    assert [(hunk.ours, hunk.theirs) for hunk in file.hunks] == [("LÍNEA 25\n", "LINE 25\n")]
    assert "there is:\n    | LÍNEA 25\n  the patch has:\n    | LINE 25" in caught.value.detail
    assert source.open().git.for_each_ref() == ""
    assert [path.name for path in source.repository.iterdir()] == [".git"]


def test_a_conflict_of_a_removed_file_says_who_removed_it(upstream: Upstream, tmp_path: Path) -> None:
    base = upstream.project.commit("removed", {"net/proxy.go": None})
    wanted = write_series(tmp_path, {"up": str(upstream.project.path)}, base, f"up {upstream.pull}")

    with pytest.raises(ConflictError) as caught:
        picked(wanted)

    (file,) = caught.value.conflicts
    assert (file.path, file.kind) == ("net/proxy.go", "modify/delete")
    assert "deleted in what is there and modified in the patch" in file.said


@pytest.mark.parametrize(
    "message",
    [
        "Title only",
        "Title\n\nBody.",
        "Fix: looks like a trailer",
        "Title\n\nBody.\n\nSigned-off-by: A <a@example.org>\nChange-Id: I1",
        "Title\n\nBody.\n\n(cherry picked from commit 0123456789012345678901234567890123456789)",
        "Title\nin two lines\n\nNote: a word\nand another line",
    ],
)
def test_the_message_says_where_it_was_picked_from_as_git_does(
    upstream: Upstream, tmp_path: Path, message: str
) -> None:
    upstream.fork.git("commit", "--quiet", "--amend", "-m", message)
    patch = upstream.fork.git("rev-parse", "HEAD")
    wanted = write_series(tmp_path, {"up": str(upstream.fork.path)}, upstream.patches[0], f"up {patch}")
    source = git_source.obtain(wanted)

    ours = read_commit(source.open(), series.pick(wanted, source).commit)

    upstream.fork.git("checkout", "--quiet", "--detach", upstream.patches[0])
    upstream.fork.git("cherry-pick", "-x", patch)
    assert ours.message == upstream.fork.git("log", "-1", "--format=%B") + "\n"


def test_a_merge_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    upstream.project.git("merge", "--quiet", "--no-ff", "-m", "Merge it", upstream.pull)
    merge = upstream.project.git("rev-parse", "HEAD")
    wanted = write_series(tmp_path, {"up": str(upstream.project.path)}, upstream.base, f"up {merge}")

    with pytest.raises(ConfigError, match=r"patches\[0\]\.commit: .* is a merge; name the commits"):
        picked(wanted)


REWRITE = "rewrites: [{title: ours, reason: so, paths: [run.sh, dns], replace: %s, by: '{{ .Repository }}/'}]"


def test_a_text_is_rewritten_as_a_commit_of_our_own(upstream: Upstream, tmp_path: Path) -> None:
    (upstream.project.path / "run.sh").chmod(0o755)
    base = upstream.project.commit("executable", {"docs/readme.md": "fork/ is left alone\n"})
    remotes = {"up": str(upstream.project.path)}
    wanted = write_series(tmp_path, remotes, base, f"up {upstream.pull}", more=REWRITE % "fork/")
    source = git_source.obtain(wanted)

    result = series.pick(wanted, source)

    repo = source.open()
    assert [(entry.title, entry.fate) for entry in result.patches] == [
        ("A pull request", "applied"),
        ("ours", "applied"),
    ]
    assert result.patches[-1].commit == result.commit
    commit = read_commit(repo, result.commit)
    assert (commit.author, commit.message) == (f"kubev6 <kubev6@localhost> {source.timestamp} +0000", "ours\n\nso\n")
    assert read_file(repo, f"{result.tree}:run.sh") == "#!/bin/sh\nimage={{ .Repository }}/dns\n"
    assert repo.git.ls_tree(result.tree, "run.sh").startswith("100755 ")
    changed = repo.git.diff_tree("-r", "--name-only", result.patches[0].commit, result.commit)
    assert changed == "run.sh"
    assert series.pick(wanted, source) == result


def test_a_rewrite_that_finds_nothing_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    remotes = {"up": str(upstream.project.path)}
    wanted = write_series(tmp_path, remotes, upstream.base, more=REWRITE % "elsewhere/")

    with pytest.raises(KubeV6Error, match=r"rewrites\[0\]: run\.sh, dns has no 'elsewhere/' to replace"):
        picked(wanted)
