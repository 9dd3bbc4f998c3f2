"""The wrapper around runc in a lab's machines that use Docker, with a runc of the test's own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tasks.lab import capabilities
from tasks.lab.images import RECIPE

WRAPPER = RECIPE / "docker-node/usr/local/sbin/lab-runc"
EVERY = [f"CAP_{name}" for name in capabilities.NAMES]
HELD = [f"CAP_{name}" for name in capabilities.held()]


def process(oom_score: int | None) -> dict[str, Any]:
    kinds = ("bounding", "effective", "permitted")
    score = {} if oom_score is None else {"oomScoreAdj": oom_score}
    return {"args": ["/pause"], "capabilities": {kind: list(EVERY) for kind in kinds}, **score}


@pytest.fixture
def runc(tmp_path: Path) -> Path:
    """The wrapper, around a program that writes down its arguments."""
    fake = tmp_path / "runc"
    fake.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/said\n')
    fake.chmod(0o755)
    wrapper = tmp_path / "lab-runc"
    text = WRAPPER.read_text()
    assert '"/usr/sbin/runc"' in text
    wrapper.write_text(text.replace("/usr/sbin/runc", str(fake)))
    wrapper.chmod(0o755)
    return wrapper


def call(runc: Path, *arguments: str) -> str:
    subprocess.run([str(runc), *arguments], check=True, timeout=20)
    return (runc.parent / "said").read_text().strip()


def test_a_container_asks_only_for_what_its_machine_has(runc: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"ociVersion": "1.0.2", "process": process(-998)}))
    arguments = ("--root", "/run/runc", "create", "--bundle", str(tmp_path), "--pid-file", "x", "name")
    assert call(runc, *arguments) == " ".join(arguments)
    seen = json.loads(config.read_text())
    assert seen["process"]["capabilities"]["effective"] == HELD
    assert seen["process"]["oomScoreAdj"] == int(Path("/proc/self/oom_score_adj").read_text())
    assert (seen["ociVersion"], seen["process"]["args"]) == ("1.0.2", ["/pause"])


def test_a_program_that_is_run_in_a_container_likewise(runc: Path, tmp_path: Path) -> None:
    described = tmp_path / "process.json"
    described.write_text(json.dumps(process(500)))
    call(runc, "exec", "--process", str(described), "name")
    seen = json.loads(described.read_text())
    assert seen["capabilities"]["bounding"] == HELD
    assert seen["oomScoreAdj"] == 500


def test_other_commands_reach_runc_as_they_are(runc: Path) -> None:
    assert call(runc, "--root", "/run/runc", "state", "name") == "--root /run/runc state name"
