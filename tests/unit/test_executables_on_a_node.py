"""Executables are put in place, kept and restored, whatever comes between."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tasks.node_agent import read_facts, record
from tasks.node_agent.apply_changes import make, note
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import Record, read_record
from tasks.node_agent.resources.kinds import KINDS
from tasks.node_agent.undo import undo_all
from tests.fakes import substitute


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, record, "HOME", str(tmp_path / "home"))


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "tool"
    path.parent.mkdir()
    path.write_text("old")
    return path


def digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def fetch(path: Path, content: str) -> Json:
    """The change that fetches an executable, from a file beside it."""
    source = path.parent.parent / f"served-{path.name}"
    source.write_text(content)
    url = source.as_uri()
    wanted = {"path": str(path), "sha256": digest(content), "size": len(content), "url": url, "certificate": ""}
    return {"kind": "binary", "subject": str(path), "action": "fetch", "resource": wanted}


def apply(*changes: Json) -> Record:
    node = read_record("kubernetes")
    make(list(changes), node, lambda _: None, {})
    return read_record("kubernetes")


def reset() -> list[str]:
    """Take the executables back; what was done."""
    node, done = read_record("reset"), []
    undo_all([KINDS["binary"]], node, lambda step: done.extend(step()))
    assert not list(node.notes("binaries"))
    return done


def test_a_first_fetch_that_fails_leaves_nothing_to_take_back(tool: Path) -> None:
    other = tool.with_name("other")
    broken = fetch(tool, "new")
    broken["resource"]["sha256"] = "0" * 64
    with pytest.raises(Failed, match="wrong checksum"):
        apply(broken, fetch(other, "new other"))
    assert reset() == []
    assert [path.name for path in tool.parent.iterdir()] == ["tool"]
    assert tool.read_text() == "old"


def test_what_was_put_in_place_before_another_failed_is_taken_back(tool: Path) -> None:
    first, last = tool.with_name("first"), tool.with_name("last")
    last.mkdir()
    with pytest.raises(OSError, match="last"):
        apply(fetch(first, "new first"), fetch(tool, "new"), fetch(last, "new last"))
    assert (first.read_text(), tool.read_text()) == ("new first", "new")
    last.rmdir()
    reset()
    assert [path.name for path in tool.parent.iterdir()] == ["tool"]
    assert tool.read_text() == "old"


def test_a_run_that_died_before_it_moved_anything_is_no_reason_not_to_reset(tool: Path) -> None:
    node = read_record("kubernetes")
    node.stage["binaries"] = {str(tool): f"{tool}.~1~"}
    node.stage["old_binaries"] = {f"{tool}.~1~": None}
    node.save()
    assert reset() == []
    assert tool.read_text() == "old"


def test_an_executable_of_ours_whose_original_somebody_has_removed_is_told(tool: Path) -> None:
    apply(fetch(tool, "new"))
    tool.with_name("tool.~1~").unlink()
    with pytest.raises(Failed, match="the executable that was there before is gone"):
        reset()
    assert tool.read_text() == "new"


def test_one_original_is_kept_however_often_it_is_replaced(tool: Path) -> None:
    for content in ("new", "newer", "newest"):
        apply(fetch(tool, content))
    assert {path.name: path.read_text() for path in tool.parent.iterdir()} == {"tool": "newest", "tool.~1~": "old"}
    reset()
    assert {path.name: path.read_text() for path in tool.parent.iterdir()} == {"tool": "old"}


def test_what_the_version_before_kept_of_ours_goes_and_its_original_stays(tool: Path) -> None:
    node = read_record("kubernetes")
    for name, content in {"tool.~1~": "old", "tool.~2~": "new", "tool": "newer"}.items():
        tool.with_name(name).write_text(content)
    node.stage["binaries"] = {str(tool): f"{tool}.~1~"}
    node.stage["old_binaries"] = {f"{tool}.~1~": None, f"{tool}.~2~": None}
    node.save()
    apply(fetch(tool, "newest"))
    assert {path.name: path.read_text() for path in tool.parent.iterdir()} == {"tool": "newest", "tool.~1~": "old"}
    reset()
    assert {path.name: path.read_text() for path in tool.parent.iterdir()} == {"tool": "old"}


@pytest.mark.parametrize("deployed", [False, True])
def test_an_executable_that_a_package_brought_after_a_run_that_died_is_the_original(tool: Path, deployed: bool) -> None:
    tool.unlink()
    note([fetch(tool, "new")], read_record("kubernetes"))
    tool.write_text("a package's")
    if deployed:
        apply(fetch(tool, "new"))
        assert tool.read_text() == "new"
    reset()
    assert {path.name: path.read_text() for path in tool.parent.iterdir()} == {"tool": "a package's"}


def test_an_executable_of_a_run_that_died_when_it_was_in_place_is_ours(tool: Path) -> None:
    tool.unlink()
    note([fetch(tool, "new")], read_record("kubernetes"))
    tool.write_text("new")
    apply(fetch(tool, "newer"))
    reset()
    assert not list(tool.parent.iterdir())


@pytest.mark.parametrize("before", ["old", ""])
@pytest.mark.parametrize("deployed", [False, True])
@pytest.mark.parametrize("damage", ["written into", "put in its place", "a link", "removed"])
def test_what_somebody_has_made_of_ours_is_no_original(tool: Path, before: str, deployed: bool, damage: str) -> None:
    if not before:
        tool.unlink()
    apply(fetch(tool, "new"))
    apply(fetch(tool, "newer"))
    if damage != "written into":
        tool.unlink()
    if damage == "a link":
        tool.symlink_to("served-tool")
    elif damage != "removed":
        tool.write_text("damaged")
    there = read_facts.facts(["kubernetes"], {"binary": [str(tool)]}, [])
    assert there["there"]["binary"][str(tool)] != digest("newer")
    assert there["added"]["kubernetes"]["binary"] == {str(tool): [digest("newer"), digest("newer")]}
    if deployed:
        apply(fetch(tool, "newer"))
        kept = {"tool.~1~": "old"} if before else {}
        assert {path.name: path.read_text() for path in tool.parent.iterdir()} == {"tool": "newer", **kept}
    reset()
    assert {path.name: path.read_text() for path in tool.parent.iterdir()} == ({"tool": "old"} if before else {})


def test_what_is_not_known_to_be_ours_is_not_said_to_be_changed(tool: Path) -> None:
    node = read_record("kubernetes")
    node.stage["binaries"] = {str(tool): f"{tool}.~1~", "/of/a/run/that/died": {"kept": "", "ours": "", "next": "a"}}
    node.save()
    assert read_facts.facts(["kubernetes"], {"binary": []}, [])["added"]["kubernetes"]["binary"] == {}
