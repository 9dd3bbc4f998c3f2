"""How kubev6 ends, for those who run it from scripts: real processes, real signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from configs.schema.loading import CONFIGS
from tasks.exclusive import exclusive
from tasks.paths import cache_dir

pytestmark = pytest.mark.usefixtures("own_data")


def start(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kubev6", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["releases"], 0),
        (["--help"], 0),
        (["render", "lab"], 0),
        (["render", "nowhere"], 1),
        (["deploy", "--cluster", "nowhere"], 1),
        (["lab", "status", "--cluster", "LAB"], 1),
        (["server", "status"], 1),
        (["report"], 1),
        (["compare"], 1),
        (["compare", "20260301"], 1),
        ([], 2),
        (["frobnicate"], 2),
        (["deploy", "--json"], 2),
        (["server", "up", "--port", "x"], 2),
        (["server", "up", "--port", "0"], 2),
        (["server", "up", "--port", "-1"], 2),
        (["server", "up", "--port", "65536"], 2),
    ],
)
def test_the_exit_status_says_how_it_went(words: list[str], status: int, tmp_path: Path) -> None:
    nobodys = tmp_path / "lab.yaml"  # a lab of the usual name may be up in the engine
    nobodys.write_text((CONFIGS / "clusters" / "lab.yaml").read_text().replace("name: lab\n", "name: never-up\n"))
    process = start(*(str(nobodys) if word == "LAB" else word for word in words))
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in err
    assert bool(err) == bool(status) or words == ["server", "status"]


@pytest.mark.parametrize("stopped_by", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("option", ["--verbose", "--log-json"])
def test_a_run_that_is_stopped_says_so_in_its_last_line_and_ends_with_130(
    stopped_by: signal.Signals, option: str
) -> None:
    Path(cache_dir()).mkdir(parents=True)
    with exclusive(cache_dir() / "labs.lock"):  # so that it waits, for us
        process = start("lab", "up", option)
        assert process.stderr is not None
        assert any("waiting for another lab command to end" in line for line in process.stderr)
        process.send_signal(stopped_by)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == ""
    (line,) = err.splitlines()
    said = "stopped; running it again goes on from here"
    assert json.loads(line)["text"] == said if option == "--log-json" else line == f"kubev6: {said}"
