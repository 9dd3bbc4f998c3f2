"""A source package of the archive as a git repository, and commands in the toolchain's containers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.errors import EndedError, KubeV6Error
from tasks import scope
from tasks.docker import container_engine, toolchain
from tasks.docker.toolchain import LABEL, Containers, Toolchain
from tasks.release.series import debian_source
from tasks.release.series.debian_source import PATCH_BRANCH
from tasks.release.series.repository import open_repository
from tests.fakes import substitute
from tests.waiting import eventually

PACKAGE = "procps"
"""Small, and with a patch series of Debian's own."""


@pytest.fixture
def tools() -> Toolchain:
    return toolchain.ready()


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    yield
    client = container_engine.client()

    def none_is_left() -> bool:
        return not client.containers.list(all=True, filters={"label": f"{LABEL}=test"}, ignore_removed=True)

    eventually(none_is_left, 30)  # one may still be on its way out, removed from another thread


@pytest.mark.usefixtures("own_data")
def test_a_source_package_becomes_a_base_and_a_patch_branch() -> None:
    made = debian_source.obtain(PACKAGE)

    repo = open_repository(made.repository)
    patches = list(repo.iter_commits(f"{made.base}..{PATCH_BRANCH}"))
    assert patches
    assert all("Patch-Name: " in str(commit.message) for commit in patches)
    assert not (made.repository / "debian").exists()
    assert repo.commit(made.base).parents == ()
    assert repo.head.commit.hexsha == made.base
    assert repo.git.status("--porcelain", "--ignored") == ""
    assert {commit.committed_date for commit in patches} == {made.timestamp}

    assert debian_source.obtain(PACKAGE) == made
    assert debian_source.find(PACKAGE, made.version) == made

    tip = repo.commit(PATCH_BRANCH).hexsha
    made.repository.rename(made.repository.with_name("moved-away"))
    again = debian_source.obtain(PACKAGE, made.version)

    assert again == made
    assert open_repository(again.repository).commit(PATCH_BRANCH).hexsha == tip


OURS = """\
From: Ann Example <ann@example.org>
Date: Fri, 2 Jan 2026 03:04:05 +0100
Subject: [PATCH] Say hello

--- /dev/null
+++ b/HELLO
@@ -0,0 +1 @@
+hello
"""


@pytest.mark.usefixtures("own_data")
def test_our_own_patch_files_come_last_on_the_patch_branch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, debian_source, "OVERLAY", tmp_path / "overlay")
    without = debian_source.obtain(PACKAGE)
    assert "HELLO" not in open_repository(without.repository).commit(PATCH_BRANCH).tree

    ours = tmp_path / "overlay" / PACKAGE / "0001-say-hello.patch"
    ours.parent.mkdir(parents=True)
    ours.write_text(OURS)
    tip = open_repository(debian_source.obtain(PACKAGE).repository).commit(PATCH_BRANCH)
    assert (str(tip.author), tip.summary, tip.authored_datetime.isoformat()) == (
        "Ann Example",
        "Say hello",
        "2026-01-02T03:04:05+01:00",
    )
    assert "Patch-Name: 0001-say-hello.patch" in str(tip.message)
    assert tip.tree["HELLO"].data_stream.read() == b"hello\n"

    hunk = "--- a/NEWS\n+++ b/NEWS\n@@ -1 +1 @@\n-never there\n+hello\n"
    ours.write_text(OURS[: OURS.index("---")] + hunk)
    with pytest.raises(KubeV6Error, match=r"0001-say-hello\.patch: does not apply .* patch failed: NEWS:1"):
        debian_source.obtain(PACKAGE)


@pytest.mark.usefixtures("own_data")
def test_a_package_that_the_archive_lacks_is_one_line() -> None:
    with pytest.raises(KubeV6Error, match="source package no-such-package-anywhere could not be had") as caught:
        debian_source.obtain("no-such-package-anywhere")

    assert "\n" not in str(caught.value)
    assert list(debian_source._sources().glob(".unpacked-*")) == []


@pytest.mark.usefixtures("no_leftovers")
def test_a_failed_command_says_its_status_and_last_line(tools: Toolchain) -> None:
    with pytest.raises(KubeV6Error, match="test: ended with status 3: last words") as caught:
        toolchain.run(tools.image, ["sh", "-c", "echo first; echo last words; exit 3"], name="test", deadline=30)

    assert "first" in caught.value.detail


@pytest.mark.usefixtures("no_leftovers")
def test_a_command_that_takes_too_long_is_stopped(tools: Toolchain) -> None:
    with pytest.raises(KubeV6Error, match="test: was stopped after 1 s"):
        toolchain.run(tools.image, ["sleep", "600"], name="test", deadline=1)


@pytest.mark.usefixtures("no_leftovers")
def test_whoever_stops_listening_stops_the_command(tools: Toolchain) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toolchain.run(tools.image, ["sh", "-c", "echo; sleep 600"], name="test", deadline=60, on_line=interrupt)


@pytest.mark.usefixtures("no_leftovers")
def test_running_commands_are_stopped_from_another_thread(tools: Toolchain) -> None:
    containers = Containers()

    def stop(_: str) -> None:
        threading.Thread(target=containers.stop).start()

    with scope.holding(containers), pytest.raises(EndedError, match="test: was ended, because something else"):
        toolchain.run(tools.image, ["sh", "-c", "echo; sleep 600"], name="test", deadline=60, on_line=stop)


@pytest.mark.usefixtures("no_leftovers")
def test_a_container_left_behind_by_a_killed_process_is_replaced(tools: Toolchain) -> None:
    client = container_engine.client()
    sole, lines = f"kubev6-test-sole-{os.getpid()}", list[str]()
    client.containers.run(tools.image, ["sleep", "600"], name=sole, labels={LABEL: "test"}, detach=True)

    toolchain.run(tools.image, ["echo", "done"], name="test", sole=sole, deadline=30, on_line=lines.append)

    assert lines == ["done"]


def test_files_are_the_callers_own(tools: Toolchain, tmp_path: Path) -> None:
    toolchain.run(
        tools.image,
        ["touch", "/out/made"],
        name="test",
        mounts={tmp_path: "/out"},
        as_caller=True,
        deadline=30,
    )

    assert (tmp_path / "made").owner() == tmp_path.owner()
