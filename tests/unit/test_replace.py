"""Putting things in each other's place, and removing them, also after somebody died in the middle of it."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.replace import GOING, put_aside, remove, replace_directory, write_whole
from tests.fakes import substitute


def directory(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "content").write_text(content)
    return path


def test_a_directory_takes_the_place_of_another(tmp_path: Path) -> None:
    place = directory(tmp_path / "place", "old")
    replace_directory(directory(tmp_path / "made", "new"), place)
    assert (place / "content").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_what_a_run_of_the_same_number_has_left_behind_is_in_nobody_s_way(tmp_path: Path) -> None:
    directory(tmp_path / f"{GOING}{os.getpid()}-place", "left behind")
    assert put_aside(directory(tmp_path / "place", "old"))
    replace_directory(directory(tmp_path / "made", "new"), directory(tmp_path / "place", "newer"))
    assert (tmp_path / "place" / "content").read_text() == "new"


def test_two_at_once_remove_a_thing_once(tmp_path: Path) -> None:
    for _ in range(20):
        place = directory(tmp_path / "place", "old")
        with ThreadPoolExecutor(2) as both:
            list(both.map(remove, [place, place]))
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "link", "directory", "nothing", f"{GOING}abc"])
def test_whatever_it_is_it_is_gone(tmp_path: Path, kind: str) -> None:
    path, kept = tmp_path / "place" / kind, directory(tmp_path / "kept", "kept")
    path.parent.mkdir()
    if kind == "file":
        path.touch()
    elif kind == "link":
        path.symlink_to(kept)
    elif kind != "nothing":
        directory(path, "old")
    remove(path)
    assert list(path.parent.iterdir()) == []
    assert (kept / "content").exists()


def test_a_full_disk_does_not_keep_things_from_being_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = directory(tmp_path / "place", "old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for makes in ("mkdir", "link", "symlink"):
        substitute(monkeypatch, os, makes, full)
    remove(place)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_moved_stays_and_nothing_else_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = directory(tmp_path / "place", "old")
    substitute(monkeypatch, Path, "rename", lambda *_: (_ for _ in ()).throw(PermissionError("no")))
    with pytest.raises(PermissionError):
        remove(place)
    assert list(tmp_path.iterdir()) == [place]


def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_is_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By fsync(2), of the file and of its directory: else a power cut leaves an empty file in its place."""
    place, synced = tmp_path / "file", list[tuple[Path, bool]]()

    def sync(fd: int) -> None:
        synced.append((Path(f"/proc/self/fd/{fd}").readlink(), place.exists()))

    substitute(monkeypatch, os, "fsync", sync)
    write_whole(place, "content\n")
    (file, named), then = synced
    assert (file.parent, named) == (tmp_path, False)
    assert then == (tmp_path, True)
