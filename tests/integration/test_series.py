"""Picking a series with real git: ids, fates, conflicts, and what the working directory keeps."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from configs.errors import ConfigError, KubeV6Error
from tasks.release.series import series, series_file
from tasks.release.series.check_out import check_out, check_out_beside, keep_generated, take_over
from tasks.release.series.debian_source import PATCH_BRANCH
from tasks.release.series.repository import commit_all, create_repository, open_repository
from tasks.release.series.series import Picked
from tasks.release.series.series_file import Series
from tasks.release.series.source import Source
from tests.fakes import substitute

BASE = {
    "main.go": "one\ntwo\nthree\n",
    "windows.txt": "a\r\nb\r\n",
    ".gitignore": "_output\n*.log\n",
    "vendor/kept.log": "ignored, and yet part of the tree\n",
    ".gitattributes": "* text=auto\n*.go ident\n",
}
ANN, BEN = "Ann Example <ann@example.org>", "Ben Example <ben@example.org>"

Edits = dict[str, str | None]


def write(root: Path, edits: Edits) -> None:
    for name, content in edits.items():
        path = root / name
        if content is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode())


def make_source(root: Path, patches: dict[str, Edits]) -> Source:
    """A source whose patch branch has one commit for each of ``patches``, all made from the base."""
    place = root / "cache" / "source" / "demo-1.0"
    repo = create_repository(place, committed=1_700_000_000)
    write(place, dict(BASE))
    base = commit_all(repo, "demo: upstream tree\n", author=ANN, date="1700000000 +0000")
    repo.git.branch(PATCH_BRANCH)
    repo.git.symbolic_ref("HEAD", f"refs/heads/{PATCH_BRANCH}")
    for number, (name, edits) in enumerate(patches.items()):
        write(place, edits)
        date = f"{1_600_000_000 + number} +0200"
        commit_all(repo, f"Title of {name}\n\nWhy.\n\nPatch-Name: {name}\n", author=BEN, date=date)
    repo.git.checkout("--quiet", "--detach", base)
    return Source("demo", "1.0", "a test", place, base, 1_700_000_000)


def make_series(root: Path, *patches: str, base: str = "demo") -> Series:
    path = root / "demo.yaml"
    names = "".join(f"\n- patch: {name}" for name in patches) or " []"
    path.write_text(f"base: {base}\npatches:{names}\n")
    return series_file.load(path)


def head_of(source: Source) -> tuple[str, str]:
    repo = open_repository(source.repository)
    return repo.head.commit.hexsha, repo.git.status("--porcelain", "--ignored")


TWO: dict[str, Edits] = {
    "a.patch": {"main.go": "ONE\ntwo\nthree\n"},
    "b.patch": {"main.go": "ONE\ntwo\nTHREE\n", "new.go": "new\n"},
}


@pytest.fixture
def home(own_data: Path) -> Path:
    return own_data.parent


def test_patches_are_picked_in_order_with_their_authors_and_dates(home: Path) -> None:
    source = make_source(home, TWO)

    picked = series.pick(make_series(home, "a.patch", "Title of b.patch"), source)

    commits = list(open_repository(source.repository).iter_commits(f"{source.base}..{picked.commit}"))
    assert [commit.summary for commit in reversed(commits)] == ["Title of a.patch", "Title of b.patch"]
    assert {(commit.author.name, commit.authored_date) for commit in commits} == {
        ("Ben Example", 1_600_000_000),
        ("Ben Example", 1_600_000_001),
    }
    assert {commit.committer.name for commit in commits} == {"kubev6"}
    assert [entry.fate for entry in picked.patches] == ["applied", "applied"]
    assert [entry.source for entry in picked.patches] == ["a.patch", "b.patch"]
    assert picked.patches[-1].commit == picked.commit


def test_the_same_inputs_give_the_same_ids_whatever_the_user_has_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str) -> Picked:
        root = tmp_path / name
        root.mkdir()
        monkeypatch.setenv("KUBEV6_CACHE", str(root / "cache"))
        return series.pick(make_series(root, "a.patch", "b.patch"), make_source(root, TWO))

    plain = run("plain")
    settings = tmp_path / "gitconfig"
    settings.write_text(
        "[core]\n autocrlf = true\n excludesFile = /nope\n[commit]\n gpgSign = true\n[user]\n name = Somebody\n"
        f"[init]\n defaultBranch = strange\n[core]\n hooksPath = {tmp_path / 'hooks'}\n"
        "[i18n]\n commitEncoding = latin1\n"
    )
    hook = tmp_path / "hooks" / "pre-commit"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    for name, value in {
        "GIT_CONFIG_GLOBAL": str(settings),
        "GIT_AUTHOR_NAME": "Somebody Else",
        "GIT_COMMITTER_EMAIL": "other@example.org",
        "GIT_DIR": str(tmp_path / "not-this-one"),
        "TZ": "Asia/Tokyo",
    }.items():
        monkeypatch.setenv(name, value)

    assert run("configured") == plain


def test_a_second_time_is_answered_from_the_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, wanted = make_source(home, TWO), make_series(home, "a.patch", "b.patch")
    first = series.pick(wanted, source)

    def never(*_: object) -> str:
        raise AssertionError("picked again")

    substitute(monkeypatch, series, "_pick", never)

    assert series.pick(wanted, source) == first


def test_a_patch_that_the_base_has_already_is_dropped_and_said_so(home: Path) -> None:
    patches = {**TWO, "c.patch": {"main.go": "one\ntwo\nthree\n", "new.go": None}, "d.patch": TWO["a.patch"]}
    source = make_source(home, patches)

    picked = series.pick(make_series(home, "a.patch", "d.patch"), source)

    assert [(entry.source, entry.fate) for entry in picked.patches] == [
        ("a.patch", "applied"),
        ("d.patch", "already upstream"),
    ]
    assert picked.patches[1].commit == ""
    assert picked.patches[0].commit == picked.commit


def test_a_conflict_names_the_patch_and_the_files_and_leaves_nothing_behind(home: Path) -> None:
    source = make_source(home, {**TWO, "c.patch": {"main.go": "eins\ntwo\nthree\n"}})

    with pytest.raises(KubeV6Error) as caught:
        series.pick(make_series(home, "c.patch", "b.patch"), source)

    assert "c.patch" in caught.value.message
    assert "main.go" in caught.value.message
    assert "demo.yaml" in caught.value.todo
    assert head_of(source) == (source.base, "")
    assert [entry.fate for entry in series.pick(make_series(home, "a.patch"), source).patches] == ["applied"]


def test_the_patches_of_a_package_are_compared_with_another_base(home: Path) -> None:
    source = make_source(home, {**TWO, "c.patch": {"main.go": "eins\ntwo\nTHREE\n"}})
    newer = replace(source, base=open_repository(source.repository).git.rev_parse(f"{PATCH_BRANCH}~1"))

    standings = series.status(make_series(home, "a.patch", "b.patch", "c.patch"), newer)

    assert [each.outcome for each in standings] == ["already upstream", "already upstream", "applies"]


def test_what_the_other_base_has_in_its_history_is_upstream_although_it_was_changed_since(home: Path) -> None:
    source = make_source(home, {**TWO, "c.patch": {"main.go": "eins\ntwo\nTHREE\n"}})
    newer = replace(source, base=open_repository(source.repository).git.rev_parse(PATCH_BRANCH))

    standings = series.status(make_series(home, "a.patch", "c.patch"), newer)

    assert [each.outcome for each in standings] == ["already upstream", "already upstream"]


def test_nothing_but_commits_is_written(home: Path) -> None:
    source = make_source(home, TWO)
    (source.repository / "stray.log").write_text("somebody's")
    (source.repository / "main.go").write_text("edited\n")
    (source.repository / ".git" / "index.lock").touch()
    before = {path: path.stat().st_mtime_ns for path in source.repository.iterdir()}
    index = (source.repository / ".git" / "index").read_bytes()

    picked = series.pick(make_series(home, "a.patch", "b.patch"), source)

    assert [entry.fate for entry in picked.patches] == ["applied", "applied"]
    assert {path: path.stat().st_mtime_ns for path in source.repository.iterdir()} == before
    assert (source.repository / ".git" / "index").read_bytes() == index


def test_the_result_is_what_git_cherry_pick_gives(home: Path) -> None:
    source = make_source(home, TWO)
    picked = series.pick(make_series(home, "a.patch", "b.patch"), source)

    repo = open_repository(source.repository, committed=source.timestamp)
    repo.git.cherry_pick("-x", *repo.git.rev_list("--reverse", f"{source.base}..{PATCH_BRANCH}").split())

    assert repo.head.commit.hexsha == picked.commit


@pytest.mark.parametrize(
    ("patches", "base", "says"),
    [
        (
            ("a.patch", "z.patch"),
            "demo",
            r"patches\[1\]\.patch: demo 1\.0 has no patch 'z\.patch'; it has: a\.patch, b\.patch",
        ),
        (("a.patch", "Title of a.patch"), "demo", r"patches\[1\]\.patch: 'Title of a\.patch' is named twice"),
        (("a.patch",), "other", r"base: is other, but the release is built from demo"),
    ],
)
def test_what_a_series_cannot_ask_for(home: Path, patches: tuple[str, ...], base: str, says: str) -> None:
    source = make_source(home, TWO)

    with pytest.raises(ConfigError, match=says):
        series.pick(make_series(home, *patches, base=base), source)


def checked_out(source: Source, home: Path, *patches: str) -> Path:
    return check_out(series.pick(make_series(home, *patches), source), source)


def test_every_file_of_the_tree_is_checked_out_as_it_is(home: Path) -> None:
    place = checked_out(make_source(home, TWO), home, "a.patch")

    found = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    expected = {name: content.encode() for name, content in BASE.items()} | {"main.go": b"ONE\ntwo\nthree\n"}
    assert found == expected


def test_only_what_differs_is_written(home: Path) -> None:
    source = make_source(home, TWO)
    place = checked_out(source, home, "a.patch", "b.patch")
    for path in place.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (place / "_output").mkdir()
    (place / "_output" / "program").write_text("compiled")
    (place / "stray.go").write_text("would be compiled")

    checked_out(source, home, "a.patch")

    fresh = {path.name for path in place.iterdir() if path.is_file() and path.stat().st_mtime > 1_100_000_000}
    assert fresh == {"main.go"}
    assert (place / "main.go").read_text() == "ONE\ntwo\nthree\n"
    assert not (place / "new.go").exists()
    assert not (place / "stray.go").exists()
    assert (place / "_output" / "program").read_text() == "compiled"


GENERATED = "pkg/zz_generated.deepcopy.go"


def remade(place: Path) -> None:
    (place / GENERATED).write_text("made again\n")


def test_a_check_out_that_was_killed_is_done_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patches: dict[str, Edits] = {"gen.patch": {GENERATED: "first\n"}, "regen.patch": {GENERATED: "second\n"}}
    source = make_source(home, patches)
    place = checked_out(source, home, "gen.patch")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        substitute(patched, tempfile, "TemporaryFile", killed)
        with pytest.raises(KeyboardInterrupt):
            checked_out(source, home, "gen.patch", "regen.patch")
    (place.parent / ".demo.unfinished.lock").touch()

    checked_out(source, home, "gen.patch", "regen.patch")

    assert (place / GENERATED).read_text() == "second\n"


@pytest.mark.parametrize(
    ("damage", "then"),
    [("", "made again\n"), ("damaged\n", "first\n"), (None, "first\n")],
    ids=["whole", "damaged", "lost"],
)
def test_a_generated_file_stays_only_as_the_compilation_has_left_it(home: Path, damage: str | None, then: str) -> None:
    source = make_source(home, {"gen.patch": {GENERATED: "first\n"}})
    picked = series.pick(make_series(home, "gen.patch"), source)
    place = check_out(picked, source)
    remade(place)
    keep_generated(picked, source)

    if damage is None:
        (place / GENERATED).unlink()
    elif damage:
        (place / GENERATED).write_text(damage)
    check_out(picked, source)

    assert (place / GENERATED).read_text() == then


@pytest.mark.parametrize("damage", [b"", b"DIRC", b"no index at all"])
def test_when_the_index_is_damaged_the_tree_is_made_anew_as_if_it_had_never_been(home: Path, damage: bytes) -> None:
    source = make_source(home, {**TWO, "gen.patch": {GENERATED: "first\n"}})
    picked = series.pick(make_series(home, "a.patch", "gen.patch"), source)
    place = check_out(picked, source)
    remade(place)
    keep_generated(picked, source)
    index = place.with_name(".demo.index")
    whole = index.read_bytes()
    index.write_bytes(damage or whole[:-40] + bytes(40))
    (place / "main.go").write_text("damaged too\n")

    check_out(picked, source)

    assert (place / "main.go").read_text() == "ONE\ntwo\nthree\n"
    assert (place / GENERATED).read_text() == "first\n"
    assert index.read_bytes()[:4] == b"DIRC"


def test_a_check_out_beside_the_work_tree_takes_its_place_when_it_is_asked_to(home: Path) -> None:
    source = make_source(home, TWO)
    picked = series.pick(make_series(home, "a.patch"), source)
    place = check_out(picked, source)
    (place / "_output").mkdir()

    beside = check_out_beside(picked, source)
    assert (place / "_output").exists()
    assert (beside / "main.go").read_text() == "ONE\ntwo\nthree\n"
    take_over(picked)

    assert not (place / "_output").exists()
    assert not beside.exists()
    inode = (place / "main.go").stat().st_ino
    check_out(picked, source)
    assert (place / "main.go").stat().st_ino == inode, "its index came with it"


def edited(place: Path) -> None:
    (place / "main.go").write_text("edited by hand\n")


def removed(place: Path) -> None:
    (place / "main.go").unlink()


@pytest.mark.parametrize(
    ("disturb", "then", "generated", "main"),
    [
        (remade, ("gen.patch",), "made again\n", "one\ntwo\nthree\n"),
        (remade, ("gen.patch", "more.patch"), "made again\n", "one\ntwo\nTHREE\n"),
        (remade, ("gen.patch", "regen.patch"), "second\n", "one\ntwo\nthree\n"),
        (edited, ("gen.patch",), "first\n", "one\ntwo\nthree\n"),
        (removed, ("gen.patch",), "first\n", "one\ntwo\nthree\n"),
    ],
    ids=[
        "generated stays",
        "also beside a change",
        "unless itself changed",
        "an edit goes",
        "a loss is mended",
    ],
)
def test_what_the_makefile_generated_stays_and_nothing_else(
    home: Path, disturb: Callable[[Path], None], then: tuple[str, ...], generated: str, main: str
) -> None:
    patches: dict[str, Edits] = {
        "gen.patch": {GENERATED: "first\n"},
        "regen.patch": {GENERATED: "second\n"},
        "more.patch": {"main.go": "one\ntwo\nTHREE\n"},
    }
    source = make_source(home, patches)
    place = checked_out(source, home, "gen.patch")
    disturb(place)

    checked_out(source, home, *then)

    assert (place / GENERATED).read_text() == generated
    assert (place / "main.go").read_text() == main
