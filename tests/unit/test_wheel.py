"""What travels in the wheel: all that a kubev6 without a checkout reads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.checkout import REPO

PACKAGES = ("configs", "flows", "kubev6", "tasks")


def built(directory: Path, source: Path = REPO) -> zipfile.ZipFile:
    """The wheel of a source tree, made as pip makes it."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = directory.glob("kubev6-*.whl")
    return zipfile.ZipFile(wheel)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return built(tmp_path_factory.mktemp("wheel"))


def tracked(*where: str) -> list[str]:
    """The files that git knows there, and those that it does not know yet."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *where]
    found = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(name for name in found if (REPO / name).exists())


def test_every_file_of_the_packages_is_in_the_wheel_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    recipes = [name.replace("build/", "tasks/recipes/", 1) for name in tracked("build")]
    there = [name for name in wheel.namelist() if ".dist-info/" not in name]
    assert sorted(there) == sorted([*tracked(*PACKAGES), *recipes])


def test_recipes_are_as_in_the_checkout_to_the_byte_and_what_is_executed_can_be(wheel: zipfile.ZipFile) -> None:
    for name in tracked("build"):
        there = wheel.getinfo(name.replace("build/", "tasks/recipes/", 1))
        assert wheel.read(there) == (REPO / name).read_bytes()
        assert bool(there.external_attr >> 16 & 0o100) == os.access(REPO / name, os.X_OK), name


def test_the_deployments_are_a_file_of_their_own_and_not_a_link(wheel: zipfile.ZipFile) -> None:
    assert wheel.read("kubev6/server/prefect.yaml") == (REPO / "prefect.yaml").read_bytes()


def test_every_package_says_that_it_has_types(wheel: zipfile.ZipFile) -> None:
    assert {f"{name}/py.typed" for name in PACKAGES} <= set(wheel.namelist())


def test_build_stays_data() -> None:
    assert [name for name in tracked("build") if name.endswith(".py")] == []


FIRST = ("init --quiet", "add .", "commit --quiet -m First")


@pytest.mark.parametrize(
    ("commands", "version"),
    [
        ((), r"0\.2\.0\.dev0"),
        (FIRST, r"0\.2\.0\.dev1\+g[0-9a-f]+"),
        ((*FIRST, "tag v0.3.0"), r"0\.3\.0"),
        ((*FIRST, "tag v0.3.0", "commit --quiet --allow-empty -m Next"), r"0\.3\.1\.dev1\+g[0-9a-f]+"),
    ],
    ids=["no git", "no tag", "a tag", "behind a tag"],
)
def test_the_version_is_that_of_git_s_newest_tag(commands: tuple[str, ...], version: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((REPO / name).read_bytes())
    for name in (*PACKAGES, "build"):
        (source / name).mkdir()
        (source / name / "file").touch()
    for command in commands:
        git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *command.split()]
        subprocess.run(git, cwd=source, check=True)
    wheel = built(tmp_path / "dist", source).filename
    assert wheel is not None
    assert re.fullmatch(rf"kubev6-{version}-py3-none-any\.whl", Path(wheel).name)
