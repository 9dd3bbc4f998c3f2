"""A node without Python: a deploy installs it, and nothing else does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.errors import NodeError
from tasks.ssh.connection import Connection, connect
from tests.integration.sshd import running_sshd


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """All the programs that the node has."""
    directory = tmp_path / "programs"
    directory.mkdir()
    for name in ("sh", "env", "timeout", "ln", "echo", "mktemp", "cat", "rm"):
        found = shutil.which(name)
        assert found
        (directory / name).symlink_to(found)
    return directory


@pytest.fixture
def node(programs: Path) -> Iterator[Connection]:
    """A node with those programs, and no Python."""
    # The shell's own start-up file, which may add to the PATH, is looked for in HOME.
    with running_sshd(f"SetEnv PATH={programs} HOME={programs}") as sshd, connect(sshd.endpoint()) as opened:
        yield opened


def test_to_ask_a_node_without_python_is_an_error_that_changes_nothing(node: Connection, programs: Path) -> None:
    (programs / "apt-get").write_text("#!/bin/sh\nexit 1\n")
    (programs / "apt-get").chmod(0o755)
    before = sorted(programs.iterdir())
    with pytest.raises(NodeError, match="read facts: there is no python3") as caught:
        node.run_python("print(1)", None, step="read facts", timeout=10)
    assert "a deploy installs it" in caught.value.todo
    assert not caught.value.transient
    assert sorted(programs.iterdir()) == before


@pytest.mark.parametrize("manager", ["apt-get", "dnf", "yum"])
def test_python_is_installed_once_by_the_nodes_package_manager(node: Connection, programs: Path, manager: str) -> None:
    python = shutil.which("python3", path="/usr/bin")
    (programs / manager).write_text(f'#!/bin/sh\ncase "$*" in *install*python3) ln -s {python} {programs} ;; esac\n')
    (programs / manager).chmod(0o755)
    assert node.provide_python()
    assert node.run_python("print(1)", None, step="read facts", timeout=10) == 1
    assert not node.provide_python()


def test_yum_is_told_of_repositories_that_the_node_does_not_know_and_forgets_them(
    node: Connection, programs: Path, tmp_path: Path
) -> None:
    # As on CentOS 7, where the node's own repositories do not answer and would end it.
    (programs / "yum").write_text(
        "#!/bin/sh\n"
        "for word; do case $word in --setopt=reposdir=/etc/yum.repos.d,*) own=${word#*,}; esac; done\n"
        f'echo "$own" >{tmp_path}/own\n'
        """case "$*" in "--setopt=*.skip_if_unavailable=1 "*" install -y python3") cat "$own"/*.repo >&2; esac\n"""
        "exit 1\n"
    )
    (programs / "yum").chmod(0o755)
    with pytest.raises(NodeError, match=r"install python3: .*\[vault\]"):
        node.provide_python("[vault]\n")
    own = Path((tmp_path / "own").read_text().strip())
    assert own.is_absolute()
    assert not own.exists()


def test_where_python_cannot_be_installed_the_error_says_what_to_do(node: Connection) -> None:
    with pytest.raises(NodeError, match=r"install python3: .*install python3 \(3.5 or newer\) by hand"):
        node.provide_python()
