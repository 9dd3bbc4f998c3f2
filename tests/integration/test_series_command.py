"""``kubev6 series``: what it prints, for people and machines, its exit status, and how long it takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from kubev6.cli import main
from tasks.release.series import series, series_file, series_source
from tests.bench.series import by_hand, ours
from tests.integration.git_project import BEN, Project
from tests.integration.large_project import large_project

LINES = [f"line {number}\n" for number in range(40)]
pytestmark = pytest.mark.usefixtures("own_data")


def changed(**lines: str) -> str:
    """The file with some of its lines changed: ``l3="new"``."""
    return "".join(lines.get(f"l{number}", line.strip()) + "\n" for number, line in enumerate(LINES))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A base, three commits for a series, and a newer base: it has the first, conflicts with the second."""
    made = Project(tmp_path / "demo")
    made.commit("base", {"a.txt": changed(), "b.txt": "b\n"})
    made.git("branch", "base")
    made.commit("one", {"a.txt": changed(l3="one")}, author=BEN)
    made.commit("two", {"a.txt": changed(l3="one", l20="two")})
    made.commit("three", {"b.txt": "three\n"})
    made.git("branch", "patches")
    made.git("checkout", "--quiet", "-b", "newer", "base")
    made.commit("merged and more", {"a.txt": changed(l3="one", l20="something else")})
    return made


@pytest.fixture
def file(project: Project, tmp_path: Path) -> Path:
    path = tmp_path / "demo-1.yaml"
    ids = project.git("rev-list", "--reverse", "base..patches").split()
    patches = "".join(
        f"  - {{remote: up, commit: '{each}', pull_request: {n}}}\n" for n, each in enumerate(ids, start=70)
    )
    base = project.git("rev-parse", "base")
    path.write_text(f"remotes: {{up: {project.path}}}\nbase: {{remote: up, commit: '{base}'}}\npatches:\n{patches}")
    return path


def test_apply_prints_every_patch_and_the_ids(file: Path, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["series", "apply", str(file)]) == 0
    text = capsys.readouterr().out

    assert re.search(r" 1 +applied +one +Ben Ünal <ben@example\.org> +70 ", text)
    tree = project.git("rev-parse", "patches^{tree}")
    assert re.search(
        rf"^base +{project.git('rev-parse', 'base')}\ncommit +[0-9a-f]{{40}}\ntree +{tree}$", text, re.MULTILINE
    )


def test_apply_for_machines_is_the_same_every_time(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["series", "apply", str(file), "--json"]) == 0
    first = capsys.readouterr().out
    assert main(["series", "apply", str(file), "--json"]) == 0

    assert capsys.readouterr().out == first
    found = json.loads(first)
    assert [(each["number"], each["fate"], each["pull_request"]) for each in found["patches"]] == [
        (1, "applied", 70),
        (2, "applied", 71),
        (3, "applied", 72),
    ]
    assert found["patches"][-1]["commit"] == found["commit"]


def test_a_conflict_is_status_1_with_both_sides(
    file: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    newer, base = project.git("rev-parse", "newer"), project.git("rev-parse", "base")
    file.write_text(file.read_text().replace(base, newer))

    assert main(["series", "apply", str(file)]) == 1
    captured = capsys.readouterr()
    assert "there is:\n    | something else\n  the patch has:\n    | two\n" in captured.out
    said = captured.err.splitlines()[-1]
    assert "series demo-1: patch 2, " in said
    assert "pull request 71" in said
    assert "a.txt (content)" in said

    assert main(["series", "apply", str(file), "--json"]) == 1
    conflict = json.loads(capsys.readouterr().out)["conflict"]
    assert (conflict["number"], conflict["title"]) == (2, "two")
    assert conflict["files"][0]["hunks"] == [{"ours": "something else\n", "theirs": "two\n"}]


def test_status_goes_on_behind_a_conflict(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["series", "status", str(file), "--onto", "newer", "--json"]) == 1
    patches = json.loads(capsys.readouterr().out)["patches"]
    assert [each["fate"] for each in patches] == ["already upstream", "conflict", "applies"]
    assert patches[1]["files"][0]["path"] == "a.txt"

    assert main(["series", "status", str(file), "--onto", "newer"]) == 1
    text = capsys.readouterr().out
    assert "    | something else" in text
    assert "1 of 3 apply, 1 already upstream, 1 conflict." in text


def test_status_without_a_conflict_is_status_0(
    file: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["series", "status", str(file), "--onto", "base"]) == 0
    assert "3 of 3 apply" in capsys.readouterr().out

    project.git("checkout", "--quiet", "patches")
    assert main(["series", "status", str(file)]) == 0
    assert "0 of 3 apply, 3 already upstream, 0 conflict." in capsys.readouterr().out


def test_a_base_that_is_not_there_is_one_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["series", "status", str(file), "--onto", "nowhere"]) == 1
    assert re.search(r"^kubev6: remote up \(.*\) has no nowhere; ", capsys.readouterr().err, re.MULTILINE)


@pytest.mark.parametrize(
    "words",
    [
        ["series", "apply"],
        ["series", "build", "x"],
        ["series", "apply", "x", "--onto", "y"],
        ["series", "apply", "x", "--source", "up"],
        ["series", "apply", "x", "--source", "=place"],
    ],
)
def test_a_wrong_command_line_is_status_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2


def test_seven_patches_on_a_large_tree_take_no_longer_than_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KUBEV6_DATA", "KUBEV6_CACHE"):  # what is set there is for this test
        monkeypatch.setenv(name, str(tmp_path))
    # A second is for making our repository, and for a machine that does something else meanwhile.
    assert ours(3000) < 1.5 * by_hand(3000) + 1


@pytest.mark.parametrize("files", [30, 3000])
def test_seven_patches_take_few_git_commands_however_large_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    """How long that takes beside `git cherry-pick` is measured by ``tests.bench.series``."""
    made = large_project(tmp_path / "large", files, 7)
    wanted, trace = series_file.load(made.series), tmp_path / "trace"
    trace.mkdir()
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(trace))  # in which every process of git's writes a file

    picked = series.pick(wanted, series_source.obtain(wanted))

    assert picked.tree == made.tree
    events = [json.loads(line) for path in trace.iterdir() for line in path.read_text().splitlines()]
    commands = [event["name"] for event in events if event["event"] == "cmd_name"]
    assert commands.count("merge-tree") == 7
    assert len(commands) <= 6 * 7 + 10
    assert not {"add", "checkout", "diff", "read-tree", "status", "update-index"}.intersection(commands)
