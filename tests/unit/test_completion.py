"""Completion, asked for as a person's bash does: with what `kubev6 completion bash` prints."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.run.record import new_path, write
from kubev6.cli import main
from kubev6.cli.completion import SHELLS
from tests.unit import sample_run

PROGRAMS = Path(sys.executable).parent
ASK = """\
eval "$(kubev6 completion bash)"
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
_python_argcomplete kubev6
printf '%s\\n' "${COMPREPLY[@]}"
"""
pytestmark = pytest.mark.usefixtures("own_data")


def completed(line: str, where: Path) -> set[str]:
    environment = {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
    words = ["bash", "--norc", "-c", ASK, "bash", line]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60, cwd=where, env=environment)
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("kubev6 re", {"render", "replace", "report", "releases", "reset", "restore"}),
        ("kubev6 ssh kube-w", {"kube-worker-1", "kube-worker-2"}),
        ("kubev6 ssh --cluster kube-v6 kube-m", {"kube-master", "kube-minion-1", "kube-minion-2"}),
        ("kubev6 ssh --cluster no-such-cluster ", set()),
        ("kubev6 render kube-v6 --node kube-n", {"kube-nat64-dns64"}),
        ("kubev6 fetch v1.9", {"v1.9.0-alpha.0.ipv6.0", "v1.9.0-alpha.1.ipv6.1b"}),
        ("kubev6 deploy --prebuilt deb", {"debian-1.20"}),
        ("kubev6 series apply deb", {"debian-1.20"}),
        ("kubev6 deploy --no", {"--no-progress"}),
        ("kubev6 lab ", {"up", "down", "status"}),
        ("kubev6 certs r", {"renew"}),
        ("kubev6 completion ", set(SHELLS)),
    ],
)
def test_bash_completes_commands_options_and_names(tmp_path: Path, line: str, answer: set[str]) -> None:
    assert completed(line, tmp_path) == answer


def test_runs_are_completed_by_their_names(tmp_path: Path) -> None:
    for day in (1, 2):
        path = new_path("deploy", "lab", datetime(2026, 3, day, tzinfo=UTC))
        write(sample_run.finished(3), path)
    both = {"20260301T000000Z-deploy-lab", "20260302T000000Z-deploy-lab"}
    assert completed("kubev6 report 2026", tmp_path) == both
    assert completed("kubev6 compare 2026", tmp_path) == both
    assert completed("kubev6 compare 20260301T000000Z-deploy-lab 20260302", tmp_path) == {"20260302T000000Z-deploy-lab"}


def test_cluster_files_are_completed_beside_the_names_of_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "rack.yaml").touch()
    (tmp_path / "notes.txt").touch()
    answer = completed("kubev6 deploy --cluster ", tmp_path)
    assert {"lab", "kube-v6", "bare-metal", "rack.yaml"} <= answer
    assert "notes.txt" not in answer


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_a_script_for_kubev6(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    assert main(["completion", shell]) == 0
    assert "kubev6" in capsys.readouterr().out


def test_a_shell_that_is_not_known_is_refused_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["completion", "tcsh"])
    assert ended.value.code == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err
