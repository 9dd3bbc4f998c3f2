"""The key of a release: the same for the same inputs, another one for anything that decides the bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from configs.schema import Release, load_release
from tasks import compile, release
from tasks.release import release_key
from tasks.series import Picked
from tasks.toolchain import Toolchain

PICKED = Picked("debian-1.20", "a" * 40, "b" * 40, "c" * 40, ())
TOOLS = Toolchain("kubev6/toolchain:x", "go1.19.8 linux/amd64", ("etcd-server=3.4.23-4", "golang-go=2:1.19~1"))


@pytest.fixture
def wanted() -> Release:
    return load_release("debian-1.20")


def test_the_same_inputs_give_the_same_key(wanted: Release) -> None:
    key = release_key(wanted, PICKED, TOOLS)

    assert len(key) == 64
    assert release_key(wanted.model_copy(), replace(PICKED), replace(TOOLS)) == key
    # Neither of these decides a byte.
    assert release_key(wanted.model_copy(update={"description": "other"}), PICKED, TOOLS) == key
    assert release_key(wanted, PICKED, replace(TOOLS, image="kubev6/toolchain:elsewhere")) == key


@pytest.mark.parametrize(
    ("release_changes", "picked", "tools"),
    [
        ({"kubernetes": "1.20.3"}, PICKED, TOOLS),
        ({}, replace(PICKED, tree="d" * 40), TOOLS),
        ({}, replace(PICKED, base="d" * 40), TOOLS),
        ({}, replace(PICKED, series="other"), TOOLS),
        ({}, PICKED, replace(TOOLS, packages=("etcd-server=3.4.23-5", "golang-go=2:1.19~1"))),
        ({}, PICKED, replace(TOOLS, go="go1.19.8 linux/arm64")),
    ],
    ids=["version", "tree", "base", "series", "a package of the toolchain", "platform"],
)
def test_another_input_gives_another_key(
    wanted: Release, release_changes: dict[str, str], picked: Picked, tools: Toolchain
) -> None:
    changed = wanted.model_copy(update=release_changes)

    assert release_key(changed, picked, tools) != release_key(wanted, PICKED, TOOLS)


def test_a_changed_recipe_or_command_gives_another_key(
    wanted: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = release_key(wanted, PICKED, TOOLS)

    with monkeypatch.context() as patched:
        patched.setattr(compile, "COMPILE", compile.COMPILE + "\n")
        assert release_key(wanted, PICKED, TOOLS) != key
    (tmp_path / "build" / "images" / "pause").mkdir(parents=True)
    (tmp_path / "build" / "images" / "pause" / "Dockerfile").write_text("FROM scratch\n")
    with monkeypatch.context() as patched:
        patched.setattr(release, "REPO", tmp_path)
        assert release_key(wanted, PICKED, TOOLS) != key
